"""Adyen's answers in our words.

Pure and total: every answer is an outcome or one of our failures, and none is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapters.adyen.amounts import NotExpressible, from_adyen
from adapters.adyen.refusals import ABANDONED, card_decline, transfer_decline
from adapters.adyen.shapes import (
    ErrorBody,
    ModificationAnswer,
    PaymentAnswer,
    ProblemBody,
    TransferAnswer,
    VendorAmount,
    parsed,
)
from adapters.statuses import refuse_unusable
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import (
    Approved,
    Declined,
    Outcome,
    Pending,
    RequiresAction,
)
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAccessDenied,
    ProviderAnswerMismatch,
    ProviderUnavailable,
)

_FINAL = frozenset({"Authorised", "Refused", "Error", "Cancelled"})
"""Results that Adyen documents as final. All but the first: no authorization was made."""
_WAITS_FOR_THE_PAYER = frozenset({"RedirectShopper", "ChallengeShopper", "IdentifyShopper"})

TRANSFER_REFUSED = frozenset({"refused", "failed", "error", "expired"})
NOTHING_DONE = frozenset({"validation", "configuration"})
"""Kinds of error that Adyen gives before it processes anything."""
_IN_PROGRESS = "704"
"""The effect key is being worked on by an earlier request, or has been."""


@dataclass(frozen=True)
class Asked:
    """The effect that an answer has to be about, in Adyen's names. `amount` is in our minor units;
    `payment` is the payment that a modification changes.
    """

    reference: str
    amount: int | None
    currency: str | None
    merchant_account: str
    payment: str | None
    retry_after_cap_seconds: float


def payment_outcome(answer: ProviderAnswer, asked: Asked) -> Outcome:
    """Read the answer to `/payments`.

    Raises: `ProviderUnavailable`, `ProviderAccessDenied`, `ProviderAnswerMismatch`,
    `OutcomeUnknown`.
    """
    refused = _refused_request(answer, asked)
    if refused is not None:
        return refused
    made = parsed(answer.body, PaymentAnswer)
    if made.merchantReference is not None:
        _agree([("reference", made.merchantReference, asked.reference)])
    elif made.resultCode in _FINAL:
        raise OutcomeUnknown("the provider has a final result, and does not say of what")
    match made.resultCode:
        case "Authorised":
            return _authorised(made, asked)
        case "PartiallyAuthorised":
            raise ProviderAnswerMismatch("the provider authorised a part of what was asked")
        case "Cancelled":
            return ABANDONED
        case "Refused" | "Error":
            return card_decline(made.refusalReasonCode)
        case code:
            return _not_final(made, asked, waits=code in _WAITS_FOR_THE_PAYER)


def completion_outcome(answer: ProviderAnswer, asked: Asked) -> Outcome | None:
    """Read the answer to `/payments/details`: as that to `/payments`, but a refusal of what the
    payer brought back, or a word about another payment, concludes nothing of this one (None).

    Raises as `payment_outcome` does.
    """
    if _refused_request(answer, asked) is not None:
        return None
    told = parsed(answer.body, PaymentAnswer).merchantReference
    if told is not None and told != asked.reference:
        return None
    return payment_outcome(answer, asked)


def _authorised(made: PaymentAnswer, asked: Asked) -> Outcome:
    if made.pspReference is None or made.amount is None:
        raise OutcomeUnknown("the provider authorised, and does not say what")
    check_amount(made.amount, asked.amount, asked.currency)
    return Approved(reference=made.pspReference)


def _not_final(made: PaymentAnswer, asked: Asked, *, waits: bool) -> Outcome:
    """A payer who has to act, a result that comes later, and whatever is not known."""
    if made.amount is not None:
        check_amount(made.amount, asked.amount, asked.currency)
    if waits and made.action is not None and made.action.url is not None:
        # Adyen names some payments only once the payer has acted; our own reference is then theirs.
        reference = made.pspReference or asked.reference
        return RequiresAction(reference=reference, redirect_url=made.action.url)
    if made.pspReference is None:
        raise OutcomeUnknown("the provider has no final result and no reference of its own")
    return Pending(reference=made.pspReference)


def modification_outcome(answer: ProviderAnswer, asked: Asked) -> Outcome:
    """Read the answer to a capture, a cancel or a refund: `Pending` at best, for what became of it
    comes by notification. Raises as `payment_outcome` does.
    """
    refused = _refused_request(answer, asked)
    if refused is not None:
        return refused
    made = parsed(answer.body, ModificationAnswer)
    _agree(
        [
            ("reference", made.reference, asked.reference),
            ("merchant account", made.merchantAccount, asked.merchant_account),
            ("payment", made.paymentPspReference or made.paymentReference, asked.payment),
        ]
    )
    if made.amount is not None:
        check_amount(made.amount, asked.amount, asked.currency)
    return Pending(reference=made.pspReference)


def transfer_outcome(answer: ProviderAnswer, asked: Asked) -> Outcome:
    """Read the answer to `/transfers`. Raises as `payment_outcome` does."""
    refused = _refused_transfer(answer, asked)
    if refused is not None:
        return refused
    made = parsed(answer.body, TransferAnswer)
    _agree([("reference", made.reference, asked.reference)])
    check_amount(made.amount, asked.amount, asked.currency)
    if made.status in TRANSFER_REFUSED:
        return transfer_decline(made.reason)
    return Pending(reference=made.id)


def check_report(answer: ProviderAnswer, retry_after_cap_seconds: float) -> None:
    """Accept the head of a report download.

    A report that is not written yet is `ProviderUnavailable`.
    """
    refuse_unusable(answer, retry_after_cap_seconds=retry_after_cap_seconds)
    if answer.status == 404:
        raise ProviderUnavailable("the provider has no settlement report of this date yet")
    content_type = answer.headers.get("content-type", "")
    if answer.status != 200 or content_type.startswith("text/html"):
        raise OutcomeUnknown("the provider answered with something else than a settlement report")


def check_amount(told: VendorAmount, amount: int | None, currency: str | None) -> None:
    """Raise `ProviderAnswerMismatch` when another amount or currency is told than was asked.

    None: the asker does not know it.
    """
    try:
        ours = from_adyen(told.value, told.currency)
    except (NotExpressible, ValueError):
        raise ProviderAnswerMismatch("the provider told an amount that no money has") from None
    _agree([("amount", ours, amount), ("currency", told.currency, currency)])


def _agree(pairs: Iterable[tuple[str, object, object]]) -> None:
    for name, told, wanted in pairs:
        if wanted is not None and told != wanted:
            raise ProviderAnswerMismatch(
                f"the provider answered about {name} {told}, asked was {wanted}"
            )


def _refused_request(answer: ProviderAnswer, asked: Asked) -> Declined | None:
    refuse_unusable(answer, retry_after_cap_seconds=asked.retry_after_cap_seconds)
    if answer.status < 400:
        return None
    error = parsed(answer.body, ErrorBody)
    if error.errorType == "security":
        raise ProviderAccessDenied(f"the provider answered {answer.status}: security")
    return _refusal(answer, error.status, error.errorCode, done=error.errorType not in NOTHING_DONE)


def _refused_transfer(answer: ProviderAnswer, asked: Asked) -> Declined | None:
    refuse_unusable(answer, retry_after_cap_seconds=asked.retry_after_cap_seconds)
    if answer.status < 400:
        return None
    problem = parsed(answer.body, ProblemBody)
    return _refusal(answer, problem.status, problem.errorCode, done=False)


def _refusal(answer: ProviderAnswer, status: int, code: str, *, done: bool) -> Declined:
    """A refusal of which Adyen documents that nothing was processed; anything else is unknown."""
    if answer.status not in (400, 422) or status != answer.status or done or code == _IN_PROGRESS:
        raise OutcomeUnknown(f"the provider answered {answer.status} with {code}")
    return Declined(
        code="provider_refused_request",
        message="The provider refused the request; nothing was done.",
        provider_code=code,
    )
