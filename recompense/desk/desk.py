"""The desk itself: lists, stories, and answers to parked sagas."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import TypeAdapter
from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from recompense.contracts import words
from recompense.contracts.sagas import Resolution, ResolveDecision, SagaInput, SagaStatus
from recompense.contracts.words import AnySagaInput
from recompense.desk import orphans, rows, steps
from recompense.desk.carried_out import was_carried_out
from recompense.desk.executions import (
    Execution,
    answered,
    best,
    describe_all,
    ended_without_success,
    ui_page,
)
from recompense.desk.models import SagaDetail, SagaFailure, SagaRow, SagaStory, ShownState
from recompense.desk.replay import replay
from recompense.desk.rows import Filters, Story
from recompense.domain.failures import Refused
from recompense.domain.states import SagaState
from recompense.persistence.database import Database
from recompense.persistence.saga_tables import Operation, OperationRun

_CLOSED_RUNS_LOOKED_AT = 500
_OLD_ROWS_LOOKED_AT = 100
_OLD = timedelta(minutes=10)
_LOOK_AGAIN_SECONDS = 0.2
_SETTLES_WITHIN_SECONDS = 10.0
_AT_REST = frozenset({SagaState.FAILED, SagaState.PARKED, SagaState.DONE})
_ROW_STATES: dict[ShownState, tuple[SagaState, ...]] = {
    ShownState.RUNNING: (SagaState.RUNNING, SagaState.COMPENSATING),
    ShownState.PARKED: (SagaState.PARKED,),
    ShownState.FAILED: (SagaState.FAILED,),
    ShownState.DONE: (SagaState.DONE,),
}
_INPUT: TypeAdapter[AnySagaInput] = TypeAdapter(SagaInput)


@dataclass(frozen=True)
class SagaPage:
    """A page of sagas. `next_cursor` None: it was the last one."""

    data: tuple[SagaRow, ...]
    next_cursor: str | None


class SagaDesk:
    """Sagas for the people who watch over them.

    The operations' rows are the authority; Temporal is asked whether anybody still works on a saga
    whose row claims to live. Its methods raise `TemporalSilent` when Temporal does not answer.
    """

    def __init__(self, database: Database, client: Client, *, ui_url: str) -> None:
        self._database = database
        self._client = client
        self._ui_url = ui_url

    async def page(
        self,
        state: ShownState | None = None,
        *,
        payment_id: str | None = None,
        merchant_id: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> SagaPage:
        """A page of sagas, newest first; a cursor is the workflow id of the row before.

        A page of what runs or is parked may be shorter than `limit`: sagas whose run was terminated
        are among the failed. Raises `UnknownSaga` for a cursor that is none.
        """
        filters = Filters(
            states=None if state is None else _ROW_STATES[state],
            payment_id=payment_id,
            merchant_id=merchant_id,
            limit=limit,
            after=cursor,
        )
        if state is ShownState.FAILED:
            filters = replace(filters, abandoned=await self._abandoned())
        async with self._database.transaction() as session:
            found = await rows.page(session, filters)
            page, more = found[:limit], len(found) > limit
            ids = [one.saga_id for one in page]
            runs = await rows.newest_runs(session, ids)
            asked = await rows.with_orphans(session, ids)
        executions = await self._executions(page, runs)
        data = [
            self._row(one, runs.get(one.saga_id), executions.get(one.saga_id), one.saga_id in asked)
            for one in page
        ]
        return SagaPage(
            data=tuple(row for row in data if state is None or row.state is state),
            next_cursor=page[-1].saga_id if more else None,
        )

    async def show(self, workflow_id: str) -> SagaDetail:
        """One saga with its steps. Raises `UnknownSaga`."""
        story = await self._read(workflow_id)
        row = await self._row_of(story)
        return SagaDetail(**row.model_dump(), steps=steps.steps_of(story))

    async def story(self, workflow_id: str) -> SagaStory:
        """One saga's whole story. Raises `UnknownSaga`."""
        story = await self._read(workflow_id)
        row = await self._row_of(story)
        return SagaStory(
            **row.model_dump(),
            steps=steps.steps_of(story),
            summary=words.summary(_INPUT.validate_python(story.operation.input)),
            calls=steps.calls_of(story),
            runs=steps.runs_of(story),
            compensations=steps.compensations_of(story),
            audit=steps.audit_of(story),
        )

    async def resolve(
        self, workflow_id: str, resolution: Resolution, *, update_id: str | None = None
    ) -> SagaDetail:
        """Answer a parked saga, and wait until the answer has been taken. For a saga that has ended
        and left an effect standing, `succeeded` keeps it (the saga is replayed and takes it up) and
        `failed` says that it was undone at the provider.

        The same `update_id` is carried out once, and is no answer to what is asked later. Raises
        `UnknownSaga`, and `Refused`: `saga_not_parked` when nobody is asked, `nothing_to_retry`,
        `orphan_cannot_be_kept`.
        """
        story = await self._read(workflow_id)
        if update_id is None or not await was_carried_out(self._client, story, update_id):
            if rows.leaves_orphans(story):
                return await self._settle(story, resolution, update_id)
            await self._answer(story, resolution, update_id)
        return await self.show(story.operation.saga_id)

    async def _answer(self, story: Story, resolution: Resolution, update_id: str | None) -> None:
        execution = await self._execution(story)
        if execution is None or not execution.runs:
            raise _not_parked()
        handle = self._client.get_workflow_handle(execution.workflow_id)
        try:
            await answered(
                handle.execute_update("resolve", resolution, id=update_id, result_type=SagaStatus)
            )
        except WorkflowUpdateFailedError as error:
            raise _not_parked() from error
        except RPCTimeoutOrCancelledError as error:
            raise TimeoutError("the saga has not taken the answer yet") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise _not_parked() from error
            raise

    async def _settle(self, story: Story, resolution: Resolution, key: str | None) -> SagaDetail:
        orphans.check_answer(story, resolution.decision)
        saga_id = story.operation.saga_id
        if resolution.decision is ResolveDecision.FAILED:
            await orphans.forget(self._client, story, resolution, key)
            return await self.show(saga_id)
        report = await replay(
            self._client,
            self._database,
            saga_id,
            actor=resolution.actor,
            reason=resolution.reason,
            key=key,
        )
        return await self.after_replay(saga_id, str(report.to_run), _SETTLES_WITHIN_SECONDS)

    async def after_replay(self, workflow_id: str, run_id: str, wait_seconds: float) -> SagaDetail:
        """The saga once a replay's run has brought it to rest (failed, parked or done), or as it is
        when the wait has passed. Raises `UnknownSaga`.
        """
        until = asyncio.get_running_loop().time() + wait_seconds
        while True:
            story = await self._read(workflow_id)
            seen = any(run.run_id == run_id for run in story.runs)
            rests = story.operation.saga_state in _AT_REST
            if (seen and rests) or asyncio.get_running_loop().time() >= until:
                return await self.show(workflow_id)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _read(self, workflow_id: str) -> Story:
        async with self._database.transaction() as session:
            return await rows.story(session, workflow_id)

    async def _row_of(self, story: Story) -> SagaRow:
        newest = story.runs[-1] if story.runs else None
        execution = await self._execution(story)
        return self._row(story.operation, newest, execution, bool(story.orphans))

    async def _execution(self, story: Story) -> Execution | None:
        runs = {story.operation.saga_id: story.runs[-1]} if story.runs else {}
        found = await self._executions([story.operation], runs)
        return found.get(story.operation.saga_id)

    async def _executions(
        self, operations: list[Operation], runs: dict[str, OperationRun]
    ) -> dict[str, Execution | None]:
        """Who works on each saga whose row claims to live: under its own id, or, as a copy, under
        the id that was seen last.
        """
        ids = {
            one.saga_id: (one.saga_id, runs[one.saga_id].workflow_id)
            if one.saga_id in runs
            else (one.saga_id,)
            for one in operations
            if one.saga_state in rows.LIVE_STATES
        }
        found = await describe_all(self._client, [i for pair in ids.values() for i in pair])
        return {saga_id: best([found[i] for i in pair]) for saga_id, pair in ids.items()}

    async def _abandoned(self) -> list[str]:
        """Sagas whose rows claim to live and whose runs have ended: terminated, or failed by an
        error of ours. Bounded: the newest ends, and the rows that have not moved for longest.
        """
        ended = await ended_without_success(self._client, _CLOSED_RUNS_LOOKED_AT)
        async with self._database.transaction() as session:
            claimed = await rows.living_among(session, ended)
            claimed += await rows.longest_living(session, _OLD, _OLD_ROWS_LOOKED_AT)
            found = [await rows.find(session, saga_id) for saga_id in dict.fromkeys(claimed)]
            runs = await rows.newest_runs(session, claimed)
        executions = await self._executions(found, runs)
        return [
            saga_id
            for saga_id, execution in executions.items()
            if execution is None or execution.abandoned
        ]

    def _row(
        self,
        operation: Operation,
        run: OperationRun | None,
        execution: Execution | None,
        leaves_orphans: bool,
    ) -> SagaRow:
        workflow_id = run.workflow_id if run else operation.saga_id
        run_id = run.run_id if run else None
        if execution is not None:
            workflow_id, run_id = execution.workflow_id, execution.run_id
        state, failure = _standing(operation, execution)
        return SagaRow(
            workflow_id=operation.saga_id,
            run_id=run_id,
            kind=operation.kind,
            operation_id=operation.operation_id,
            payment_id=operation.payment_id,
            merchant_id=operation.merchant_id,
            provider=operation.provider,
            state=state,
            question=_question(operation, state, leaves_orphans),
            failure=failure,
            attempt=operation.attempt,
            since=operation.since,
            ui_url=ui_page(self._ui_url, self._client.namespace, workflow_id, run_id),
        )


def _standing(
    operation: Operation, execution: Execution | None
) -> tuple[ShownState, SagaFailure | None]:
    stored = _failure(operation)
    if operation.saga_state not in rows.LIVE_STATES:
        return ShownState(operation.saga_state), stored
    if execution is None:
        return ShownState.FAILED, SagaFailure(
            code="run_unknown", message="Temporal knows no run of it: nobody works on it."
        )
    if execution.abandoned:
        how = execution.status.name.lower().replace("_", " ")
        return ShownState.FAILED, SagaFailure(
            code=f"run_{execution.status.name.lower()}",
            message=f"Its run was {how} before it came to an end: nobody works on it.",
        )
    if execution.stuck:
        stored = SagaFailure(
            code="workflow_task_failing",
            message="Its workflow task fails again and again: the worker's code has an error.",
        )
    parked = operation.saga_state == SagaState.PARKED
    return ShownState.PARKED if parked else ShownState.RUNNING, stored


def _question(operation: Operation, state: ShownState, leaves_orphans: bool) -> str | None:
    if state is ShownState.PARKED:
        return operation.question
    return words.ORPHAN_QUESTION if leaves_orphans else None


def _failure(operation: Operation) -> SagaFailure | None:
    if operation.failure is None:
        return None
    shown = {name: operation.failure.get(name) for name in SagaFailure.model_fields}
    return SagaFailure.model_validate(shown)


def _not_parked() -> Refused:
    return Refused("saga_not_parked", "This saga is not waiting for a person.")
