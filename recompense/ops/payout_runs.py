"""`recompense payout-runs`: make, read, review and resume payout runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress_bar import ProgressBar

from recompense.contracts.payout_runs import RunReview
from recompense.contracts.views import PayoutRunItemView, PayoutRunView
from recompense.desk.runs import RunDesk, RunWorkflow
from recompense.domain.failures import Refused
from recompense.domain.money import formatted
from recompense.domain.states import PayoutRunStatus
from recompense.ops.terminal import (
    Actor,
    AsJson,
    DataDir,
    NotInOrder,
    Reason,
    WrongUse,
    current_actor,
    opened_platform,
    print_facts,
    print_json,
    print_table,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.persistence.payout_run_reads import RunFilters

app = typer.Typer(help="Make, read, approve and resume payout runs.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(help="For example run_01J...")]
Answer = TypeVar("Answer")
_BAR_WIDTH = 40


@app.command("list")
def list_(
    status: Annotated[PayoutRunStatus | None, typer.Option(help="Only runs that stand so.")] = None,
    name: Annotated[str | None, typer.Option(help="Only runs of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many to show.")] = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List payout runs, the newest first."""
    filters = RunFilters(limit=limit, status=status, name=name)
    runs = _with_desk(lambda desk: desk.page(filters), data_dir)
    if as_json:
        print_json({"data": [one.model_dump(mode="json") for one in runs]})
        return
    columns = ["run", "name", "date", "currency", "status", "items", "paid", "failed", "total"]
    print_table(columns, [_row(one) for one in runs])


@app.command()
def show(run_id: RunId, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show one run: its totals, how far it is, its workflow, and its items."""
    with told_to_the_person():
        ui_url = settings_of(data_dir).temporal_ui_url

    async def shown(desk: RunDesk) -> tuple[PayoutRunView, list[PayoutRunItemView], RunWorkflow]:
        return *await desk.show(run_id), await desk.workflow_of(run_id, ui_url)

    found, items, workflow = _with_desk(shown, data_dir)
    if as_json:
        listed = [item.model_dump(mode="json") for item in items]
        of_workflow = {
            "workflow_id": workflow.workflow_id,
            "workflow_status": workflow.status,
            "ui_url": workflow.ui_url,
        }
        print_json({**found.model_dump(mode="json"), **of_workflow, "items": listed})
        return
    _tell(found)
    _tell_workflow(workflow)
    columns = ["item", "merchant", "amount", "status", "payout", "failure"]
    print_table(columns, [_item(one) for one in items])


@app.command("run")
def run_(
    name: Annotated[str, typer.Argument(help="The schedule that merchants name, such as daily.")],
    business_date: Annotated[
        datetime, typer.Argument(formats=["%Y-%m-%d"], help="The business date.")
    ],
    currency: Annotated[str | None, typer.Option(help="Only this currency.")] = None,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a run now, and show what it would pay. Somebody else approves it."""
    made = _with_desk(
        lambda desk: desk.make(name, business_date.date(), currency, actor=current_actor(actor)),
        data_dir,
    )
    _print(made, as_json=as_json)


@app.command()
def approve(
    run_id: RunId,
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Approve all items of a run. Who made it cannot."""
    _review(run_id, "approve", reason, actor, data_dir, as_json=as_json)


@app.command()
def reject(
    run_id: RunId,
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Reject a run: none of its items is paid."""
    _review(run_id, "reject", reason, actor, data_dir, as_json=as_json)


@app.command()
def resume(
    run_id: RunId,
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Pay the failed items of a run again, and no others; or carry on a run that stands still."""
    resumed = _with_desk(
        lambda desk: desk.resume(run_id, actor=current_actor(actor), reason=reason), data_dir
    )
    _print(resumed, as_json=as_json)


def _review(
    run_id: str,
    decision: Literal["approve", "reject"],
    reason: str,
    actor: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    review = RunReview(decision=decision, actor=current_actor(actor), reason=reason)
    reviewed = _with_desk(lambda desk: desk.review(run_id, review), data_dir)
    _print(reviewed, as_json=as_json)


def _with_desk(work: Callable[[RunDesk], Awaitable[Answer]], data_dir: Path | None) -> Answer:
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def at_desk() -> Answer:
        async with opened_platform(settings) as platform:
            try:
                return await work(RunDesk(platform.database, platform.client))
            except LookupError as error:
                raise WrongUse(f"{error}."[:1].upper() + f"{error}."[1:]) from error
            except ValidationError as error:
                said = error.errors(include_url=False)[0]
                raise WrongUse(f"{'.'.join(map(str, said['loc']))}: {said['msg']}") from error
            except Refused as error:
                raise NotInOrder(error.message) from error

    return run(at_desk(), settings)


def _print(shown: PayoutRunView, *, as_json: bool) -> None:
    if as_json:
        print_json(shown.model_dump(mode="json"))
    else:
        _tell(shown)


def _tell(shown: PayoutRunView) -> None:
    print_facts(
        {
            "run": shown.id,
            "name": shown.name,
            "date": str(shown.business_date),
            "currency": shown.currency or "all",
            "status": shown.status,
            "made by": shown.created_by,
            "reviewed by": shown.reviewed_by,
            "items": f"{shown.items_count:,}",
            "total": _amounts(shown.amount_total) or "nothing",
            "paid": f"{shown.paid_count:,} items {_amounts(shown.amount_paid)}".strip(),
            "failed": f"{shown.failed_count:,} items",
        }
    )
    console = Console(highlight=False)
    if console.is_terminal and shown.items_count:
        over = shown.paid_count + shown.failed_count
        console.print(ProgressBar(total=shown.items_count, completed=over, width=_BAR_WIDTH))


def _tell_workflow(workflow: RunWorkflow) -> None:
    status = workflow.status or "not known to Temporal any more"
    typer.echo(f"{workflow.workflow_id}: {status}\n{workflow.ui_url}")
    if workflow.abandoned:
        typer.echo("Nobody works on this run: recompense payout-runs resume carries it on.")


def _row(one: PayoutRunView) -> list[str]:
    return [
        one.id,
        one.name,
        str(one.business_date),
        one.currency or "all",
        one.status,
        str(one.items_count),
        str(one.paid_count),
        str(one.failed_count),
        _amounts(one.amount_total) or "-",
    ]


def _item(one: PayoutRunItemView) -> list[str]:
    return [
        one.id,
        one.merchant_id,
        formatted(one.amount, one.currency),
        one.status,
        one.payout_id,
        one.failure.message if one.failure else "-",
    ]


def _amounts(amounts: dict[str, int]) -> str:
    parts: Sequence[str] = [formatted(amount, code) for code, amount in sorted(amounts.items())]
    return ", ".join(parts)
