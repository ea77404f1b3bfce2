"""`recompense schedules`: what runs by the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import (
    Client,
    ScheduleBackfill,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from recompense.desk.executions import answered
from recompense.ops.terminal import (
    Actor,
    AsJson,
    DataDir,
    Reason,
    WrongUse,
    current_actor,
    opened_client,
    print_json,
    print_table,
    run,
    settings_of,
    told_to_the_person,
)

app = typer.Typer(help="See, pause and resume schedules.", no_args_is_help=True)

_DATES = ["%Y-%m-%d"]
ScheduleId = Annotated[str, typer.Argument(help="For example sweep-authorizations.")]


@app.command("list")
def list_(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the schedules, when each ran last and runs next."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> list[ScheduleDescription]:
        client = await opened_client(settings)
        return await answered(_described(client))

    found = sorted(run(work(), settings), key=lambda one: one.id)
    if as_json:
        print_json({"data": [_data(one) for one in found]})
        return
    columns = ["schedule", "state", "every", "ran last", "runs next", "note"]
    print_table(columns, [_row(one) for one in found])


@app.command()
def pause(
    schedule: ScheduleId, reason: Reason, actor: Actor = None, data_dir: DataDir = None
) -> None:
    """Pause a schedule. What runs already goes on."""
    note = f"{current_actor(actor)}: {reason}"
    _change(data_dir, schedule, note, paused=True)
    typer.echo(f"{schedule} is paused.")


@app.command()
def resume(
    schedule: ScheduleId, reason: Reason, actor: Actor = None, data_dir: DataDir = None
) -> None:
    """Let a paused schedule run again."""
    note = f"{current_actor(actor)}: {reason}"
    _change(data_dir, schedule, note, paused=False)
    typer.echo(f"{schedule} runs again.")


@app.command()
def backfill(
    schedule: ScheduleId,
    since: Annotated[datetime, typer.Option("--from", formats=_DATES, help="First date.")],
    until: Annotated[datetime, typer.Option("--to", formats=_DATES, help="Last date.")],
    reason: Reason,
    actor: Actor = None,
    data_dir: DataDir = None,
) -> None:
    """Run a schedule for dates that it has missed, both included (UTC). A payout run that was made
    already stays the only one of its date.
    """
    note = f"{current_actor(actor)}: backfill of {since.date()} to {until.date()}: {reason}"
    times = ScheduleBackfill(
        start_at=since.replace(tzinfo=UTC),
        end_at=until.replace(tzinfo=UTC) + timedelta(days=1) - timedelta(microseconds=1),
        overlap=ScheduleOverlapPolicy.BUFFER_ALL,
    )
    if until < since:
        with told_to_the_person():
            raise WrongUse("--to is before --from.")

    async def work(handle: ScheduleHandle) -> None:
        await handle.backfill(times)
        await handle.update(lambda present: _noted(present, note))

    _with_schedule(data_dir, schedule, work)
    typer.echo(f"{schedule} makes up for {since.date()} to {until.date()}.")


def _noted(present: ScheduleUpdateInput, note: str) -> ScheduleUpdate:
    present.description.schedule.state.note = note
    return ScheduleUpdate(schedule=present.description.schedule)


async def _described(client: Client) -> list[ScheduleDescription]:
    listed = await client.list_schedules()
    return [await client.get_schedule_handle(one.id).describe() async for one in listed]


def _change(data_dir: Path | None, schedule: str, note: str, *, paused: bool) -> None:
    async def work(handle: ScheduleHandle) -> None:
        await (handle.pause(note=note) if paused else handle.unpause(note=note))

    _with_schedule(data_dir, schedule, work)


def _with_schedule(
    data_dir: Path | None, schedule: str, change: Callable[[ScheduleHandle], Awaitable[None]]
) -> None:
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> None:
        handle = (await opened_client(settings)).get_schedule_handle(schedule)
        try:
            await answered(change(handle))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise WrongUse(f"There is no schedule {schedule}.") from error
            raise

    run(work(), settings)


def _data(one: ScheduleDescription) -> dict[str, object]:
    every = one.schedule.spec.intervals
    return {
        "id": one.id,
        "paused": one.schedule.state.paused,
        "every_seconds": every[0].every.total_seconds() if every else None,
        "daily_at": _daily_at(one),
        "last": _last(one),
        "next": one.info.next_action_times[0].isoformat() if one.info.next_action_times else None,
        "note": one.schedule.state.note,
    }


def _daily_at(one: ScheduleDescription) -> str | None:
    spec = one.schedule.spec
    if not spec.calendars:
        return None
    [hour], [minute] = spec.calendars[0].hour, spec.calendars[0].minute
    return f"{hour.start:02}:{minute.start:02} {spec.time_zone_name or 'UTC'}"


def _last(one: ScheduleDescription) -> str | None:
    recent = one.info.recent_actions
    return recent[-1].started_at.isoformat() if recent else None


def _row(one: ScheduleDescription) -> list[str]:
    data = _data(one)
    seconds = data["every_seconds"]
    every = f"day at {data['daily_at']}" if seconds is None else f"{seconds} s"
    state = "paused" if data["paused"] else "runs"
    return [one.id, state, every, *(str(data[name] or "-") for name in ("last", "next", "note"))]
