"""`recompense statements`: what happened to a merchant's money or in a payout run, as a file."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from recompense.domain.failures import InvariantBroken
from recompense.domain.money import known_currency
from recompense.ops.terminal import (
    DataDir,
    NotInOrder,
    WrongUse,
    opened_database,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.persistence import merchants, payout_run_reads
from recompense.persistence.database import Database
from recompense.persistence.statements import BooksStillOpen, closed_period
from recompense.statements.merchant import merchant_statement
from recompense.statements.payout_run import payout_run_statement
from recompense.statements.rendering import Format, Table, rendered

app = typer.Typer(help="Write statements to standard output.", no_args_is_help=True)

InFormat = Annotated[Format, typer.Option("--format", help="csv or html.")]


@app.command()
def merchant(
    merchant_id: Annotated[str, typer.Argument(help="For example mer_demo.")],
    since: Annotated[
        str, typer.Option("--from", help="The period's first moment (RFC 3339), in UTC by default.")
    ],
    until: Annotated[
        str | None,
        typer.Option("--to", help="The moment after it; absent: as far as the books are closed."),
    ] = None,
    currency: Annotated[str | None, typer.Option(help="Only this currency.")] = None,
    form: InFormat = "csv",
    data_dir: DataDir = None,
) -> None:
    """Opening balance, every movement and closing balance. Exit status 1 when the books of that
    time are still open.
    """
    with told_to_the_person():
        settings = settings_of(data_dir)
        begins = _moment(since, "--from")
        ends = None if until is None else _moment(until, "--to")
        if ends is not None and ends <= begins:
            raise WrongUse("--to has to be after --from.")
        _check_currency(currency)

    async def work() -> None:
        async with opened_database(settings) as database:
            table = await _statement(database, merchant_id, begins, ends, currency)
            await _write(table, form)

    run(work(), settings)


@app.command("payout-run")
def payout_run(
    run_id: Annotated[str, typer.Argument(help="For example run_01J...")],
    form: InFormat = "csv",
    data_dir: DataDir = None,
) -> None:
    """Every item of a payout run with what became of it by now, and the sums."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> None:
        async with opened_database(settings) as database:
            async with database.transaction() as session:
                found = await payout_run_reads.find(session, run_id)
            if found is None:
                raise WrongUse(f"There is no payout run {run_id}.")
            await _write(payout_run_statement(database, found), form)

    run(work(), settings)


async def _statement(
    database: Database,
    merchant_id: str,
    since: datetime,
    until: datetime | None,
    currency: str | None,
) -> Table:
    async with database.transaction() as session:
        if await merchants.find(session, merchant_id) is None:
            raise WrongUse(f"There is no merchant {merchant_id}.")
    try:
        period = await closed_period(database, since, until)
    except BooksStillOpen as error:
        raise NotInOrder(f"The books are closed up to {error.closed_until}, no further.") from error
    return await merchant_statement(database, merchant_id, period, currency)


async def _write(table: Table, form: Format) -> None:
    # As they are: standard output would turn a line's end into the machine's own.
    out = sys.stdout.buffer
    try:
        async for chunk in rendered(table, form):
            out.write(chunk.encode())
    except InvariantBroken as error:
        raise NotInOrder(str(error)) from error
    out.flush()


def _moment(given: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise WrongUse(f"{option}: {given!r} is not a time of RFC 3339.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check_currency(currency: str | None) -> None:
    try:
        known_currency(currency or "EUR")
    except ValueError as error:
        raise WrongUse(f"--currency: {error}.") from error
