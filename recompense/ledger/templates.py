"""What each event of a payment's life does to the books: one pure function for each.

Every function takes the posting's key and answers with a balanced posting. Amounts are minor units.
Holds are passed in as they stand in the ledger, so that a template never guesses what is open.

All raise `ValueError` for amounts that cannot be posted; the caller has checked them before,
against the payment's row.
"""

from collections.abc import Sequence

from recompense.ledger.accounts import (
    PLATFORM_FEES,
    bank_cash,
    merchant_available,
    merchant_pending,
    merchant_reserve,
    provider_clearing,
    provider_fees,
)
from recompense.ledger.postings import (
    OpenHold,
    Phase,
    Posting,
    Transfer,
    resolve,
    total_remaining,
)


def authorized(
    key: str, *, payment_id: str, provider: str, merchant_id: str, amount: int, currency: str
) -> Posting:
    """Hold what the provider has authorized for the merchant."""
    hold = Transfer(
        provider_clearing(provider), merchant_pending(merchant_id), amount, currency, Phase.PENDING
    )
    return Posting(key, (hold,), payment_id)


def captured(
    key: str,
    *,
    payment_id: str,
    holds: Sequence[OpenHold],
    merchant_id: str,
    amount: int,
    fee: int,
    currency: str,
    made_available: int = 0,
    reserved: int = 0,
) -> Posting:
    """Post `amount` of the authorization's holds and charge our fee.

    `made_available` of it becomes available at once and `reserved` is kept back: together the
    amount less the fee where the merchant's rule is `on_capture`.
    """
    moved = made_available + reserved
    if fee + moved > amount:
        raise ValueError(f"{fee} in fees and {moved} available exceed {amount} captured")
    transfers = resolve(holds, amount, Phase.POSTED)
    transfers += _transfer_of(merchant_pending(merchant_id), PLATFORM_FEES, fee, currency)
    transfers += _out_of_pending(merchant_id, made_available, reserved, currency)
    return Posting(key, tuple(transfers), payment_id)


def voided(key: str, *, payment_id: str, holds: Sequence[OpenHold]) -> Posting:
    """Give back the rest of the authorization's holds: a void, or the release of a compensation."""
    return _given_back(key, payment_id, holds, Phase.VOIDED)


def expired(key: str, *, payment_id: str, holds: Sequence[OpenHold]) -> Posting:
    """Give back the rest of the authorization's holds because its time has run out."""
    return _given_back(key, payment_id, holds, Phase.EXPIRED)


def made_available(
    key: str,
    *,
    payment_id: str | None,
    merchant_id: str,
    amount: int,
    currency: str,
    reserved: int = 0,
) -> Posting:
    """Make `amount` of captured money available to the merchant, and keep `reserved` of it back.

    For each capture both together are what was captured less fees, less what was refunded or is
    reserved for a refund, decided under the payment's lock: so the merchant's pending account never
    goes below zero and needs no floor.
    """
    moves = _out_of_pending(merchant_id, amount, reserved, currency)
    return Posting(key, tuple(moves), payment_id)


def reserve_released(
    key: str, *, payment_id: str, merchant_id: str, amount: int, currency: str
) -> Posting:
    """Give the merchant what the rolling reserve has kept back of a capture."""
    free = Transfer(
        merchant_reserve(merchant_id), merchant_available(merchant_id), amount, currency
    )
    return Posting(key, (free,), payment_id)


def refund_asked(
    key: str,
    *,
    payment_id: str,
    provider: str,
    merchant_id: str,
    amount: int,
    payment_pending: int,
    currency: str,
) -> Posting:
    """Reserve a refund: first from the payment's own money that is still pending, then from
    available.

    `payment_pending` is what this payment has in the merchant's pending account and no other refund
    has reserved.
    """
    if payment_pending < 0:
        raise ValueError(f"payment {payment_id} has {payment_pending} pending, below zero")
    from_pending = min(amount, payment_pending)
    clearing = provider_clearing(provider)
    transfers = [
        *_hold_of(merchant_pending(merchant_id), clearing, from_pending, currency),
        *_hold_of(merchant_available(merchant_id), clearing, amount - from_pending, currency),
    ]
    return Posting(key, tuple(transfers), payment_id)


def refund_done(
    key: str,
    *,
    payment_id: str,
    holds: Sequence[OpenHold],
    merchant_id: str,
    currency: str,
    fee_returned: int = 0,
) -> Posting:
    """Post a refund's reservation. Our fee is kept, but for `fee_returned`."""
    transfers = resolve(holds, total_remaining(holds), Phase.POSTED)
    transfers += _transfer_of(
        PLATFORM_FEES, merchant_available(merchant_id), fee_returned, currency
    )
    return Posting(key, tuple(transfers), payment_id)


def refund_refused(key: str, *, payment_id: str, holds: Sequence[OpenHold]) -> Posting:
    """Release a refund's reservation: the provider has refused it, or the saga was taken back."""
    return _given_back(key, payment_id, holds, Phase.VOIDED)


def capture_taken_back(key: str, *, capture: Posting) -> Posting:
    """Reverse a capture with its fee and availability; its part of the hold is held again."""
    return capture.reversed(key)


def payout_asked(key: str, *, merchant_id: str, bank: str, amount: int, currency: str) -> Posting:
    """Reserve the funds of a payout."""
    hold = Transfer(
        merchant_available(merchant_id), bank_cash(bank), amount, currency, Phase.PENDING
    )
    return Posting(key, (hold,))


def payout_paid(key: str, *, holds: Sequence[OpenHold]) -> Posting:
    """Post a payout's reservation: the money has left the bank account."""
    return Posting(key, tuple(resolve(holds, total_remaining(holds), Phase.POSTED)))


def payout_failed(key: str, *, holds: Sequence[OpenHold]) -> Posting:
    """Release a payout's reservation."""
    return _given_back(key, None, holds, Phase.VOIDED)


def payout_returned(
    key: str, *, merchant_id: str, bank: str, amount: int, currency: str, return_fee: int = 0
) -> Posting:
    """Take back a payout that was paid and came back; the merchant bears the `return_fee`."""
    available = merchant_available(merchant_id)
    transfers = [
        Transfer(bank_cash(bank), available, amount, currency),
        *_transfer_of(available, PLATFORM_FEES, return_fee, currency),
    ]
    return Posting(key, tuple(transfers))


def settled(
    key: str, *, provider: str, bank: str, amount: int, provider_fee: int, currency: str
) -> Posting:
    """Book a settlement: `amount` has reached the bank, the provider has kept `provider_fee`.

    Below zero, the provider has taken the amount from the bank, or given the fee back.
    """
    clearing = provider_clearing(provider)
    transfers = [
        *_either_way(bank_cash(bank), clearing, amount, currency),
        *_either_way(provider_fees(provider), clearing, provider_fee, currency),
    ]
    return Posting(key, tuple(transfers))


def break_repaired(
    key: str,
    *,
    provider: str,
    bank: str,
    amount: int,
    provider_fee: int,
    difference: int,
    difference_account: str,
    currency: str,
) -> Posting | None:
    """Book what a break was about. None: nothing moves.

    Each number is what its account is debited with (below zero: credited): `amount` the bank,
    `provider_fee` the provider's fees, `difference` the suspense or the losses. The clearing
    account bears the rest.
    """
    clearing = provider_clearing(provider)
    transfers = [
        *_either_way(bank_cash(bank), clearing, amount, currency),
        *_either_way(provider_fees(provider), clearing, provider_fee, currency),
        *_either_way(difference_account, clearing, difference, currency),
    ]
    return Posting(key, tuple(transfers)) if transfers else None


def dispute_opened(
    key: str, *, payment_id: str, merchant_id: str, amount: int, currency: str
) -> Posting:
    """Keep the disputed amount back from the merchant."""
    kept = Transfer(
        merchant_available(merchant_id), merchant_reserve(merchant_id), amount, currency
    )
    return Posting(key, (kept,), payment_id)


def dispute_won(
    key: str, *, payment_id: str, merchant_id: str, amount: int, currency: str
) -> Posting:
    """Give the merchant back what the dispute kept."""
    returned = Transfer(
        merchant_reserve(merchant_id), merchant_available(merchant_id), amount, currency
    )
    return Posting(key, (returned,), payment_id)


def dispute_lost(
    key: str, *, payment_id: str, provider: str, merchant_id: str, amount: int, currency: str
) -> Posting:
    """Let the provider take the disputed amount."""
    taken = Transfer(merchant_reserve(merchant_id), provider_clearing(provider), amount, currency)
    return Posting(key, (taken,), payment_id)


def _out_of_pending(
    merchant_id: str, available: int, reserved: int, currency: str
) -> list[Transfer]:
    pending = merchant_pending(merchant_id)
    return [
        *_transfer_of(pending, merchant_available(merchant_id), available, currency),
        *_transfer_of(pending, merchant_reserve(merchant_id), reserved, currency),
    ]


def _transfer_of(debit: str, credit: str, amount: int, currency: str) -> list[Transfer]:
    """A posted transfer, or none for zero."""
    return [Transfer(debit, credit, amount, currency)] if amount else []


def _either_way(account: str, other: str, amount: int, currency: str) -> list[Transfer]:
    """A posted transfer that debits `account`, or credits it for an amount below zero."""
    if amount < 0:
        return _transfer_of(other, account, -amount, currency)
    return _transfer_of(account, other, amount, currency)


def _hold_of(debit: str, credit: str, amount: int, currency: str) -> list[Transfer]:
    """A pending transfer, or none for zero."""
    return [Transfer(debit, credit, amount, currency, Phase.PENDING)] if amount else []


def _given_back(
    key: str, payment_id: str | None, holds: Sequence[OpenHold], phase: Phase
) -> Posting:
    return Posting(key, tuple(resolve(holds, total_remaining(holds), phase)), payment_id)
