"""The circuit breakers of all providers, shared by all workers through one small table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

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
from recompense.persistence.database import Database
from recompense.persistence.saga_tables import BreakerRow


class BreakerTable:
    """The `BreakerStore` in PostgreSQL. A state that was never written is closed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, provider: str, operation_class: OperationClass) -> BreakerState:
        """Read a state."""
        async with self._database.transaction() as session:
            row = await session.get(BreakerRow, (provider, operation_class))
            return CLOSED if row is None else _state_of(row)

    async def update(
        self,
        provider: str,
        operation_class: OperationClass,
        change: Callable[[BreakerState], BreakerState],
    ) -> BreakerState:
        """Replace a state under its row's lock, and return what stands now."""
        async with self._database.transaction() as session:
            row = await _locked(session, provider, operation_class)
            state = change(_state_of(row))
            row.phase, row.failures = state.phase, state.failures
            row.probes, row.probe_at = state.probes, state.probe_at
            return state


class Breakers:
    """One breaker for each provider and class of operations, as this process sees it."""

    def __init__(self, database: Database, *, copy_is_good_for_seconds: float = 1.0) -> None:
        self._store = BreakerTable(database)
        self._good_for = copy_is_good_for_seconds
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

    def _of(self, provider: str, kind: OperationClass, policy: BreakerPolicy) -> Breaker:
        key = (provider, kind)
        if key not in self._breakers:
            self._breakers[key] = Breaker(
                provider,
                kind,
                policy,
                self._store,
                copy_is_good_for_seconds=self._good_for,
            )
        return self._breakers[key]


async def _locked(
    session: AsyncSession, provider: str, operation_class: OperationClass
) -> BreakerRow:
    await session.exec(
        insert(BreakerRow)
        .values(provider=provider, operation_class=operation_class, phase=CLOSED.phase)
        .on_conflict_do_nothing()
    )
    return await session.get_one(BreakerRow, (provider, operation_class), with_for_update=True)


def _state_of(row: BreakerRow) -> BreakerState:
    return BreakerState(BreakerPhase(row.phase), row.failures, row.probes, row.probe_at)
