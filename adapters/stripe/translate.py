"""Stripe's words in ours.

Pure and total: every answer is an outcome or one of our failures, and none is guessed.
"""

from __future__ import annotations

from typing import Any

from adapters.statuses import refuse_unusable
from adapters.stripe.asked import Asked
from adapters.stripe.declines import card_decline, refusal_code
from adapters.stripe.intents import intent_found
from adapters.stripe.shapes import (
    ErrorBody,
    Intent,
    Page,
    Payout,
    Refund,
    Transfer,
    json_object,
    parsed,
    shaped,
)
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import (
    Absent,
    Approved,
    Declined,
    Found,
    Outcome,
    PayoutState,
    Pending,
    ProviderOperation,
)
from recompense.domain.failures import OutcomeUnknown, ProviderAnswerMismatch

_INTENT_OPERATIONS = frozenset(
    {ProviderOperation.AUTHORIZE, ProviderOperation.CAPTURE, ProviderOperation.VOID}
)
_PAYOUT_STATES = {
    "pending": PayoutState.IN_TRANSIT,
    "in_transit": PayoutState.IN_TRANSIT,
    "paid": PayoutState.PAID,
    "canceled": PayoutState.CANCELED,
}
_ACCOUNT_CLOSED = frozenset({"account_closed", "bank_account_restricted", "account_frozen"})
_REFUSED = "The provider refused the request; nothing was done."


class RefusedHere(OutcomeUnknown):
    """Stripe refuses to change the object. It may be because this very effect changed it before:
    the object tells.
    """

    def __init__(self, refusal: Declined) -> None:
        super().__init__(f"the provider answered {refusal.provider_code}")
        self.refusal = refusal


def outcome_of(answer: ProviderAnswer, asked: Asked) -> Outcome:
    """Read the answer to a money call.

    Raises: `ProviderUnavailable`, `ProviderAccessDenied`, `ProviderAnswerMismatch`,
    `OutcomeUnknown`, `RefusedHere`.
    """
    check_usable(answer, asked)
    if answer.status >= 400:
        return _refusal(answer, asked)
    found = found_object(json_object(answer), asked)
    if isinstance(found.answer, Absent):
        raise OutcomeUnknown("the provider accepted the call and its object shows nothing of it")
    return found.answer


def check_usable(answer: ProviderAnswer, asked: Asked) -> None:
    """Raise for every status that tells nothing about money."""
    refuse_unusable(answer, retry_after_cap_seconds=asked.retry_after_cap_seconds)


def found_object(raw: dict[str, Any], asked: Asked) -> Found:
    """Read the object that an effect made or changed.

    Raises `OutcomeUnknown` and `ProviderAnswerMismatch`.
    """
    if raw.get("object") not in _objects_of(asked.operation):
        raise ProviderAnswerMismatch("the provider answered about another kind of object")
    if asked.operation in _INTENT_OPERATIONS:
        return intent_found(shaped(raw, Intent), asked)
    if asked.operation is ProviderOperation.REFUND:
        return Found(answer=_refund(shaped(raw, Refund), asked))
    if raw["object"] == "transfer":
        return _transfer(shaped(raw, Transfer), asked)
    payout = shaped(raw, Payout)
    if asked.operation is ProviderOperation.CANCEL_PAYOUT:
        return Found(answer=_cancellation(payout, asked))
    return _payout(payout, asked)


def read_object(answer: ProviderAnswer, asked: Asked) -> dict[str, Any] | None:
    """Read one object by its id; None where Stripe has no such object. Raises as `outcome_of`."""
    check_usable(answer, asked)
    if answer.status == 404 and parsed(answer.body, ErrorBody).error.code == "resource_missing":
        return None
    if answer.status != 200:
        raise OutcomeUnknown(f"the provider answered {answer.status} to a read")
    return json_object(answer)


def read_page(answer: ProviderAnswer, asked: Asked) -> Page:
    """Read one page of a list or a search. Raises as `outcome_of`."""
    check_usable(answer, asked)
    if answer.status != 200:
        raise OutcomeUnknown(f"the provider answered {answer.status} to a look-up")
    page = parsed(answer.body, Page)
    if page.has_more and not page.data:
        raise OutcomeUnknown("the provider says that there is more, and shows nothing")
    return page


def the_one_of(page: Page, asked: Asked) -> dict[str, Any] | None:
    """The object on a page that an effect made or changed. Raises `ProviderAnswerMismatch` when
    there are several.
    """
    made = [raw for raw in page.data if asked.is_about(raw.get("metadata"))]
    if len(made) > 1:
        raise ProviderAnswerMismatch("the provider made more than one object under one effect key")
    return made[0] if made else None


def _objects_of(operation: ProviderOperation) -> tuple[str, ...]:
    if operation in _INTENT_OPERATIONS:
        return ("payment_intent",)
    if operation is ProviderOperation.REFUND:
        return ("refund",)
    return ("payout", "transfer")


def _refusal(answer: ProviderAnswer, asked: Asked) -> Declined:
    error = parsed(answer.body, ErrorBody).error
    if error.type == "idempotency_error" and answer.status == 400:
        raise ProviderAnswerMismatch("the effect key was used before with other parameters")
    if answer.status not in (400, 402, 404):
        raise OutcomeUnknown(f"the provider answered {answer.status}")
    if error.type == "card_error" and asked.operation is ProviderOperation.AUTHORIZE:
        if error.payment_intent is not None:
            asked.check(None, error.payment_intent.metadata)
            asked.check_money(error.payment_intent.amount, error.payment_intent.currency)
        return card_decline(error)
    if error.type not in ("invalid_request_error", "card_error"):
        raise OutcomeUnknown("the provider answered with a kind of error that it does not list")
    refusal = Declined(
        code=refusal_code(error.code, asked.operation), message=_REFUSED, provider_code=error.code
    )
    if asked.target is not None:
        raise RefusedHere(refusal)
    return refusal


def _refund(refund: Refund, asked: Asked) -> Outcome:
    asked.check(refund.payment_intent, refund.metadata)
    asked.check_money(refund.amount, refund.currency)
    if refund.status == "succeeded":
        return Approved(reference=refund.id)
    if refund.status in ("failed", "canceled"):
        message = "The refund did not reach the payer."
        return Declined(code="refund_declined", message=message, provider_code=refund.status)
    return Pending(reference=refund.id)


def _payout(payout: Payout, asked: Asked) -> Found:
    asked.check(None, payout.metadata)
    asked.check_money(payout.amount, payout.currency)
    if payout.status == "failed":
        return _failed_payout(payout)
    state = _PAYOUT_STATES.get(payout.status)
    if state is PayoutState.PAID:
        return Found(answer=Approved(reference=payout.id), payout_state=state)
    if state is PayoutState.CANCELED:
        canceled = Declined(code="payout_canceled", message="It was canceled.")
        return Found(answer=canceled, payout_state=state)
    return Found(answer=Pending(reference=payout.id), payout_state=state)


def _failed_payout(payout: Payout) -> Found:
    """The money came back, where Stripe booked it back; else it never left.

    Stripe may say `paid` first and `failed` days later. Whoever booked it as paid has to book it as
    returned, so money that left and came back is always told so.
    """
    if payout.failure_balance_transaction:
        return Found(answer=Approved(reference=payout.id), payout_state=PayoutState.RETURNED)
    closed = payout.failure_code in _ACCOUNT_CLOSED
    refusal = Declined(
        code="account_closed" if closed else "payout_declined",
        message="The bank did not take the payout.",
        provider_code=payout.failure_code,
    )
    return Found(answer=refusal, payout_state=PayoutState.FAILED)


def _transfer(transfer: Transfer, asked: Asked) -> Found:
    if asked.operation is ProviderOperation.CANCEL_PAYOUT:
        raise ProviderAnswerMismatch("a transfer is not canceled")
    asked.check(None, transfer.metadata)
    asked.check_money(transfer.amount, transfer.currency)
    if not 0 <= transfer.amount_reversed <= transfer.amount:
        raise ProviderAnswerMismatch("more of the transfer came back than was sent")
    back = transfer.amount_reversed == transfer.amount
    state = PayoutState.RETURNED if back else PayoutState.PAID
    return Found(answer=Approved(reference=transfer.id), payout_state=state)


def _cancellation(payout: Payout, asked: Asked) -> Outcome | Absent:
    asked.check(payout.id, payout.metadata)
    asked.check_money(payout.amount, payout.currency)
    if payout.status == "canceled":
        return Approved(reference=payout.id)
    # Marked before it was asked for: a known other status says that it was not made.
    known = payout.status in _PAYOUT_STATES or payout.status == "failed"
    return Absent() if known else Pending(reference=payout.id)
