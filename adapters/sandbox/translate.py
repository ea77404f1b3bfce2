"""The sandbox's words in ours.

Pure and total: every answer is an outcome or one of our failures, and none is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.sandbox.shapes import ErrorBody, Listing, VendorObject, parsed
from adapters.statuses import refuse_unusable
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizationState,
    Declined,
    Found,
    MoneyCall,
    Outcome,
    PayoutState,
    Pending,
    ProviderOperation,
    RequiresAction,
)
from recompense.domain.failures import OutcomeUnknown, ProviderAnswerMismatch, ProviderUnavailable

_OBJECT_OF_OPERATION = {
    ProviderOperation.AUTHORIZE: "authorization",
    ProviderOperation.CAPTURE: "capture",
    ProviderOperation.VOID: "void",
    ProviderOperation.REFUND: "refund",
    ProviderOperation.CREATE_PAYOUT: "payout",
    ProviderOperation.CANCEL_PAYOUT: "payout_cancellation",
}
_MADE = {
    "authorization": frozenset({"authorized", "captured", "voided"}),
    "capture": frozenset({"succeeded"}),
    "void": frozenset({"succeeded"}),
    "refund": frozenset({"succeeded"}),
    "payout": frozenset({"paid", "returned"}),
    "payout_cancellation": frozenset({"succeeded"}),
}
_AUTHORIZATION_STATES = {
    "pending": AuthorizationState.PENDING,
    "requires_action": AuthorizationState.REQUIRES_ACTION,
    "authorized": AuthorizationState.AUTHORIZED,
    "captured": AuthorizationState.AUTHORIZED,
    "voided": AuthorizationState.VOIDED,
    "abandoned": AuthorizationState.VOIDED,
    "declined": AuthorizationState.DECLINED,
}
_PAYOUT_STATES = {
    "in_transit": PayoutState.IN_TRANSIT,
    "paid": PayoutState.PAID,
    "returned": PayoutState.RETURNED,
    "canceled": PayoutState.CANCELED,
    "abandoned": PayoutState.CANCELED,
    "declined": PayoutState.FAILED,
}

_DECLINES = {
    **{f"{name}_declined": f"{name}_declined" for name in ("card", "capture", "void", "refund")},
    "payout_declined": "payout_declined",
    "insufficient_funds": "insufficient_funds",
    "expired_card": "expired_card",
    "authentication_failed": "authentication_failed",
    "account_closed": "account_closed",
    "cancellation_declined": "payout_not_cancelable",
}
_GENERIC_DECLINE = "provider_declined"

_REFUSALS = {
    "amount_exceeds_authorized": "amount_exceeds_capturable",
    "amount_exceeds_captured": "amount_exceeds_refundable",
    "authorization_expired": "authorization_expired",
    "not_capturable": "payment_not_capturable",
    "not_voidable": "payment_not_voidable",
    "not_cancelable": "payout_not_cancelable",
    "currency_mismatch": "currency_mismatch",
    "invalid_request": "provider_refused_request",
    "idempotency_key_missing": "provider_refused_request",
    "not_found": "provider_object_not_found",
}
"""Refusals of which the vendor documents that no effect was made."""

_ALREADY_DONE = frozenset(
    {"already_captured", "already_voided", "already_refunded", "already_canceled"}
)
_MESSAGES = {
    "insufficient_funds": "The account holds too little money.",
    "expired_card": "The card has expired.",
    "authentication_failed": "The payer did not authenticate.",
    "account_closed": "The bank account is closed.",
}


_ABANDONED = Declined(code="abandoned", message="It was given up before it was made.")
_TAKEN_BACK = {
    ("authorization", "abandoned"): _ABANDONED,
    ("payout", "abandoned"): _ABANDONED,
    ("payout", "canceled"): Declined(code="payout_canceled", message="It was canceled."),
}


class AlreadyDone(OutcomeUnknown):
    """The vendor says that it happened already.

    Whether by this very effect, only a look-up tells.
    """

    def __init__(self, vendor_code: str) -> None:
        super().__init__(f"the provider answered {vendor_code}")
        self.vendor_code = vendor_code


@dataclass(frozen=True)
class Asked:
    """The effect that an answer has to be about.

    `amount` and `currency` are None where the asker does not know them.
    """

    operation: ProviderOperation
    operation_id: str
    effect_key: str
    amount: int | None
    currency: str | None
    retry_after_cap_seconds: float

    @classmethod
    def by(
        cls, operation: ProviderOperation, call: MoneyCall, retry_after_cap_seconds: float
    ) -> Asked:
        """What a money call asks for."""
        return cls(
            operation,
            call.operation_id,
            call.effect_key,
            call.amount,
            call.currency,
            retry_after_cap_seconds,
        )


def outcome_of(answer: ProviderAnswer, asked: Asked) -> Outcome:
    """Read the answer to a money call.

    Raises: `ProviderUnavailable`, `ProviderAccessDenied`, `ProviderAnswerMismatch`,
    `OutcomeUnknown`, `AlreadyDone`.
    """
    _refuse_unusable(answer, asked.retry_after_cap_seconds)
    if answer.status >= 400 and answer.status != 402:
        return _refusal(answer)
    outcome = _outcome(parsed(answer.body, VendorObject), asked)
    if answer.status == 402 and not isinstance(outcome, Declined):
        raise OutcomeUnknown("the provider contradicts itself: a refusal that is none")
    return outcome


def found_in(answer: ProviderAnswer, asked: Asked) -> Found:
    """Read the answer to a look-up. Raises as `outcome_of` does, but for `AlreadyDone`."""
    _refuse_unusable(answer, asked.retry_after_cap_seconds)
    if answer.status != 200:
        raise OutcomeUnknown(f"the look-up was answered with {answer.status}")
    made = parsed(answer.body, Listing).data
    if not made:
        return Found(answer=Absent())
    if len(made) > 1:
        raise ProviderAnswerMismatch("the provider made more than one object under one effect key")
    return Found(
        answer=_outcome(made[0], asked),
        payout_state=_PAYOUT_STATES.get(made[0].status)
        if asked.operation is ProviderOperation.CREATE_PAYOUT
        else None,
        authorization_state=_AUTHORIZATION_STATES.get(made[0].status)
        if asked.operation is ProviderOperation.AUTHORIZE
        else None,
    )


def check_report(answer: ProviderAnswer, retry_after_cap_seconds: float) -> None:
    """Accept the head of a report download.

    A report that is not written yet is `ProviderUnavailable`.
    """
    _refuse_unusable(answer, retry_after_cap_seconds)
    if answer.status == 404:
        raise ProviderUnavailable("the provider has no settlement report of this date yet")
    content_type = answer.headers.get("content-type", "")
    if answer.status != 200 or not content_type.startswith("text/csv"):
        raise OutcomeUnknown("the provider answered with something else than a settlement report")


def _outcome(made: VendorObject, asked: Asked) -> Outcome:
    _check_identity(made, asked)
    if made.status in _MADE[made.object]:
        return Approved(reference=made.id, expires_at=made.expires_at)
    if made.status == "declined":
        return _decline(None if made.decline is None else made.decline.code)
    taken_back = _TAKEN_BACK.get((made.object, made.status))
    if taken_back is not None:
        return taken_back
    if made.status == "requires_action" and made.redirect_url is not None:
        return RequiresAction(reference=made.id, redirect_url=made.redirect_url)
    # `pending`, a payout on its way, and whatever the vendor says that we do not know: not final.
    return Pending(reference=made.id)


def _check_identity(made: VendorObject, asked: Asked) -> None:
    expected = (
        ("object", made.object, _OBJECT_OF_OPERATION[asked.operation]),
        ("reference", made.reference, asked.operation_id),
        ("effect key", made.idempotency_key, asked.effect_key),
        ("amount", made.amount, made.amount if asked.amount is None else asked.amount),
        ("currency", made.currency, asked.currency or made.currency),
    )
    for name, told, wanted in expected:
        if told != wanted:
            raise ProviderAnswerMismatch(
                f"the provider answered about {name} {told}, asked was {wanted}"
            )


def _decline(vendor_code: str | None) -> Declined:
    code = _DECLINES.get(vendor_code or "", _GENERIC_DECLINE)
    known = vendor_code if code != _GENERIC_DECLINE else None
    message = _MESSAGES.get(code, "The provider declined it.")
    return Declined(code=code, message=message, provider_code=known)


def _refusal(answer: ProviderAnswer) -> Declined:
    vendor_code = parsed(answer.body, ErrorBody).error.code
    if vendor_code == "idempotency_key_reused":
        raise ProviderAnswerMismatch("the effect key was used before with other parameters")
    if vendor_code in _ALREADY_DONE:
        raise AlreadyDone(vendor_code)
    if vendor_code not in _REFUSALS:
        raise OutcomeUnknown(
            f"the provider answered {answer.status} with a code that it does not list"
        )
    message = "The provider refused the request; nothing was done."
    return Declined(code=_REFUSALS[vendor_code], message=message, provider_code=vendor_code)


def _refuse_unusable(answer: ProviderAnswer, cap_seconds: float) -> None:
    # The sandbox documents that a 503 of its own made no effect.
    refuse_unusable(answer, retry_after_cap_seconds=cap_seconds, nothing_done=frozenset({503}))
