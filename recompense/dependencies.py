"""What a worker process works with, made from the settings: providers, tools, schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.client import Client

from activities.breakers import Breakers
from activities.toolbox import PayoutRunTools, Settlement, Toolbox
from adapters import registry
from adapters.transport import ObservedTransport
from recompense.domain.calendar import BusinessCalendar
from recompense.domain.payout_dates import Clock
from recompense.persistence.database import Database
from recompense.schedules import (
    RunTimes,
    bank_rail_schedules,
    ensure_schedules,
    reconciliation_schedules,
)
from recompense.shadows import ShadowReadings, shadowed

if TYPE_CHECKING:
    from recompense.settings import Settings


def providers_of(
    settings: Settings, transport: ObservedTransport, readings: ShadowReadings
) -> registry.Providers:
    """The providers that this process serves, with their shadows."""
    names = {*settings.providers, *settings.shadows.values()}
    configs = {name: settings.provider_config(name) for name in names}
    served = {
        name: registry.build(
            name, configs[name], transport=transport, overrides=settings.policy_overrides.get(name)
        )
        for name in settings.providers
    }
    return shadowed(served, settings.shadows, configs, readings)


def tools_of(settings: Settings, database: Database, providers: registry.Providers) -> Toolbox:
    """What the activities work with."""
    return Toolbox(
        database,
        providers,
        Breakers(database),
        default_provider=settings.default_provider,
        payout_bank=settings.payout_bank,
        routing=settings.routing,
        payout_runs=PayoutRunTools(
            database,
            Clock(BusinessCalendar(settings.payout_run_calendar), settings.payout_run_time_zone),
            approval=settings.payout_run_approval == "always",
        ),
        settlement=Settlement.of(
            database,
            settings.terms_of_settlement,
            write_off_approval_above=settings.write_off_approval_above,
        ),
    )


async def keep_schedules(client: Client, settings: Settings, providers: registry.Providers) -> None:
    """Make and update all that runs by the clock. Raises `RPCError`, as `ensure_schedules` does."""
    rails = bank_rail_schedules(
        providers.batching, settings.payout_window_seconds, settings.bank_files_interval_seconds
    )
    daily = reconciliation_schedules(settings.providers, settings.reconcile_at)
    runs = run_times(settings)
    await ensure_schedules(client, settings.sweep_interval_seconds, runs, (*daily, *rails))


def run_times(settings: Settings) -> RunTimes:
    """When schedules make payout runs."""
    return RunTimes(
        names=settings.payout_run_schedules,
        time_of_day=settings.payout_run_time,
        time_zone=settings.payout_run_time_zone,
        every_seconds=settings.payout_run_interval_seconds,
    )
