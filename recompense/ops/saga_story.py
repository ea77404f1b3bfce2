"""One saga's story in plain words, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from recompense.desk import SagaDetail, SagaRow, SagaStep, SagaStory
from recompense.desk.forecast import ReplayEffect
from recompense.desk.models import ProviderCall, ShownState
from recompense.desk.replay import ReplayReport
from recompense.ops.terminal import print_facts, print_table


def tell(story: SagaStory) -> None:
    """What it is, where it stands, what failed, and everything that was done."""
    typer.echo(f"{story.summary}.")
    typer.echo(f"{standing(story)}\n")
    print_facts(
        {
            "workflow": story.workflow_id,
            "run": story.run_id,
            "payment": story.payment_id,
            "merchant": story.merchant_id,
            "provider": story.provider,
            "attempt": str(story.attempt),
            "since": f"{story.since:%Y-%m-%d %H:%M:%S %Z}",
            "Temporal UI": story.ui_url,
        }
    )
    _section("Steps")
    print_table(_STEP_COLUMNS, [_step(step) for step in story.steps])
    if story.calls:
        _section("Provider calls")
        print_table(_CALL_COLUMNS, [_call(call) for call in story.calls])
    if story.compensations:
        _section("Compensations")
        for one in story.compensations:
            done = ", ".join(one.undone) or "under way"
            typer.echo(f"attempt {one.attempt}: {one.cause} Taken back: {done}.")
    if len(story.runs) > 1:
        _section("Runs")
        rows = [
            [f"{run.first_seen_at:%Y-%m-%d %H:%M:%S}", str(run.attempt), run.run_id]
            for run in story.runs
        ]
        print_table(["first seen", "attempt", "run"], rows)
    if story.audit:
        _section("Who did what")
        rows = [
            [f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.actor, entry.action, entry.reason or ""]
            for entry in story.audit
        ]
        print_table(["at", "who", "what", "why"], rows)


def standing(saga: SagaRow) -> str:
    """Where a saga stands, and what a person can do about it."""
    match saga.state:
        case ShownState.PARKED:
            return (
                f"It waits for a person: {saga.question}\n"
                f"Answer with: recompense sagas resolve {saga.workflow_id}"
                " retry|succeeded|failed --reason ..."
            )
        case ShownState.FAILED:
            why = saga.failure.message if saga.failure else "It failed."
            return (
                f"It failed: {why}\n"
                f"Carry it on with: recompense sagas replay {saga.workflow_id} --reason ..."
            )
        case ShownState.DONE:
            refused = f" It was refused: {saga.failure.message}" if saga.failure else ""
            return f"It was carried to its end.{refused}"
        case ShownState.RUNNING:
            wrong = f" {saga.failure.message}" if saga.failure else ""
            return f"It is under way.{wrong}"


def tell_replay(report: ReplayReport, saga: SagaDetail) -> None:
    """What a replay did or would do."""
    typer.echo(report.why)
    if report.dry_run:
        typer.echo("This is a dry run: nothing was touched.")
    _effects("Known, and never made again", report.stands)
    _effects("To be looked up at the provider before anything is sent", report.would_look_up)
    _effects("To be made", report.would_make)
    if report.to_run is not None:
        typer.echo(f"\nRun {report.to_run} carries it on under attempt {report.attempt}.")
    typer.echo(f"{standing(saga)}\n{saga.ui_url}")


_STEP_COLUMNS = ["step", "attempt", "state", "outcome", "taken back", "effect key"]
_CALL_COLUMNS = ["at", "step", "attempt", "call", "status", "ms", "outcome"]


def _section(title: str) -> None:
    typer.echo(f"\n{title}")


def _effects(title: str, effects: Sequence[ReplayEffect]) -> None:
    if not effects:
        return
    _section(f"{title}:")
    for effect in effects:
        known = f" ({effect.outcome})" if effect.outcome else ""
        typer.echo(f"  {effect.effect_key}{known}")


def _step(step: SagaStep) -> list[str]:
    return [
        step.name,
        str(step.attempt),
        step.state.value.replace("_", " "),
        step.outcome or "-",
        step.compensation or "-",
        step.effect_key or "-",
    ]


def _call(call: ProviderCall) -> list[str]:
    return [
        f"{call.at:%H:%M:%S.%f}"[:-3],
        call.step,
        str(call.attempt),
        call.operation,
        "-" if call.status is None else str(call.status),
        str(call.duration_ms),
        call.outcome,
    ]
