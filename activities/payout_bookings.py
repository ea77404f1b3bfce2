"""How a payout's row and the ledger move together, under the payout's lock."""

from __future__ import annotations

from activities.bookings import merchant_of, required
from recompense.contracts.sagas import SagaRef
from recompense.domain.failures import InvariantBroken
from recompense.domain.states import PAYOUT_TRANSITIONS, PayoutStatus, may_move
from recompense.domain.terms import FeeSchedule
from recompense.ledger import templates
from recompense.ledger.accounts import bank_cash, merchant_available
from recompense.ledger.postings import OpenHold, TransferRef, posting_key
from recompense.persistence import outbox
from recompense.persistence.tables import Payout
from recompense.persistence.views import payout_view
from recompense.persistence.work import Work


async def locked_payout(work: Work, saga: SagaRef) -> Payout:
    """Lock the payout that a saga works on."""
    payout = await work.get(Payout, saga.operation_id, lock=True)
    if payout is None:
        raise InvariantBroken(f"{saga.saga_id} has no payout")
    return payout


def set_payout_status(payout: Payout, target: PayoutStatus) -> None:
    """Move a payout along its transition table; any other move is a broken invariant."""
    current = PayoutStatus(payout.status)
    if not may_move(PAYOUT_TRANSITIONS, current, target):
        raise InvariantBroken(f"payout {payout.id} cannot move from {current} to {target}")
    payout.status = target


async def tell_payout(work: Work, payout: Payout, word: str | None = None) -> None:
    """Emit the event that is named after the payout's present status, or after `word`."""
    await work.flush()
    outbox.emit(
        work,
        f"payout.{word or payout.status}",
        payout_view(payout),
        merchant_id=payout.merchant_id,
    )


def _hold(payout: Payout, bank: str) -> list[OpenHold]:
    return [
        OpenHold(
            ref=TransferRef(required(payout.hold_key), 1),
            debit=merchant_available(payout.merchant_id),
            credit=bank_cash(bank),
            currency=payout.currency,
            remaining=payout.amount,
        )
    ]


async def post_paid(work: Work, payout: Payout, bank: str, attempt: int) -> None:
    """The money has left: post the reservation."""
    key = posting_key(payout.id, "payout", attempt)
    await work.post(templates.payout_paid(key, holds=_hold(payout, bank)))
    payout.hold_key = None


async def give_back(
    work: Work,
    payout: Payout,
    bank: str,
    attempt: int,
    failure: dict[str, str | None] | None,
) -> None:
    """The payout will not happen: release the reservation."""
    key = posting_key(payout.id, "payout.release", attempt)
    await work.post(templates.payout_failed(key, holds=_hold(payout, bank)))
    payout.hold_key = None
    payout.failure = None if failure is None else dict(failure)


async def post_returned(work: Work, payout: Payout, bank: str) -> None:
    """A paid payout has come back: the merchant has the money again, less what a return costs."""
    merchant = await merchant_of(work, payout.merchant_id)
    fees = FeeSchedule.model_validate(merchant.fees)
    payout.return_fee = fees.return_fee(payout.amount, payout.currency)
    posting = templates.payout_returned(
        posting_key(payout.id, "payout.returned", 1),
        merchant_id=payout.merchant_id,
        bank=bank,
        amount=payout.amount,
        currency=payout.currency,
        return_fee=payout.return_fee,
    )
    await work.post(posting)
    set_payout_status(payout, PayoutStatus.RETURNED)
    await tell_payout(work, payout)
