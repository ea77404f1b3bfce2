"""What a bank has said about one instruction, in our words: a pure fold, whatever its order and
however often it was said.
"""

from __future__ import annotations

from collections.abc import Iterable

from adapters.sepa.reasons import declined
from recompense.contracts.batches import BankNews, NewsKind
from recompense.contracts.provider import Approved, Found, PayoutState, Pending
from recompense.domain.failures import OutcomeUnknown, ProviderAnswerMismatch

_POLL_AFTER_SECONDS = 900.0


def found_in(
    news: Iterable[BankNews], *, reference: str, amount: int | None, currency: str | None
) -> Found:
    """Fold all news of one instruction.

    A booking or a settlement pays it, a credit under its reference brings it back, a rejection ends
    it. Raises `ProviderAnswerMismatch` for another amount or currency and for a rejection of what
    was booked, `OutcomeUnknown` for a return that tells no amount.
    """
    kinds: dict[NewsKind, BankNews] = {}
    for one in news:
        _check(one, reference, amount, currency)
        kinds[one.kind] = one
    if NewsKind.RETURNED in kinds:
        if kinds[NewsKind.RETURNED].amount is None:
            raise OutcomeUnknown("the bank returned the payout and tells no amount")
        return Found(answer=Approved(reference=reference), payout_state=PayoutState.RETURNED)
    is_paid = NewsKind.BOOKED in kinds or NewsKind.SETTLED in kinds
    if NewsKind.REJECTED in kinds:
        if is_paid:
            raise ProviderAnswerMismatch("the bank rejected the payout and booked it")
        answer = declined(kinds[NewsKind.REJECTED].reason)
        return Found(answer=answer, payout_state=PayoutState.FAILED)
    if is_paid:
        return Found(answer=Approved(reference=reference), payout_state=PayoutState.PAID)
    return Found(
        answer=Pending(reference=reference, poll_after_seconds=_POLL_AFTER_SECONDS),
        payout_state=PayoutState.IN_TRANSIT,
    )


def _check(one: BankNews, reference: str, amount: int | None, currency: str | None) -> None:
    for name, told, wanted in (
        ("reference", one.reference, reference),
        ("amount", one.amount, amount),
        ("currency", one.currency, currency),
    ):
        if told is not None and wanted is not None and told != wanted:
            raise ProviderAnswerMismatch(f"the bank spoke of {name} {told}, asked was {wanted}")
