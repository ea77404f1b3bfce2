"""What a bank's words add up to, in any order and however often they are said."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from adapters.sepa.translate import found_in
from recompense.contracts.batches import BankNews, NewsKind
from recompense.contracts.provider import Declined, Found, PayoutState
from recompense.domain.failures import OutcomeUnknown, ProviderAnswerMismatch

ACCEPTED, SETTLED, REJECTED = NewsKind.ACCEPTED, NewsKind.SETTLED, NewsKind.REJECTED
BOOKED, RETURNED, UNCLEAR = NewsKind.BOOKED, NewsKind.RETURNED, NewsKind.UNCLEAR


def news(kind: NewsKind, **changes: Any) -> BankNews:
    values = {"number": 1, "kind": kind, "reference": "E1", "amount": 1_000, "currency": "EUR"}
    return BankNews.model_validate({**values, **changes})


def found(*told: BankNews) -> Found:
    return found_in(told, reference="E1", amount=1_000, currency="EUR")


@pytest.mark.parametrize(
    ("kinds", "answer", "state"),
    [
        ([], "pending", PayoutState.IN_TRANSIT),
        ([ACCEPTED], "pending", PayoutState.IN_TRANSIT),
        ([UNCLEAR], "pending", PayoutState.IN_TRANSIT),
        ([ACCEPTED, SETTLED], "approved", PayoutState.PAID),
        ([BOOKED], "approved", PayoutState.PAID),
        ([ACCEPTED, REJECTED], "declined", PayoutState.FAILED),
        ([ACCEPTED, BOOKED, RETURNED], "approved", PayoutState.RETURNED),
        ([RETURNED], "approved", PayoutState.RETURNED),
        ([BOOKED, REJECTED, RETURNED], "approved", PayoutState.RETURNED),
    ],
)
def test_order_and_repetition_do_not_matter(
    kinds: list[NewsKind], answer: str, state: PayoutState
) -> None:
    for order in permutations(kinds + kinds[:1]):
        told = found(*(news(kind) for kind in order))
        assert (told.answer.kind, told.payout_state) == (answer, state)


def test_rejection_has_our_code_and_the_scheme_s() -> None:
    answer = found(news(REJECTED, reason="AC04")).answer
    assert isinstance(answer, Declined)
    assert (answer.code, answer.provider_code) == ("account_closed", "AC04")
    unknown = found(news(REJECTED, reason="ZZ99")).answer
    assert isinstance(unknown, Declined)
    assert (unknown.code, unknown.provider_code) == ("payout_declined", "ZZ99")


@pytest.mark.parametrize("kind", list(NewsKind))
@pytest.mark.parametrize(
    "changes", [{"amount": 999}, {"amount": 100_000}, {"currency": "USD"}, {"reference": "E2"}]
)
def test_other_money_or_another_instruction_is_for_a_person(
    kind: NewsKind, changes: dict[str, Any]
) -> None:
    with pytest.raises(ProviderAnswerMismatch):
        found(news(kind, **changes))


def test_rejected_and_booked_is_for_a_person() -> None:
    for order in permutations([news(BOOKED), news(REJECTED)]):
        with pytest.raises(ProviderAnswerMismatch):
            found(*order)


def test_return_that_tells_no_amount_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        found(news(BOOKED), news(RETURNED, amount=None, currency=None))
