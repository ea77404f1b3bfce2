"""Sagas as the API reaches them: start one and wait for its decision, hand it a person's word.

Whatever Temporal does meanwhile, the caller's question has one of three answers here: the decision;
None, when Temporal has the start and the rows tell the rest; or `Problem` 503, when that is not
certain.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, TemporalError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.idempotency import NeverStarted
from api.problems import RETRY_SOON, Problem
from recompense.contracts.sagas import DECISION_UPDATE_ID, SAGA_TASK_QUEUE, ProviderEventInput
from recompense.contracts.starting import (
    APPLY_PROVIDER_EVENT,
    TASK_TIMEOUT,
    Decided,
    SagaStart,
    event_workflow_id,
)

_PATIENCE_SECONDS = 1.5
"""A server that is down is noticed by the client library after 6 to 9 seconds; we ask after this
long.
"""

_QUICK_SECONDS = 1.0
_UPDATE_SECONDS = 10.0

Answered = TypeVar("Answered", bound=BaseModel)


class UpdateRefused(Exception):
    """The saga does not take this update now, or no run of it is there to take it."""


class StillOpen(Exception):
    """The saga has taken the update, and what comes of it is not known yet."""


class Sagas:
    """Temporal, for sagas."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._leftovers: set[asyncio.Task[None]] = set()

    async def decide(self, start: SagaStart[Decided], wait_seconds: float) -> Decided | None:
        """Start the saga or attach to it, and wait for its decision.

        None: Temporal has the start, and no decision came within the wait, or none will come any
        more. Raises `Problem` 503 when it is not known that Temporal has the start, and
        `NeverStarted` when it provably has not.
        """
        if wait_seconds <= 0:
            await self._start(start)
            return None
        operation = _operation(start)
        call = asyncio.ensure_future(
            self._client.execute_update_with_start_workflow(
                "decision",
                start_workflow_operation=operation,
                id=DECISION_UPDATE_ID,
                result_type=start.decision,
                rpc_timeout=timedelta(seconds=wait_seconds + _QUICK_SECONDS),
            )
        )
        try:
            return await self._awaited(call, start.workflow_id, wait_seconds)
        finally:
            if not call.done() or call.cancelled() or call.exception() is not None:
                self._retrieve(call, operation)

    async def _awaited(
        self, call: asyncio.Future[Decided], workflow_id: str, wait_seconds: float
    ) -> Decided | None:
        patience = min(wait_seconds, _PATIENCE_SECONDS)
        await asyncio.wait({call}, timeout=patience)
        started = False
        if not call.done():
            started = await self._has(workflow_id)
            await asyncio.wait({call}, timeout=wait_seconds - patience)
        if call.done():
            return await self._outcome(call, workflow_id)
        if not started and not await self._has(workflow_id):
            raise _unavailable()
        return None

    async def _outcome(self, call: asyncio.Future[Decided], workflow_id: str) -> Decided | None:
        try:
            return call.result()
        except (WorkflowUpdateFailedError, WorkflowAlreadyStartedError):
            # The run has ended without this decision: the rows know how.
            return None
        except RPCTimeoutOrCancelledError:
            if await self._has(workflow_id):
                return None
            raise _unavailable() from None
        except RuntimeError as error:
            # The client never had a connection: nothing can have been sent.
            raise NeverStarted(_unavailable()) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and await self._has(workflow_id):
                return None
            raise _unavailable() from error

    async def ask(
        self, start: SagaStart[Decided], name: str, word: BaseModel, *, key: str, seconds: float
    ) -> Decided | None:
        """Hand a workflow a person's word, once for each `key`; a run is started where none is
        under way.

        None: no answer came in time, or the run ended without one: the rows tell whether the word
        counts. Raises `Problem` 503, and `NeverStarted`, as `decide` does.
        """
        operation = _operation(start, WorkflowIDReusePolicy.ALLOW_DUPLICATE)
        call = asyncio.ensure_future(
            self._client.execute_update_with_start_workflow(
                name,
                word,
                start_workflow_operation=operation,
                id=key,
                result_type=start.decision,
                rpc_timeout=timedelta(seconds=seconds + _QUICK_SECONDS),
            )
        )
        try:
            await asyncio.wait({call}, timeout=seconds)
            return await self._outcome(call, start.workflow_id) if call.done() else None
        finally:
            if not call.done() or call.cancelled() or call.exception() is not None:
                self._retrieve(call, operation)

    async def again(self, start: SagaStart[Any]) -> None:
        """Have a run of this workflow, whether or not one has ended before.

        For a workflow whose rows say that there is something left to do. Raises `Problem` 503.
        """
        await self._start(start, WorkflowIDReusePolicy.ALLOW_DUPLICATE)

    async def _start(
        self,
        start: SagaStart[Any],
        reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
    ) -> None:
        options = _start_options(start) | {"id_reuse_policy": reuse}
        try:
            async with asyncio.timeout(_QUICK_SECONDS + _PATIENCE_SECONDS):
                await self._client.start_workflow(start.workflow, start.argument, **options)
        except WorkflowAlreadyStartedError:
            return
        except RuntimeError as error:
            raise NeverStarted(_unavailable()) from error
        except (RPCError, TimeoutError) as error:
            raise _unavailable() from error

    async def apply_event(self, event: ProviderEventInput) -> bool:
        """Start the workflow that applies a stored event. False: Temporal did not take it now.

        A duplicate starts it again unless it runs, or has done its work.
        """
        try:
            async with asyncio.timeout(_QUICK_SECONDS):
                await self._client.start_workflow(
                    APPLY_PROVIDER_EVENT,
                    event,
                    id=event_workflow_id(event),
                    task_queue=SAGA_TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    task_timeout=TASK_TIMEOUT,
                    static_summary=f"Apply an event of {event.provider}",
                )
        except WorkflowAlreadyStartedError:
            return True
        except (RPCError, TimeoutError, RuntimeError):
            return False
        return True

    async def update(
        self, workflow_id: str, name: str, argument: BaseModel, *, key: str, answer: type[Answered]
    ) -> Answered:
        """Hand a running saga a person's word, once for each `key`, and wait for its answer.

        Raises `UpdateRefused`, `StillOpen`, or `Problem` 503.
        """
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            async with asyncio.timeout(_UPDATE_SECONDS + _QUICK_SECONDS):
                answered: Answered = await handle.execute_update(
                    name,
                    argument,
                    id=key,
                    result_type=answer,
                    rpc_timeout=timedelta(seconds=_UPDATE_SECONDS),
                )
                return answered
        except WorkflowUpdateFailedError as error:
            raise UpdateRefused(_words(error)) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise UpdateRefused("No run of this saga is under way.") from error
            raise _unavailable() from error
        except (TimeoutError, RPCTimeoutOrCancelledError) as error:
            # The update may only have reached the server's memory: without a run that takes it, a
            # retry under the same key hands it in again.
            if await self._has(workflow_id):
                raise StillOpen from error
            raise _unavailable() from error
        except RuntimeError as error:
            raise _unavailable() from error

    async def ended(self, workflow_id: str, run_id: str | None, wait_seconds: float) -> bool:
        """Return when a run (None: the newest) has ended, however it did, or after the wait.

        False: it is not known to have ended.
        """
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            async with asyncio.timeout(wait_seconds):
                await handle.result()
        except WorkflowFailureError:
            return True
        except (TimeoutError, TemporalError, RPCError, RuntimeError):
            return False
        return True

    async def answers(self) -> bool:
        """Whether Temporal can be reached."""
        try:
            async with asyncio.timeout(_QUICK_SECONDS):
                return await self._client.service_client.check_health(retry=False)
        except (RPCError, TimeoutError, RuntimeError):
            return False

    async def _has(self, workflow_id: str) -> bool:
        """Whether Temporal knows this workflow. Raises `Problem` 503 when it does not answer."""
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id),
        )
        try:
            async with asyncio.timeout(_QUICK_SECONDS):
                await self._client.workflow_service.describe_workflow_execution(
                    request, retry=False, timeout=timedelta(seconds=_QUICK_SECONDS)
                )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise _unavailable() from error
        except (TimeoutError, RuntimeError) as error:
            raise _unavailable() from error
        return True

    def _retrieve(
        self, call: asyncio.Future[Any], operation: WithStartWorkflowOperation[Any, Any]
    ) -> None:
        """Take what a call that failed, or that nobody waits for, has left in its futures."""

        async def retrieve() -> None:
            call.cancel()
            await asyncio.wait({call})
            if not call.cancelled() and call.exception() is None:
                return
            handle = asyncio.ensure_future(operation.workflow_handle())
            await asyncio.wait({handle}, timeout=_QUICK_SECONDS)
            if handle.done() and not handle.cancelled():
                handle.exception()
            handle.cancel()

        task = asyncio.create_task(retrieve())
        self._leftovers.add(task)
        task.add_done_callback(self._leftovers.discard)


def _operation(
    start: SagaStart[Any], reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE
) -> WithStartWorkflowOperation[Any, Any]:
    options = _start_options(start) | {"id_reuse_policy": reuse}
    return WithStartWorkflowOperation(start.workflow, start.argument, **options)


def _start_options(start: SagaStart[Any]) -> dict[str, Any]:
    return {
        "id": start.workflow_id,
        "task_queue": start.task_queue,
        "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "task_timeout": start.task_timeout,
        "search_attributes": start.search_attributes,
        "static_summary": start.static_summary,
        "static_details": start.static_details,
    }


def _words(error: WorkflowUpdateFailedError) -> str:
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) else "The saga did not take it."


def _unavailable() -> Problem:
    return Problem("temporal_unavailable", headers=RETRY_SOON)
