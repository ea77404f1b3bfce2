"""The steps of scheduled sweeps: authorizations past their validity, and money that has become
available.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.toolbox import Toolbox
from recompense.contracts.steps import Expiring, ExpiringPage, PageDone, PageRequest
from recompense.domain.states import CaptureStatus
from recompense.ledger import templates
from recompense.ledger.postings import posting_key
from recompense.persistence import ledger
from recompense.persistence.reads import next_void_number
from recompense.persistence.tables import Capture, Payment
from recompense.persistence.views import AUTHORIZED_STATUSES


class SweepActivities:
    """Page through what a schedule has to do."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="sweep.expiring")
    async def expiring(self, page: PageRequest) -> ExpiringPage:
        """Page through authorizations past their validity. One with an open capture comes back
        later.
        """
        async with self._tools.database.transaction() as session:
            query = (
                select(Payment)
                .where(
                    col(Payment.status).in_(AUTHORIZED_STATUSES),
                    col(Payment.amount_captured) + col(Payment.amount_voided)
                    < col(Payment.amount_authorized),
                    col(Payment.authorization_expires_at) < datetime.now(UTC),
                    col(Payment.amount_capture_reserved) == 0,
                    ~col(Payment.void_open),
                )
                .order_by(col(Payment.id))
                .limit(page.page_size)
            )
            if page.cursor is not None:
                query = query.where(col(Payment.id) > page.cursor)
            payments = (await session.exec(query)).all()
            items = [await _expiring(session, payment) for payment in payments]
            full = len(payments) == page.page_size
            return ExpiringPage(items=tuple(items), cursor=payments[-1].id if full else None)

    @activity.defn(name="availability.release")
    async def make_available(self, page: PageRequest) -> PageDone:
        """Move a page of captured money that has become due from pending to available."""
        async with self._tools.database.transaction() as session:
            found = await session.exec(
                select(Capture.id, Capture.payment_id)
                .where(
                    Capture.status == CaptureStatus.SUCCEEDED,
                    ~col(Capture.made_available),
                    col(Capture.available_at) <= datetime.now(UTC),
                )
                .order_by(col(Capture.available_at))
                .limit(page.page_size)
            )
            due = found.all()
        for capture_id, payment_id in due:
            await self._release(capture_id, payment_id)
        full = len(due) == page.page_size
        return PageDone(handled=len(due), cursor="more" if full else None)

    async def _release(self, capture_id: str, payment_id: str) -> None:
        """Move one capture's money, less what refunds of its payment have taken or reserved from
        pending.
        """
        async with self._tools.database.transaction() as session:
            payment = await session.get_one(Payment, payment_id, with_for_update=True)
            capture = await session.get_one(Capture, capture_id, with_for_update=True)
            if capture.made_available:
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
            await ledger.post(
                session,
                templates.made_available(
                    posting_key(capture.id, "available", 1),
                    payment_id=payment.id,
                    merchant_id=payment.merchant_id,
                    amount=amount,
                    currency=payment.currency,
                ),
            )


async def _expiring(session: AsyncSession, payment: Payment) -> Expiring:
    number = await next_void_number(session, payment.id)
    return Expiring(payment_id=payment.id, merchant_id=payment.merchant_id, number=number)
