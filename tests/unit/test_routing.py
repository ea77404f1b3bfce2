"""Who takes an operation: by name, capability, currency, terms, weight and health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.breakers import Breakers
from activities.routing import route
from activities.toolbox import Toolbox
from adapters.registration import Provider
from adapters.registry import Providers
from adapters.sandbox.policy import CAPABILITIES, POLICIES
from recompense.contracts.provider import ProviderOperation, ProviderPort
from recompense.domain.failures import Refused
from recompense.domain.routing import ranked
from recompense.domain.terms import RoutingTerms
from recompense.persistence.work import Store

AUTHORIZE, PAYOUT = ProviderOperation.AUTHORIZE, ProviderOperation.CREATE_PAYOUT
NAMES = st.text("abcdefgh", min_size=1, max_size=3)


@dataclass(frozen=True)
class Offer:
    """What a provider of the test takes."""

    operations: frozenset[ProviderOperation] = frozenset(ProviderOperation)
    currencies: frozenset[str] | None = None


OFFERS: Mapping[str, Offer] = {
    "cards": Offer(frozenset({AUTHORIZE})),
    "euros": Offer(currencies=frozenset({"EUR"})),
    "all": Offer(),
}


def tools(routing: RoutingTerms | None = None, default: str = "cards") -> Toolbox:
    """A toolbox with three providers."""
    nothing: Any = None
    served = [
        Provider(
            name,
            CAPABILITIES.model_copy(
                update={"operations": offer.operations, "currencies": offer.currencies}
            ),
            POLICIES,
            cast(ProviderPort, nothing),
        )
        for name, offer in OFFERS.items()
    ]
    box = Toolbox(cast(Store, nothing), Providers(served), Breakers(nothing), default)
    return box if routing is None else replace(box, routing=routing)


def routed(
    merchant: Mapping[str, Any] | None = None,
    *,
    named: str | None = None,
    operation: ProviderOperation = AUTHORIZE,
    currency: str = "EUR",
    ailing: Collection[str] = (),
    box: Toolbox | None = None,
) -> tuple[str, ...]:
    return route(
        box or tools(),
        named,
        operation,
        currency,
        operation_id="pay_1",
        merchant=merchant or {},
        ailing=frozenset(ailing),
    )


def test_without_terms_the_default_takes_it_alone() -> None:
    assert routed() == ("cards",)


@pytest.mark.parametrize("ailing", [(), ("euros",)])
def test_named_provider_takes_it_alone_however_it_is(ailing: Collection[str]) -> None:
    assert routed({"prefer": ["all", "cards"]}, named="euros", ailing=ailing) == ("euros",)


def test_what_the_default_cannot_do_goes_to_the_first_who_can() -> None:
    assert routed(operation=PAYOUT) == ("all",)
    assert routed(operation=PAYOUT, box=tools(default="euros")) == ("euros",)


def test_preferred_ones_come_in_their_order_and_only_who_can() -> None:
    terms = {"prefer": ["euros", "nobody", "cards", "all"]}
    assert routed(terms) == ("euros", "cards", "all")
    assert routed(terms, currency="JPY") == ("cards", "all")
    assert routed(terms, operation=PAYOUT) == ("euros", "all")


def test_ailing_ones_come_last_and_are_not_lost() -> None:
    terms = {"prefer": ["euros", "cards", "all"]}
    assert routed(terms, ailing=["euros"]) == ("cards", "all", "euros")
    assert routed(terms, ailing=["euros", "cards", "all"]) == ("euros", "cards", "all")


def test_platform_terms_hold_for_merchants_without_their_own() -> None:
    box = tools(RoutingTerms(prefer=("all", "cards")))
    assert routed(box=box) == ("all", "cards")
    assert routed({"prefer": ["euros"]}, box=box) == ("euros",)


def test_terms_that_name_nobody_who_can_leave_it_to_the_default() -> None:
    assert routed({"prefer": ["nobody"]}) == ("cards",)


@pytest.mark.parametrize(
    ("named", "operation", "currency", "code"),
    [
        ("nobody", AUTHORIZE, "EUR", "provider_not_available"),
        ("cards", PAYOUT, "EUR", "provider_not_available"),
        ("euros", AUTHORIZE, "JPY", "currency_not_supported"),
    ],
)
def test_named_provider_that_cannot_is_refused_with_a_stable_code(
    named: str, operation: ProviderOperation, currency: str, code: str
) -> None:
    with pytest.raises(Refused) as raised:
        routed(named=named, operation=operation, currency=currency)
    assert raised.value.code == code


def test_weights_share_the_first_choice() -> None:
    terms = RoutingTerms(weights={"a": 70, "b": 20, "c": 10})
    first = Counter(ranked(terms, f"pay_{number}")[0] for number in range(5_000))
    assert 3_300 < first["a"] < 3_700
    assert 850 < first["b"] < 1_150
    assert 380 < first["c"] < 620


@given(
    prefer=st.lists(NAMES, unique=True, max_size=4),
    weights=st.dictionaries(NAMES, st.integers(1, 1_000_000), max_size=6),
    operation_id=st.text("0123456789ABCDEF", min_size=4, max_size=26),
)
def test_ranking_is_the_same_again_and_names_each_once(
    prefer: list[str], weights: dict[str, int], operation_id: str
) -> None:
    terms = RoutingTerms(prefer=tuple(prefer), weights=weights)
    shuffled = RoutingTerms(prefer=tuple(prefer), weights=dict(reversed(weights.items())))
    found = ranked(terms, operation_id)
    assert found == ranked(shuffled, operation_id)
    assert found[: len(prefer)] == tuple(prefer)
    assert sorted(found) == sorted({*prefer, *weights})


@pytest.mark.parametrize(
    "terms",
    [
        {"prefer": "sandbox"},
        {"prefer": ["A B"]},
        {"prefer": ["a", "b", "a"]},
        {"prefer": list("abcdefghi")},
        {"weights": {"a": 0}},
        {"weights": {"a": -1}},
        {"weights": {"a": 1.5}},
        {"weights": {"a": True}},
        {"weights": {"a": 10**9}},
        {"weight": {"a": 1}},
    ],
)
def test_terms_that_cannot_work_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RoutingTerms.model_validate(terms)
