"""Scheduled sweeps: end authorizations past their validity, and make captured money available."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError

from recompense.contracts import activities
from recompense.contracts.sagas import SweepInput, VoidInput
from recompense.contracts.starting import saga_start
from recompense.contracts.steps import Expiring, ExpiringPage, PageDone, PageRequest
from workflows.policies import IN_HOUSE
from workflows.void import VoidAuthorization


@workflow.defn(name="SweepAuthorizations")
class SweepAuthorizations:
    """Start a void for each authorization whose time has run out.

    One that is being captured comes back next time.
    """

    @workflow.run
    async def run(self, sweep: SweepInput) -> int:
        """Sweep all pages. Returns how many voids were started."""
        cursor: str | None = None
        started = 0
        while True:
            page: ExpiringPage = await workflow.execute_local_activity(
                activities.expiring_authorizations,
                PageRequest(page_size=sweep.page_size, cursor=cursor),
                **IN_HOUSE,
            )
            for item in page.items:
                started += await self._start(item)
            cursor = page.cursor
            if cursor is None:
                return started

    async def _start(self, item: Expiring) -> int:
        void = VoidInput(
            payment_id=item.payment_id,
            merchant_id=item.merchant_id,
            number=item.number,
            cause="expiry",
            requested_by="recompense:sweep",
        )
        start = saga_start(void)
        try:
            await workflow.start_child_workflow(
                VoidAuthorization.run,
                void,
                id=start.workflow_id,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                task_timeout=start.task_timeout,
                search_attributes=start.search_attributes,
                static_summary=start.static_summary,
                static_details=start.static_details,
            )
        except FailureError:
            # A void of this number runs or has run: it is read from the payment, not awaited.
            return 0
        return 1


@workflow.defn(name="ReleaseAvailability")
class ReleaseAvailability:
    """Move money whose days have passed from pending to available."""

    @workflow.run
    async def run(self, sweep: SweepInput) -> int:
        """Release all pages that are due. Returns how many captures were released."""
        released = 0
        while True:
            page: PageDone = await workflow.execute_local_activity(
                activities.make_available, PageRequest(page_size=sweep.page_size), **IN_HOUSE
            )
            released += page.handled
            if page.cursor is None:
                return released
