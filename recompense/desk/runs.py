"""What finance does with payout runs from the command line: the same steps as by the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from recompense.contracts.payout_runs import (
    PayoutRunDecision,
    PayoutRunInput,
    RunReview,
    RunReviewed,
)
from recompense.contracts.sagas import DECISION_UPDATE_ID, Refusal
from recompense.contracts.starting import payout_run_start
from recompense.contracts.views import PayoutRunItemView, PayoutRunView
from recompense.desk.executions import answered, describe, start_options, ui_page
from recompense.domain.failures import Refused
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import payout_run_reads, payout_runs
from recompense.persistence.database import Database
from recompense.persistence.payout_run_reads import RunFilters
from recompense.persistence.run_tables import PayoutRunRow

_ITEMS_AT_ONCE = 500
_PATIENCE = timedelta(seconds=4)


@dataclass(frozen=True)
class RunWorkflow:
    """The workflow of a run, and its page in the Temporal UI.

    `status` is Temporal's word, such as `running` or `terminated`; None: it knows none any more.
    `abandoned`: it has ended early, and nobody works on the run.
    """

    workflow_id: str
    ui_url: str
    status: str | None
    abandoned: bool


class RunDesk:
    """Payout runs for finance. Its methods raise `TemporalSilent` when Temporal does not answer,
    `LookupError` for a run that is not there, and `Refused`, as the API answers.
    """

    def __init__(self, database: Database, client: Client) -> None:
        self._database = database
        self._client = client

    async def make(
        self, name: str, business_date: date, currency: str | None, *, actor: str
    ) -> PayoutRunView:
        """Make a run, and wait until its items are frozen."""
        run = PayoutRunInput(
            name=name,
            business_date=business_date,
            currency=currency,
            run_id=new_id(IdPrefix.PAYOUT_RUN),
            requested_by=actor,
        )
        made = await self._present(run) or await self._decided(run)
        if made.id != run.run_id:
            raise Refused("payout_run_exists", f"There is such a run already: {made.id}.")
        return made

    async def _present(self, run: PayoutRunInput) -> PayoutRunView | None:
        async with self._database.transaction() as session:
            found = await payout_run_reads.excluding(
                session, run.name, run.business_date, run.currency
            )
            return None if found is None else await payout_run_reads.view(session, found)

    async def _decided(self, run: PayoutRunInput) -> PayoutRunView:
        start = payout_run_start(run)
        options = start_options(start, WorkflowIDReusePolicy.REJECT_DUPLICATE)
        operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            start.workflow, start.argument, **options
        )
        decision: PayoutRunDecision = await answered(
            self._client.execute_update_with_start_workflow(
                "decision",
                start_workflow_operation=operation,
                id=DECISION_UPDATE_ID,
                result_type=PayoutRunDecision,
                rpc_timeout=_PATIENCE,
            )
        )
        return _told(decision.run, decision.refusal)

    async def page(self, filters: RunFilters) -> Sequence[PayoutRunView]:
        """The newest runs."""
        async with self._database.transaction() as session:
            return (await payout_run_reads.listed(session, filters))[: filters.limit]

    async def show(self, run_id: str) -> tuple[PayoutRunView, list[PayoutRunItemView]]:
        """One run with all of its items."""
        items: list[PayoutRunItemView] = []
        async with self._database.transaction() as session:
            run = await payout_run_reads.find(session, run_id)
            if run is None:
                raise LookupError(f"there is no payout run {run_id}")
            while page := await payout_run_reads.items(
                session,
                run_id,
                limit=_ITEMS_AT_ONCE,
                before_id=items[-1].id if items else None,
            ):
                items += page
        return run, items

    async def workflow_of(self, run_id: str, ui_url: str) -> RunWorkflow:
        """The workflow of a run, as Temporal knows it. `ui_url` is where its UI is."""
        workflow_id = (await self._input(run_id)).workflow_id
        found = await describe(self._client, workflow_id)
        return RunWorkflow(
            workflow_id=workflow_id,
            ui_url=ui_page(
                ui_url, self._client.namespace, workflow_id, found.run_id if found else None
            ),
            status=found.status.name.lower() if found else None,
            abandoned=found is not None and found.abandoned,
        )

    async def review(self, run_id: str, review: RunReview) -> PayoutRunView:
        """Approve or reject a run, in the name of the review's actor."""
        run = await self._input(run_id)
        handle = self._client.get_workflow_handle(run.workflow_id)
        try:
            reviewed: RunReviewed = await answered(
                handle.execute_update(
                    "review", review, id=uuid4().hex, result_type=RunReviewed, rpc_timeout=_PATIENCE
                )
            )
        except WorkflowUpdateFailedError as error:
            raise _not_awaiting() from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise _not_awaiting() from error
            raise
        return _told(reviewed.run, reviewed.refusal)

    async def resume(self, run_id: str, *, actor: str, reason: str) -> PayoutRunView:
        """Pay the failed items of a run that has ended, or carry on one that nobody works on."""
        await self._input(run_id)
        async with self._database.transaction() as session:
            row = await payout_runs.locked(session, run_id)
            if not await payout_runs.resume(
                session, row, key=uuid4().hex, actor=actor, reason=reason
            ):
                raise Refused(
                    "payout_run_nothing_to_resume", "No item of this run can be paid again."
                )
            await session.flush()
            view, start = await payout_run_reads.view(session, row), payout_run_start(_of(row))
        try:
            await answered(
                self._client.start_workflow(
                    start.workflow,
                    start.argument,
                    **start_options(start, WorkflowIDReusePolicy.ALLOW_DUPLICATE),
                )
            )
        except WorkflowAlreadyStartedError:
            return view
        return view

    async def _input(self, run_id: str) -> PayoutRunInput:
        async with self._database.transaction() as session:
            row = await session.get(PayoutRunRow, run_id)
        if row is None:
            raise LookupError(f"there is no payout run {run_id}")
        return _of(row)


def _of(row: PayoutRunRow) -> PayoutRunInput:
    return PayoutRunInput.model_validate(row.carried_on())


def _told(run: PayoutRunView | None, refusal: Refusal | None) -> PayoutRunView:
    if run is None:
        message = refusal.message if refusal else "The run gave no answer."
        raise Refused(refusal.code if refusal else "payout_run_not_awaiting_approval", message)
    return run


def _not_awaiting() -> Refused:
    return Refused(
        "payout_run_not_awaiting_approval", "This payout run does not wait for an approval."
    )
