"""The idempotency key that a provider sees: short, plain, and a function of the operation alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities import authorization, captures, payouts, refunds, voids
from activities.orphans import undo_step
from recompense.domain.effects import EFFECT_KEY_MAX_LENGTH, effect_key, further_key
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.journal import ORPHAN_SUFFIX

FORWARD_STEPS = [
    authorization.STEP,
    authorization.CAPTURE_STEP,
    captures.STEP,
    refunds.STEP,
    payouts.STEP,
    payouts.CANCEL_STEP,
]
STEPS = [
    *FORWARD_STEPS,
    *(undo_step(step) for step in FORWARD_STEPS),
    *(step + ORPHAN_SUFFIX for step in FORWARD_STEPS),
]

operations = st.sampled_from(list(IdPrefix)).map(new_id)
attempts = st.integers(min_value=1, max_value=9_999)
legs = st.integers(min_value=1, max_value=99)


@given(operations, st.sampled_from(STEPS), attempts, legs)
def test_every_step_of_every_operation_has_a_key_that_providers_take(
    operation: str, step: str, attempt: int, leg: int
) -> None:
    key = effect_key(operation, step, attempt, leg)
    assert len(key) <= EFFECT_KEY_MAX_LENGTH
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key


@given(operations, st.integers(min_value=1, max_value=9_999), attempts)
def test_every_void_of_a_payment_has_a_key_that_providers_take(
    operation: str, number: int, attempt: int
) -> None:
    assert len(effect_key(operation, voids.void_step(number), attempt)) <= EFFECT_KEY_MAX_LENGTH


@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), attempts, legs), min_size=2, max_size=20, unique=True
    )
)
def test_different_effects_of_an_operation_have_different_keys(
    effects: list[tuple[str, int, int]],
) -> None:
    operation = new_id(IdPrefix.PAYMENT)
    keys = {effect_key(operation, step, attempt, leg) for step, attempt, leg in effects}
    assert len(keys) == len(effects)


def test_same_effect_asked_again_has_the_same_key() -> None:
    assert effect_key("pay_1", "authorize", 2) == effect_key("pay_1", "authorize", 2)
    assert effect_key("pay_1", "authorize", 2) == "pay_1:authorize:2"


@pytest.mark.parametrize("operation", ["x" * 60, "pay_é", "pay 1", "pay\n1"])
def test_key_that_a_provider_may_refuse_is_refused_here(operation: str) -> None:
    with pytest.raises(ValueError, match="effect key"):
        effect_key(operation, "authorize", 1)


@given(st.just(IdPrefix.PAYMENT).map(new_id), attempts, legs)
def test_further_call_has_a_key_that_providers_take_and_nobody_else_has(
    operation: str, attempt: int, leg: int
) -> None:
    key = effect_key(operation, authorization.STEP, attempt, leg)
    first, second = further_key(key, "payer.1"), further_key(key, "payer.2")
    assert len({key, first, second, effect_key(operation, "void.1", attempt)}) == 4
    assert first == further_key(key, "payer.1")
    assert first.startswith(key)
    assert len(first) <= EFFECT_KEY_MAX_LENGTH


def test_further_key_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        further_key("x" * EFFECT_KEY_MAX_LENGTH, "payer.1")
