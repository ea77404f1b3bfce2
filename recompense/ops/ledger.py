"""`recompense ledger`: check the books, read balances."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from recompense.domain.money import formatted
from recompense.ledger.accounts import account as chart_account
from recompense.ledger.results import AccountBalance, TrialBalance
from recompense.persistence import ledger
from recompense.persistence.urls import with_driver
from recompense.persistence.verify import CheckResult, VerifyReport
from recompense.persistence.verify import verify as verify_ledger
from recompense.settings import load_settings

NOT_IN_ORDER, NOT_REACHABLE = 1, 3

app = typer.Typer(help="Check the books and read balances.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="RECOMPENSE_DATA_DIR", help="The stack whose ledger is meant."),
]
At = Annotated[
    str | None,
    typer.Option(help="As it was at this time (RFC 3339), for example 2026-11-24T12:00:00Z."),
]
Answer = TypeVar("Answer")


@app.command()
def verify(as_json: Json = False, data_dir: DataDir = None) -> None:
    """Recompute seals, balances, floors and holds. Exit status 1 when an entry is wrong."""
    console = Console()

    async def run(connection: AsyncConnection) -> VerifyReport:
        if as_json or not console.is_terminal:
            return await verify_ledger(connection)
        with console.status("Checking the ledger") as status:
            return await verify_ledger(
                connection, lambda check: status.update(f"{check.name}: done")
            )

    report = _ask(run, data_dir)
    if as_json:
        typer.echo(json.dumps(_report(report)))
    else:
        _print(
            ["check", "rule", "checked", "result"], [_check_row(check) for check in report.checks]
        )
        console.print(_verdict(report), soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(0 if report.in_order else NOT_IN_ORDER)


@app.command()
def balance(
    account: Annotated[str, typer.Argument(help="For example provider:sandbox:clearing.")],
    at: At = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Read an account's balance in each currency, now or at a past time."""
    moment = _moment(at)
    try:
        chart_account(account)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    found = _ask(lambda connection: ledger.balances(connection, account, moment), data_dir)
    if as_json:
        typer.echo(json.dumps({"data": [one.model_dump(mode="json") for one in found]}))
        return
    columns = ["currency", "balance", "debits", "credits", "debits held", "credits held"]
    _print(columns, [_balance_row(one) for one in found])


@app.command("trial-balance")
def trial_balance(at: At = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Sum the whole ledger for each currency. Exit status 1 when debits and credits differ."""
    moment = _moment(at)
    found = _ask(lambda connection: ledger.trial_balance(connection, moment), data_dir)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        columns = ["currency", "debits", "credits", "debits held", "credits held", "difference"]
        _print(columns, _trial_rows(found))
    raise typer.Exit(0 if all(one.balanced for one in found.data) else NOT_IN_ORDER)


def _ask(question: Callable[[AsyncConnection], Awaitable[Answer]], data_dir: Path | None) -> Answer:
    """Ask the database in one transaction that sees one moment and changes nothing."""
    url = load_settings(data_dir).database_url.get_secret_value()
    try:
        return asyncio.run(_asked(question, url))
    except OperationalError as error:
        shown = make_url(url).render_as_string(hide_password=True)
        Console(stderr=True).print(
            f"The database at {shown} does not answer.",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        raise typer.Exit(NOT_REACHABLE) from error


async def _asked(question: Callable[[AsyncConnection], Awaitable[Answer]], url: str) -> Answer:
    engine = create_async_engine(
        with_driver(url), poolclass=NullPool, isolation_level="REPEATABLE READ"
    )
    try:
        async with engine.connect() as connection:
            await connection.execution_options(postgresql_readonly=True)
            return await question(connection)
    finally:
        await engine.dispose()


def _moment(at: str | None) -> datetime | None:
    if at is None:
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise typer.BadParameter(f"{at!r} is not a time of RFC 3339", param_hint="--at") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print(columns: list[str], rows: list[list[str]]) -> None:
    """A table on a terminal; in a pipe plain lines with a tab between the columns."""
    console = Console()
    if not console.is_terminal:
        for row in [columns, *rows]:
            typer.echo("\t".join(row))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _check_row(check: CheckResult) -> list[str]:
    return [check.name, check.rule, str(check.checked), "wrong" if check.finding else "ok"]


def _verdict(report: VerifyReport) -> str:
    wrong = report.first_wrong
    if wrong is None or wrong.finding is None:
        return "The ledger is in order."
    return f"Wrong: {wrong.finding.entry} {wrong.finding.detail} ({wrong.name}: {wrong.rule})."


def _report(report: VerifyReport) -> dict[str, object]:
    wrong = report.first_wrong
    return {
        "in_order": report.in_order,
        "first_wrong": asdict(wrong) if wrong else None,
        "checks": [asdict(check) for check in report.checks],
    }


def _balance_row(one: AccountBalance) -> list[str]:
    amounts = [one.balance, one.debits_posted, one.credits_posted]
    amounts += [one.debits_pending, one.credits_pending]
    return [one.currency, *(formatted(amount, one.currency) for amount in amounts)]


def _trial_rows(found: TrialBalance) -> list[list[str]]:
    rows = []
    for one in found.data:
        difference = one.debits_posted - one.credits_posted
        difference += one.debits_pending - one.credits_pending
        amounts = [one.debits_posted, one.credits_posted, one.debits_pending, one.credits_pending]
        rows.append([one.currency, *(formatted(a, one.currency) for a in [*amounts, difference])])
    return rows
