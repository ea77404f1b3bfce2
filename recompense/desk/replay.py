"""Replay: carry a failed saga to its end, once, whatever state it was left in.

Every effect is journaled, so a reset at any event is safe; what is chosen here is the event that
is useful. A compensated saga starts over and pays afresh under its next attempt. One that was
terminated or is stuck goes on at its last provider step, and what is unknown there is looked up.
One that Temporal has forgotten gets a fresh run from its stored input.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from recompense.contracts.provider import Frozen
from recompense.contracts.sagas import SagaInput
from recompense.contracts.starting import saga_start
from recompense.contracts.words import AnySagaInput
from recompense.desk import rows
from recompense.desk.executions import Execution, answered, best, describe_all
from recompense.desk.forecast import Forecast, ReplayEffect, forecast
from recompense.desk.orphans import has_charged_the_payer
from recompense.desk.resets import pending_point, start_point
from recompense.desk.rows import Story
from recompense.domain.failures import Refused
from recompense.domain.states import SagaState
from recompense.persistence.database import Database
from recompense.persistence.outbox import audit
from recompense.persistence.saga_tables import AuditRecord

_AUDITED = "saga_replay"
_INPUT: TypeAdapter[AnySagaInput] = TypeAdapter(SagaInput)


class ReplayAction(StrEnum):
    """What a replay does."""

    NOTHING = "nothing"
    """The saga was carried to its end: nothing is left to do."""
    RESET = "reset"
    FRESH_RUN = "fresh_run"


class ReplayReport(Frozen):
    """What was done, or what would be (`dry_run`).

    `event_id` is the event of `from_run` that a reset goes back to; `to_run` the run that carries
    on; `attempt` the business attempt that it works on.
    """

    workflow_id: str
    action: ReplayAction
    dry_run: bool
    why: str
    attempt: int
    from_run: str | None
    event_id: int | None
    to_run: str | None
    stands: tuple[ReplayEffect, ...]
    would_make: tuple[ReplayEffect, ...]
    would_look_up: tuple[ReplayEffect, ...]

    @property
    def changed(self) -> bool:
        """Whether a run was started."""
        return self.to_run is not None


@dataclass(frozen=True)
class _Choice:
    action: ReplayAction
    why: str
    execution: Execution | None = None
    event_id: int | None = None


async def replay(
    client: Client,
    database: Database,
    saga_id: str,
    *,
    actor: str,
    reason: str,
    dry_run: bool = False,
    key: str | None = None,
) -> ReplayReport:
    """Carry a saga on, and audit who did and why; a dry run only tells what would happen.

    One `key`, one replay: repeated, it starts nothing and answers the first report, whatever has
    become of the saga. Raises `UnknownSaga`; `Refused` with `saga_is_parked` (a person is asked:
    resolve it) or `saga_is_running` (nothing to replay); `TemporalSilent`.
    """
    async with database.transaction() as session:
        story = await rows.story(session, saga_id)
    earlier = _recorded(story, key)
    if earlier is not None:
        to_run = await _run_since(client, story, earlier)
        if to_run is not None:
            return ReplayReport.model_validate({**earlier.details["report"], "to_run": to_run})
    if has_charged_the_payer(story):
        raise Refused(
            "saga_is_parked", "A capture stands at the provider: undo it there, then answer failed."
        )
    choice = await _choose(client, story)
    told = forecast(story, goes_on=choice.action is not ReplayAction.NOTHING)
    report = _report(story, choice, told, dry_run=dry_run)
    if dry_run or choice.action is ReplayAction.NOTHING:
        return report
    if earlier is None:
        # Before the run: whoever dies between the two leaves a key that is known.
        async with database.transaction() as session:
            _record(session, report, actor=actor, reason=reason, key=key)
    to_run = await _carry_on(client, story, choice, actor, reason, key)
    return report.model_copy(update={"to_run": to_run})


def _record(
    session: AsyncSession, report: ReplayReport, *, actor: str, reason: str, key: str | None
) -> None:
    audit(
        session,
        actor=actor,
        action=_AUDITED,
        target=report.workflow_id,
        reason=reason,
        key=key,
        attempt=report.attempt,
        report=report.model_dump(mode="json"),
    )


def _recorded(story: Story, key: str | None) -> AuditRecord | None:
    """The record of the replay that had this key before."""
    return next(
        (
            record
            for record in story.audit
            if key is not None and record.action == _AUDITED and record.details.get("key") == key
        ),
        None,
    )


async def _run_since(client: Client, story: Story, earlier: AuditRecord) -> str | None:
    """The run that has carried the saga on since a replay was recorded. None: it started none."""
    from_run = earlier.details["report"]["from_run"]
    for run in story.runs:
        if run.first_seen_at > earlier.at and run.run_id != from_run:
            return run.run_id
    execution = await _newest(client, story)
    return execution.run_id if execution and execution.run_id != from_run else None


async def _newest(client: Client, story: Story) -> Execution | None:
    ids = [story.operation.saga_id, *(run.workflow_id for run in story.runs)]
    return best((await describe_all(client, ids)).values())


async def _choose(client: Client, story: Story) -> _Choice:
    state = story.operation.saga_state
    if state == SagaState.DONE:
        return _Choice(ReplayAction.NOTHING, "It was carried to its end; nothing changes.")
    execution = await _newest(client, story)
    if execution is None:
        return _fresh("Temporal knows no run of it any more")
    if execution.runs:
        _refuse_what_runs(story, execution)
    elif state != SagaState.FAILED and execution.status is WorkflowExecutionStatus.COMPLETED:
        raise Refused("saga_is_running", "It has come to an end just now: look again.")
    events = await _history(client, execution)
    if state == SagaState.FAILED:
        why = "It failed and everything was taken back: it starts over under its next attempt"
        return _reset(execution, start_point(events), why)
    how = "is stuck" if execution.runs else f"was {execution.status.name.lower()}"
    return _reset(execution, pending_point(events), f"Its run {how}: it goes on where it stood")


def _refuse_what_runs(story: Story, execution: Execution) -> None:
    state = story.operation.saga_state
    if state == SagaState.PARKED:
        raise Refused("saga_is_parked", "It waits for a person's answer: resolve it.")
    # A run that was seen and still ends after the attempt was closed may be reset; one that was not
    # seen yet is somebody's replay.
    seen = any(run.run_id == execution.run_id for run in story.runs)
    if not execution.stuck and not (state == SagaState.FAILED and seen):
        raise Refused("saga_is_running", "It is under way: there is nothing to replay.")


def _fresh(why: str, execution: Execution | None = None) -> _Choice:
    how = f"{why}: a fresh run starts from its stored input."
    return _Choice(ReplayAction.FRESH_RUN, how, execution)


def _reset(execution: Execution, event_id: int | None, why: str) -> _Choice:
    if event_id is None:
        return _fresh("Its run's history is gone, or was never begun", execution)
    return _Choice(ReplayAction.RESET, f"{why}, from event {event_id}.", execution, event_id)


async def _history(client: Client, execution: Execution) -> list[HistoryEvent]:
    """A run's events; none when Temporal has dropped them."""
    handle = client.get_workflow_handle(execution.workflow_id, run_id=execution.run_id)

    async def collected() -> list[HistoryEvent]:
        return [event async for event in handle.fetch_history_events()]

    try:
        return await answered(collected())
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return []
        raise


async def _carry_on(
    client: Client, story: Story, choice: _Choice, actor: str, reason: str, key: str | None
) -> str:
    if choice.execution is None or choice.event_id is None:
        return await _start_afresh(client, story)
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(
            workflow_id=choice.execution.workflow_id, run_id=choice.execution.run_id
        ),
        workflow_task_finish_event_id=choice.event_id,
        request_id=str(uuid.uuid5(uuid.NAMESPACE_OID, key) if key else uuid.uuid4()),
        reason=f"{actor}: {reason}",
        identity=actor,
        reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_ALL_ELIGIBLE,
        reset_reapply_exclude_types=_not_told_again(story),
    )
    reset = await answered(client.workflow_service.reset_workflow_execution(request))
    return reset.run_id


def _not_told_again(story: Story) -> list[ResetReapplyExcludeType.ValueType]:
    """Whoever replays wants the saga to go on: a cancel is not told again. Events of providers are.

    A person's answers belong to the attempt that asked for them: the next one has to ask again.
    """
    excluded = [ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST]
    if story.operation.saga_state == SagaState.FAILED:
        excluded.append(ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE)
    return excluded


async def _start_afresh(client: Client, story: Story) -> str:
    start = saga_start(_INPUT.validate_python(story.operation.input))
    try:
        handle = await answered(
            client.start_workflow(
                start.workflow,
                start.argument,
                id=start.workflow_id,
                task_queue=start.task_queue,
                # The rows have said that nobody works on it; whoever started it meanwhile does.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                task_timeout=start.task_timeout,
                search_attributes=start.search_attributes,
                static_summary=start.static_summary,
                static_details=start.static_details,
            )
        )
    except WorkflowAlreadyStartedError as error:
        raise Refused("saga_is_running", "Somebody else has started it just now.") from error
    return str(handle.result_run_id)


def _report(story: Story, choice: _Choice, told: Forecast, *, dry_run: bool) -> ReplayReport:
    execution = choice.execution
    newest = story.runs[-1].run_id if story.runs else None
    return ReplayReport(
        workflow_id=story.operation.saga_id,
        action=choice.action,
        dry_run=dry_run,
        why=choice.why,
        attempt=told.attempt,
        from_run=execution.run_id if execution else newest,
        event_id=choice.event_id,
        to_run=None,
        stands=tuple(told.stands),
        would_make=tuple(told.would_make),
        would_look_up=tuple(told.would_look_up),
    )
