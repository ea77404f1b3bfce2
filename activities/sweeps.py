"""The steps of scheduled sweeps: authorizations past their validity, and money that has become
available.
"""

from __future__ import annotations

from temporalio import activity

from activities.availability import make_available, release_reserve
from activities.toolbox import Toolbox
from recompense.contracts.steps import Expiring, ExpiringPage, PageDone, PageRequest
from recompense.persistence.tables import Payment
from recompense.persistence.work import Work


class SweepActivities:
    """Page through what a schedule has to do."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="sweep.expiring")
    async def expiring(self, page: PageRequest) -> ExpiringPage:
        """Page through authorizations past their validity. One with an open capture comes back
        later.
        """
        async with self._tools.store.work() as work:
            payments = await work.expired_authorizations(page.cursor, page.page_size)
            items = [await _expiring(work, payment) for payment in payments]
            full = len(payments) == page.page_size
            return ExpiringPage(items=tuple(items), cursor=payments[-1].id if full else None)

    @activity.defn(name="availability.release")
    async def make_available(self, page: PageRequest) -> PageDone:
        """Move a page of what has become due: captured money out of pending, and what reserves
        have kept long enough to available. Each in a transaction of its own, once.
        """
        async with self._tools.store.work() as work:
            captures = await work.captures_due(page.page_size)
            tranches = await work.tranches_due(page.page_size)
        for capture_id, payment_id in captures:
            async with self._tools.store.work() as work:
                await make_available(work, capture_id, payment_id, self._tools.now())
        for capture_id in tranches:
            async with self._tools.store.work() as work:
                await release_reserve(work, capture_id)
        full = page.page_size in {len(captures), len(tranches)}
        handled = len(captures) + len(tranches)
        return PageDone(handled=handled, cursor="more" if full else None)


async def _expiring(work: Work, payment: Payment) -> Expiring:
    ended = await work.ended_voids(payment.id)
    return Expiring(payment_id=payment.id, merchant_id=payment.merchant_id, number=ended + 1)
