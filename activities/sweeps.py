"""The steps of scheduled sweeps: authorizations past their validity, and money that has become
available.
"""

from __future__ import annotations

from temporalio import activity

from activities.toolbox import Toolbox
from recompense.contracts.steps import Expiring, ExpiringPage, PageDone, PageRequest
from recompense.ledger import templates
from recompense.ledger.postings import posting_key
from recompense.persistence.tables import Capture, Payment
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
        """Move a page of captured money that has become due from pending to available."""
        async with self._tools.store.work() as work:
            due = await work.captures_due(page.page_size)
        for capture_id, payment_id in due:
            await self._release(capture_id, payment_id)
        full = len(due) == page.page_size
        return PageDone(handled=len(due), cursor="more" if full else None)

    async def _release(self, capture_id: str, payment_id: str) -> None:
        """Move one capture's money, less what refunds of its payment have taken or reserved from
        pending.
        """
        async with self._tools.store.work() as work:
            payment = await work.get(Payment, payment_id, lock=True)
            capture = await work.get(Capture, capture_id, lock=True)
            if payment is None or capture is None or capture.made_available:
                return
            capture.made_available = True
            pending = (
                payment.amount_captured
                - payment.amount_fees
                - payment.amount_made_available
                - payment.amount_refunded_from_pending
            )
            amount = min(capture.amount - capture.fee, pending)
            if amount <= 0:
                return
            payment.amount_made_available += amount
            await work.post(
                templates.made_available(
                    posting_key(capture.id, "available", 1),
                    payment_id=payment.id,
                    merchant_id=payment.merchant_id,
                    amount=amount,
                    currency=payment.currency,
                ),
            )


async def _expiring(work: Work, payment: Payment) -> Expiring:
    ended = await work.ended_voids(payment.id)
    return Expiring(payment_id=payment.id, merchant_id=payment.merchant_id, number=ended + 1)
