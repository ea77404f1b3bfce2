"""The circuit breaker: when to stop calling a provider that does not answer, and how to notice that
it does again.

The machine is pure: a state, an event and a moment give the next state. All workers share the state
through a `BreakerStore`; each keeps a copy for about a second, so that a call without faults reads
and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from recompense.contracts.policies import BreakerPolicy
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import ProviderUnavailable


class OperationClass(StrEnum):
    """Calls that stand and fall together at a provider."""

    CARDS = "cards"
    PAYOUTS = "payouts"
    READS = "reads"


_CLASSES = {
    ProviderOperation.CREATE_PAYOUT: OperationClass.PAYOUTS,
    ProviderOperation.CANCEL_PAYOUT: OperationClass.PAYOUTS,
    ProviderOperation.LOOKUP: OperationClass.READS,
    ProviderOperation.REPORT: OperationClass.READS,
}


def operation_class(operation: ProviderOperation) -> OperationClass:
    """The class of an operation; what is neither a payout nor a read is a card operation."""
    return _CLASSES.get(operation, OperationClass.CARDS)


class BreakerPhase(StrEnum):
    """`held_open` is a person's order and ends only by another."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    HELD_OPEN = "held_open"


@dataclass(frozen=True)
class BreakerState:
    """What is known of one provider and operation class. Moments are UTC, by the caller's clock.

    `probe_at`: while open, when the next probe may start; while half open, when the probes under
    way count as lost.
    """

    phase: BreakerPhase = BreakerPhase.CLOSED
    failures: int = 0
    probes: int = 0
    probe_at: datetime | None = None


CLOSED = BreakerState()


def needs_permit(state: BreakerState) -> bool:
    """Whether a call must ask the shared state first. While the breaker is closed, none has to."""
    return state.phase is not BreakerPhase.CLOSED


def with_probe(state: BreakerState, policy: BreakerPolicy, now: datetime) -> BreakerState | None:
    """The state after a call was let through, or None when it must not be made."""
    if state.phase is BreakerPhase.CLOSED:
        return state
    if state.phase is BreakerPhase.HELD_OPEN:
        return None
    due = state.probe_at is None or now >= state.probe_at
    if due:
        # Also when probes under way never came back: their worker may have died with them.
        next_round = now + timedelta(seconds=policy.recovery_seconds)
        return replace(state, phase=BreakerPhase.HALF_OPEN, probes=1, probe_at=next_round)
    if state.phase is BreakerPhase.HALF_OPEN and state.probes < policy.half_open_probes:
        return replace(state, probes=state.probes + 1)
    return None


def after_success(state: BreakerState) -> BreakerState:
    """The state after the provider answered, whatever it answered."""
    return state if state.phase is BreakerPhase.HELD_OPEN else CLOSED


def after_failure(state: BreakerState, policy: BreakerPolicy, now: datetime) -> BreakerState:
    """The state after the provider gave no usable answer."""
    if state.phase in (BreakerPhase.HELD_OPEN, BreakerPhase.OPEN):
        return state
    failures = state.failures + 1
    if state.phase is BreakerPhase.CLOSED and failures < policy.failure_threshold:
        return replace(state, failures=failures)
    probe_at = now + timedelta(seconds=policy.recovery_seconds)
    return BreakerState(BreakerPhase.OPEN, failures, 0, probe_at)


def held_open() -> BreakerState:
    """The state after a person's order to stop calling."""
    return BreakerState(BreakerPhase.HELD_OPEN)


class BreakerStore(Protocol):
    """Where the states are shared.

    `change` is applied to the present state under a lock of that one state.
    """

    async def load(self, provider: str, operation_class: OperationClass) -> BreakerState:
        """Read a state; one that was never written is `CLOSED`."""
        ...

    async def update(
        self,
        provider: str,
        operation_class: OperationClass,
        change: Callable[[BreakerState], BreakerState],
    ) -> BreakerState:
        """Replace a state and return what stands now."""
        ...


class MemoryBreakerStore:
    """A store for one process."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, OperationClass], BreakerState] = {}

    async def load(self, provider: str, operation_class: OperationClass) -> BreakerState:
        """Read a state."""
        return self._states.get((provider, operation_class), CLOSED)

    async def update(
        self,
        provider: str,
        operation_class: OperationClass,
        change: Callable[[BreakerState], BreakerState],
    ) -> BreakerState:
        """Replace a state."""
        changed = change(await self.load(provider, operation_class))
        self._states[(provider, operation_class)] = changed
        return changed


class Breaker:
    """One provider's breaker for one operation class, as a worker uses it: `permit`, then
    `succeeded` or `failed`.
    """

    def __init__(
        self,
        provider: str,
        operation_class: OperationClass,
        policy: BreakerPolicy,
        store: BreakerStore,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        copy_is_good_for_seconds: float = 1.0,
    ) -> None:
        self._provider = provider
        self._class = operation_class
        self._policy = policy
        self._store = store
        self._now = now
        self._good_for = timedelta(seconds=copy_is_good_for_seconds)
        self._copy = CLOSED
        self._copied_at: datetime | None = None

    async def allows(self) -> bool:
        """Whether `permit` would let a call through, without asking for it: a breaker that is due
        for a probe does.
        """
        return with_probe(await self._state(), self._policy, self._now()) is not None

    async def permit(self) -> None:
        """Return when a call may be made.

        Raises `ProviderUnavailable` that says when to come back.
        """
        if not needs_permit(await self._state()):
            return
        permitted = False

        def take(state: BreakerState) -> BreakerState:
            nonlocal permitted
            changed = with_probe(state, self._policy, self._now())
            permitted = changed is not None
            return changed or state

        self._keep(await self._store.update(self._provider, self._class, take))
        if not permitted:
            raise ProviderUnavailable("the circuit breaker is open", self._wait_seconds())

    async def succeeded(self) -> None:
        """The provider answered. Writes only when there was something to forget."""
        if self._copy != CLOSED:
            self._keep(await self._store.update(self._provider, self._class, after_success))

    async def failed(self) -> None:
        """The provider gave no usable answer."""
        self._keep(
            await self._store.update(
                self._provider,
                self._class,
                lambda state: after_failure(state, self._policy, self._now()),
            )
        )

    async def _state(self) -> BreakerState:
        if self._copied_at is None or self._now() - self._copied_at > self._good_for:
            self._keep(await self._store.load(self._provider, self._class))
        return self._copy

    def _keep(self, state: BreakerState) -> None:
        self._copy, self._copied_at = state, self._now()

    def _wait_seconds(self) -> float:
        if self._copy.probe_at is None:
            return self._policy.recovery_seconds
        return max((self._copy.probe_at - self._now()).total_seconds(), 0.05)
