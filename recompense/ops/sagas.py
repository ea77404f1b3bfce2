"""`recompense sagas`: what is red or waits, one saga's story, replay and resolve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from recompense.contracts.sagas import Resolution, ResolveDecision
from recompense.desk import SagaDetail, SagaPage, SagaRow, UnknownSaga
from recompense.desk.models import ShownState
from recompense.desk.replay import ReplayReport
from recompense.desk.replay import replay as replay_saga
from recompense.domain.failures import Refused
from recompense.ops.saga_story import tell, tell_replay
from recompense.ops.terminal import (
    Actor,
    AsJson,
    DataDir,
    NotInOrder,
    Platform,
    Reason,
    WrongUse,
    current_actor,
    opened_platform,
    print_json,
    print_table,
    run,
    say,
    settings_of,
    told_to_the_person,
)
from recompense.settings import Settings

app = typer.Typer(help="Find, understand and repair sagas.", no_args_is_help=True)

WorkflowId = Annotated[str, typer.Argument(help="For example capture/cap_01J...")]


@app.command("list")
def list_(
    state: Annotated[ShownState | None, typer.Option(help="Only sagas that stand so.")] = None,
    payment: Annotated[str | None, typer.Option(help="Only sagas of this payment.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many to show.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on after this workflow id.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List sagas, the newest first: failed ones are red, parked ones wait for a person."""

    async def work(platform: Platform) -> SagaPage:
        return await platform.desk.page(state, payment_id=payment, limit=limit, cursor=cursor)

    page = _with_platform(work, data_dir)
    if as_json:
        rows = [row.model_dump(mode="json") for row in page.data]
        print_json({"data": rows, "next_cursor": page.next_cursor})
        return
    columns = ["workflow id", "state", "attempt", "since", "what it asks or why it failed"]
    print_table(columns, [_row(row) for row in page.data])
    if page.next_cursor is not None:
        typer.echo(f"There are more: --cursor {page.next_cursor}", err=True)


@app.command()
def show(workflow_id: WorkflowId, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Tell one saga's story: steps, attempts, provider calls, compensations, and who did what."""
    story = _with_platform(lambda platform: platform.desk.story(workflow_id), data_dir)
    if as_json:
        print_json(story.model_dump(mode="json"))
    else:
        tell(story)


@app.command()
def replay(
    workflow_id: WorkflowId,
    reason: Reason,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for where the saga comes to rest.")
    ] = 10,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Carry a failed saga to its end, by a reset to the right event. Money moves once."""

    async def work(platform: Platform) -> tuple[ReplayReport, SagaDetail]:
        report = await replay_saga(
            platform.client,
            platform.database,
            workflow_id,
            actor=current_actor(actor),
            reason=reason,
            dry_run=dry_run,
        )
        if report.to_run is None:
            return report, await platform.desk.show(workflow_id)
        return report, await platform.desk.after_replay(report.workflow_id, report.to_run, wait)

    report, saga = _with_platform(work, data_dir)
    if as_json:
        print_json({**report.model_dump(mode="json"), "saga": saga.model_dump(mode="json")})
    else:
        tell_replay(report, saga)


@app.command()
def resolve(
    workflow_id: WorkflowId,
    decision: Annotated[
        ResolveDecision,
        typer.Argument(
            help="retry: ask the provider again. succeeded: it happened. failed: it never will."
        ),
    ],
    reason: Reason,
    provider_reference: Annotated[
        str | None, typer.Option(help="The provider's own reference, for `succeeded`.")
    ] = None,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Answer a parked saga. What you say is taken as said, and audited."""
    with told_to_the_person():
        resolution = _resolution(decision, reason, provider_reference, current_actor(actor))
    saga = _with_platform(lambda platform: platform.desk.resolve(workflow_id, resolution), data_dir)
    if as_json:
        print_json(saga.model_dump(mode="json"))
    else:
        say(f"The answer was taken. {saga.workflow_id} is {saga.state.value}: {saga.ui_url}")


def _resolution(
    decision: ResolveDecision, reason: str, reference: str | None, actor: str
) -> Resolution:
    try:
        return Resolution(
            decision=decision, actor=actor, reason=reason, provider_reference=reference
        )
    except ValidationError as error:
        raise WrongUse(f"{error.errors()[0]['loc'][0]} must not be empty") from error


def _with_platform(work: Any, data_dir: Path | None) -> Any:  # noqa: ANN401 - what the work answers
    with told_to_the_person():
        settings = settings_of(data_dir)
    return run(_worked(work, settings), settings)


async def _worked(work: Any, settings: Settings) -> Any:  # noqa: ANN401 - as above
    async with opened_platform(settings) as platform:
        try:
            return await work(platform)
        except UnknownSaga as error:
            is_run = "payout-run/" in str(error)
            hint = " Payout runs: recompense payout-runs list." if is_run else ""
            raise WrongUse(f"{error}.".capitalize() + hint) from error
        except (Refused, TimeoutError) as error:
            raise NotInOrder(str(error)) from error


def _row(row: SagaRow) -> list[str]:
    why = row.question or (row.failure.message if row.failure else "")
    since = f"{row.since:%Y-%m-%d %H:%M:%S}"
    return [row.workflow_id, row.state.value, str(row.attempt), since, why]
