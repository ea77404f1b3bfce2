"""The circuit breakers of all providers, shared by all workers through one small table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from adapters.breaker import (
    CLOSED,
    Breaker,
    BreakerPhase,
    BreakerState,
    OperationClass,
    operation_class,
)
from recompense.contracts.policies import BreakerPolicy
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable
from recompense.persistence.saga_tables import BreakerRow
from recompense.persistence.work import Store


class BreakerTable:
    """The `BreakerStore` in PostgreSQL. A state that was never written is closed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self, provider: str, operation_class: OperationClass) -> BreakerState:
        """Read a state."""
        async with self._store.work() as work:
            row = await work.get(BreakerRow, (provider, operation_class))
            return CLOSED if row is None else _state_of(row)

    async def update(
        self,
        provider: str,
        operation_class: OperationClass,
        change: Callable[[BreakerState], BreakerState],
    ) -> BreakerState:
        """Replace a state under its row's lock, and return what stands now."""
        async with self._store.work() as work:
            row = await work.breaker(provider, operation_class, CLOSED.phase)
            state = change(_state_of(row))
            row.phase, row.failures = state.phase, state.failures
            row.probes, row.probe_at = state.probes, state.probe_at
            return state


class Breakers:
    """One breaker for each provider and class of operations, as this process sees it."""

    def __init__(
        self,
        store: Store,
        *,
        copy_is_good_for_seconds: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = BreakerTable(store)
        self._good_for = copy_is_good_for_seconds
        self._now = now
        self._breakers: dict[tuple[str, OperationClass], Breaker] = {}

    @asynccontextmanager
    async def guard(
        self, provider: str, operation: ProviderOperation, policy: BreakerPolicy
    ) -> AsyncIterator[None]:
        """Make one call inside.

        Raises `ProviderUnavailable` before it, when the breaker is open.
        """
        breaker = self._of(provider, operation_class(operation), policy)
        await breaker.permit()
        try:
            yield
        except (ProviderUnavailable, OutcomeUnknown):
            await breaker.failed()
            raise
        await breaker.succeeded()

    async def allows(self, provider: str, kind: OperationClass, policy: BreakerPolicy) -> bool:
        """Whether a call would be let through now. Takes no permit, and reads at most once a
        second.
        """
        return await self._of(provider, kind, policy).allows()

    def _of(self, provider: str, kind: OperationClass, policy: BreakerPolicy) -> Breaker:
        key = (provider, kind)
        if key not in self._breakers:
            self._breakers[key] = Breaker(
                provider,
                kind,
                policy,
                self._store,
                now=self._now,
                copy_is_good_for_seconds=self._good_for,
            )
        return self._breakers[key]


def _state_of(row: BreakerRow) -> BreakerState:
    return BreakerState(BreakerPhase(row.phase), row.failures, row.probes, row.probe_at)
