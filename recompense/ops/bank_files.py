"""`recompense bank-files`: what was sent to banks in files, what came back, and what it told.

Read-only. Account numbers are cut wherever they stand.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from recompense.domain.account_numbers import without_account_numbers
from recompense.domain.money import formatted
from recompense.ops.terminal import (
    AsJson,
    DataDir,
    WrongUse,
    opened_database,
    print_facts,
    print_json,
    print_table,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.persistence import bank_file_reads
from recompense.persistence.bank_file_reads import BankFileLine, SentPayout, ToldEvent

app = typer.Typer(help="See the files of bank rails.", no_args_is_help=True)

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]
_SHORT_HASH = 16


@app.command("list")
def list_(
    provider: Annotated[str | None, typer.Option(help="Only this rail, for example sepa.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only closed or sent ones, or only read or refused ones.")
    ] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the files, the newest first."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> list[BankFileLine]:
        async with opened_database(settings) as database, database.transaction() as session:
            return await bank_file_reads.listed(
                session, provider=provider, status=status, limit=limit
            )

    found = run(work(), settings)
    if as_json:
        print_json({"data": [_data(one) for one in found]})
        return
    print_table(
        ["file", "rail", "way", "name", "status", "at", "what"], [_row(one) for one in found]
    )


@app.command()
def show(
    file: Annotated[
        str, typer.Argument(help="A batch's id, a message id, a file's name, or its hash.")
    ],
    limit: Limit = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show one file: the payouts that it carries, or what it has told of payouts."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> tuple[BankFileLine, list[SentPayout], list[ToldEvent]]:
        async with opened_database(settings) as database, database.transaction() as session:
            meant = await bank_file_reads.named(session, file, limit=2)
            if not meant:
                raise WrongUse(f"There is no file {file}.")
            if len(meant) > 1:
                raise WrongUse(f"Several files are named {file}: name one by its id.")
            one = meant[0]
            if one.direction == "out":
                return one, await bank_file_reads.payouts_in(session, one.id, limit=limit), []
            return one, [], await bank_file_reads.told_by(session, one, limit=limit)

    found, payouts, told = run(work(), settings)
    if as_json:
        print_json(
            {
                **_data(found),
                "payouts": [asdict(one) for one in payouts],
                "events": [asdict(one) for one in told],
            }
        )
        return
    _tell(found)
    if found.direction == "out":
        rows = [
            [one.payout_id, one.reference, formatted(one.amount, one.currency), one.status or "-"]
            for one in payouts
        ]
        print_table(["payout", "reference", "amount", "stands"], rows)
    else:
        rows = [[one.payout_id, one.type, one.status] for one in told]
        print_table(["payout", "told", "status"], rows)


def _tell(one: BankFileLine) -> None:
    print_facts(
        {
            "file": one.id,
            "rail": one.provider,
            "way": one.direction,
            "name": _cut(one.name),
            "status": one.status,
            "at": one.at.isoformat(timespec="seconds"),
            "what": _what(one),
            "reference": one.reference,
            "sha256": one.sha256,
        }
    )


def _row(one: BankFileLine) -> list[str]:
    return [
        one.id if one.direction == "out" else one.id[:_SHORT_HASH],
        one.provider,
        one.direction,
        _cut(one.name) or "-",
        one.status,
        one.at.isoformat(timespec="seconds"),
        _what(one),
    ]


def _what(one: BankFileLine) -> str:
    if one.total is None or one.currency is None:
        return _cut(one.detail) or "-"
    return f"{one.items} payouts, {formatted(one.total, one.currency)}"


def _data(one: BankFileLine) -> dict[str, Any]:
    shown = {"name": _cut(one.name), "detail": _cut(one.detail), "at": one.at.isoformat()}
    return asdict(one) | shown


def _cut(told: str | None) -> str | None:
    return None if told is None else without_account_numbers(told)
