"""The circuit breaker: late to open, quick to notice health, one truth for all workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.breaker import (
    CLOSED,
    Breaker,
    BreakerPhase,
    BreakerState,
    MemoryBreakerStore,
    OperationClass,
    after_failure,
    after_success,
    held_open,
    operation_class,
    with_probe,
)
from recompense.contracts.policies import BreakerPolicy
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import ProviderUnavailable

POLICY = BreakerPolicy(failure_threshold=3, recovery_seconds=5, half_open_probes=2)
START = datetime(2026, 11, 24, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def worker(store: MemoryBreakerStore, clock: Clock) -> Breaker:
    return Breaker("sandbox", OperationClass.CARDS, POLICY, store, now=clock)


def opened() -> BreakerState:
    state = CLOSED
    for _ in range(POLICY.failure_threshold):
        state = after_failure(state, POLICY, START)
    return state


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    state = after_failure(after_failure(CLOSED, POLICY, START), POLICY, START)
    assert state.phase is BreakerPhase.CLOSED
    assert after_success(state) == CLOSED
    assert after_failure(state, POLICY, START).phase is BreakerPhase.OPEN


def test_open_breaker_lets_nothing_through_until_its_pause_is_over() -> None:
    state = opened()
    almost = START + timedelta(seconds=4.9)
    assert with_probe(state, POLICY, almost) is None
    probing = with_probe(state, POLICY, START + timedelta(seconds=5))
    assert probing is not None
    assert probing.phase is BreakerPhase.HALF_OPEN


def test_half_open_breaker_lets_as_many_probes_through_as_allowed() -> None:
    now = START + timedelta(seconds=5)
    first = with_probe(opened(), POLICY, now)
    assert first is not None
    second = with_probe(first, POLICY, now)
    assert second is not None
    assert with_probe(second, POLICY, now) is None


def test_failed_probe_opens_it_again_and_a_good_one_closes_it() -> None:
    now = START + timedelta(seconds=5)
    probing = with_probe(opened(), POLICY, now)
    assert probing is not None
    assert after_failure(probing, POLICY, now).phase is BreakerPhase.OPEN
    assert after_success(probing) == CLOSED


def test_probes_that_never_come_back_do_not_hold_it_half_open_for_ever() -> None:
    now = START + timedelta(seconds=5)
    state: BreakerState | None = opened()
    for _ in range(POLICY.half_open_probes):
        assert state is not None
        state = with_probe(state, POLICY, now)
    assert state is not None
    assert with_probe(state, POLICY, now + timedelta(seconds=5)) is not None


def test_breaker_held_open_by_hand_stays_open() -> None:
    state = held_open()
    later = START + timedelta(days=9)
    assert with_probe(state, POLICY, later) is None
    assert after_success(state) == state
    assert after_failure(state, POLICY, later) == state


@given(st.lists(st.tuples(st.sampled_from(["ask", "good", "bad"]), st.floats(0, 20)), max_size=60))
def test_any_history_leaves_a_breaker_that_health_closes(
    history: list[tuple[str, float]],
) -> None:
    state, now = CLOSED, START
    for event, pause in history:
        now += timedelta(seconds=pause)
        if event == "ask":
            state = with_probe(state, POLICY, now) or state
        else:
            state = after_success(state) if event == "good" else after_failure(state, POLICY, now)
    probed = with_probe(state, POLICY, now + timedelta(seconds=POLICY.recovery_seconds))
    assert probed is not None
    assert after_success(probed) == CLOSED


async def test_one_workers_failures_stop_another_worker() -> None:
    store, clock = MemoryBreakerStore(), Clock()
    one, other = worker(store, clock), worker(store, clock)
    await other.permit()
    for _ in range(POLICY.failure_threshold):
        await one.permit()
        await one.failed()
    clock.advance(1.1)
    with pytest.raises(ProviderUnavailable) as raised:
        await other.permit()
    assert raised.value.retry_after_seconds == pytest.approx(3.9)
    clock.advance(4)
    await other.permit()
    await other.succeeded()
    clock.advance(1.1)
    await one.permit()
    assert await store.load("sandbox", OperationClass.CARDS) == CLOSED


async def test_routing_asks_whether_a_call_would_go_through_and_takes_no_permit() -> None:
    store, clock = MemoryBreakerStore(), Clock()
    breaker, routing = worker(store, clock), worker(store, clock)
    assert await routing.allows()
    for _ in range(POLICY.failure_threshold):
        await breaker.failed()
    opened = await store.load("sandbox", OperationClass.CARDS)
    clock.advance(1.1)
    assert not await routing.allows()
    clock.advance(POLICY.recovery_seconds)
    # Somebody has to make the probe: a route that never came here would never see it healthy.
    assert await routing.allows()
    assert await store.load("sandbox", OperationClass.CARDS) == opened
    await store.update("sandbox", OperationClass.CARDS, lambda _: held_open())
    clock.advance(3_600)
    assert not await routing.allows()


async def test_calls_without_faults_read_at_most_once_a_second_and_write_nothing() -> None:
    reads = 0

    class CountingStore(MemoryBreakerStore):
        async def load(self, provider: str, operation_class: OperationClass) -> BreakerState:
            nonlocal reads
            reads += 1
            return await super().load(provider, operation_class)

    clock = Clock()
    breaker = worker(CountingStore(), clock)
    for _ in range(100):
        await breaker.permit()
        await breaker.succeeded()
    assert reads == 1


@pytest.mark.parametrize("operation", list(ProviderOperation))
def test_every_operation_has_a_class(operation: ProviderOperation) -> None:
    reads = {ProviderOperation.LOOKUP, ProviderOperation.REPORT}
    assert (operation_class(operation) is OperationClass.READS) == (operation in reads)
