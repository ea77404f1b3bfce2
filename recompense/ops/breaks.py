"""`recompense breaks`: what reconciliation found, and the answer to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from recompense.contracts.reconciliation import BreakAction, BreakView, Figures
from recompense.desk import repairs
from recompense.domain.failures import Refused
from recompense.domain.money import formatted
from recompense.ops.terminal import (
    Actor,
    AsJson,
    DataDir,
    NotInOrder,
    Reason,
    WrongUse,
    current_actor,
    opened_client,
    opened_database,
    print_facts,
    print_json,
    print_table,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.persistence import breaks
from recompense.persistence.settlement_tables import Break
from recompense.persistence.settlement_views import break_view

app = typer.Typer(help="See and resolve what reconciliation found.", no_args_is_help=True)

BreakId = Annotated[str, typer.Argument(help="For example brk_01J...")]
_COLUMNS = ["break", "kind", "status", "provider", "date", "age", "expected", "found", "proposal"]


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="open or resolved; open unless given.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only of this provider.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List breaks, the newest first."""
    with told_to_the_person():
        settings = settings_of(data_dir)
        if status not in {None, "open", "resolved"}:
            raise WrongUse(f"{status} is no status; a break is open or resolved.")

    async def work() -> list[BreakView]:
        async with opened_database(settings) as database, database.transaction() as session:
            found = await breaks.listed(
                session,
                status=status or "open",
                kind=None,
                provider=provider,
                before=None,
                limit=limit,
            )
            return [break_view(row) for row in found[:limit]]

    found = run(work(), settings)
    if as_json:
        print_json({"data": [one.model_dump(mode="json") for one in found]})
        return
    print_table(_COLUMNS, [_row(one) for one in found])


@app.command()
def show(break_id: BreakId, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show one break: what our books say, what the report says, and what is proposed."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> BreakView:
        async with opened_database(settings) as database, database.transaction() as session:
            return break_view(_there(await session.get(Break, break_id), break_id))

    _print(run(work(), settings), as_json=as_json)


@app.command()
def resolve(
    break_id: BreakId,
    action: Annotated[BreakAction, typer.Argument(help="What to do.")],
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Repair a break. A large write-off waits until a second person asks for it too."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> BreakView:
        async with opened_database(settings) as database:
            async with database.transaction() as session:
                _there(await session.get(Break, break_id), break_id)
            client = await opened_client(settings)
            try:
                return await repairs.ask(
                    client, database, break_id, action, current_actor(actor), reason
                )
            except Refused as refused:
                raise NotInOrder(refused.message) from refused

    found = run(work(), settings)
    if found.status == "open" and not as_json:
        whom = "a second person" if action is BreakAction.WRITE_OFF else "the provider's word"
        typer.echo(f"The repair waits for {whom}.")
    _print(found, as_json=as_json)


@app.command()
def assign(
    break_id: BreakId,
    assignee: Annotated[
        str | None, typer.Argument(help="Who looks into it; nobody if left out.")
    ] = None,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Say who looks into an open break."""
    with told_to_the_person():
        settings = settings_of(data_dir)
    by = current_actor(actor)

    async def work() -> BreakView:
        try:
            async with opened_database(settings) as database, database.transaction() as session:
                row = await breaks.assign(session, break_id, assignee, actor=by)
                return break_view(_there(row, break_id))
        except Refused as refused:
            raise NotInOrder(refused.message) from refused

    _print(run(work(), settings), as_json=as_json)


def _there(row: Break | None, break_id: str) -> Break:
    if row is None:
        raise WrongUse(f"There is no break {break_id}.")
    return row


def _print(one: BreakView, *, as_json: bool) -> None:
    if as_json:
        print_json(one.model_dump(mode="json"))
        return
    facts: dict[str, str | None] = dict(zip(_COLUMNS, _row(one), strict=True))
    facts |= {"operation": one.operation_id, "payment": one.payment_id}
    facts["assigned to"] = one.assignee
    if one.resolution is not None:
        facts["resolved"] = f"{one.resolution.action} by {one.resolution.actor}"
        facts["approved by"] = one.resolution.approved_by
        facts["why"] = one.resolution.reason
    print_facts(facts)


def _row(one: BreakView) -> list[str]:
    return [
        one.id,
        one.kind.value,
        one.status,
        one.provider,
        one.date.isoformat(),
        _age(one),
        _told(one.expected),
        _told(one.found),
        one.proposal.value,
    ]


def _age(one: BreakView) -> str:
    until = one.resolution.at if one.resolution else datetime.now(UTC)
    hours = int((until - one.created_at).total_seconds() // 3600)
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h"


def _told(figures: Figures | None) -> str:
    if figures is None or figures.amount is None or figures.currency is None:
        return "nothing"
    fee = "" if figures.fee is None else f", fee {formatted(figures.fee, figures.currency)}"
    return f"{formatted(figures.amount, figures.currency)}{fee}, {figures.status}"
