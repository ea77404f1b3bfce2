"""What runs by the clock, in Temporal's words."""

from __future__ import annotations

from datetime import timedelta

from recompense.contracts.reconciliation import ReconcileDaily
from recompense.schedules import reconciliation_schedules


def test_each_provider_is_reconciled_once_a_day_at_the_hour_of_the_settings() -> None:
    *daily, relay, check = reconciliation_schedules(["acme", "sandbox"], "06:30")
    assert [one.schedule_id for one in daily] == ["reconcile-acme", "reconcile-sandbox"]
    assert daily[0].arguments == (ReconcileDaily(provider="acme"),)
    schedule = daily[0].schedule()
    (interval,) = schedule.spec.intervals
    assert (interval.every, interval.offset) == (timedelta(days=1), timedelta(hours=6, minutes=30))
    assert schedule.policy.catchup_window == timedelta(hours=23)
    (interval,) = relay.schedule().spec.intervals
    assert (relay.schedule_id, interval.every) == ("relay-reconciliations", timedelta(seconds=15))
    (interval,) = check.schedule().spec.intervals
    assert (check.schedule_id, interval.every) == ("check-balances", timedelta(hours=1))
