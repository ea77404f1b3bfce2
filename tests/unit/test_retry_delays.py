"""How long a failed try waits: full jitter below a capped backoff, or what the provider asked for;
and when an effect key is too old to be sent again.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.boundary import failed_try
from activities.effects import _Ledge
from activities.plans import elsewhere
from adapters.sandbox.policy import POLICIES
from recompense.contracts.policies import CallPolicy
from recompense.contracts.provider import CaptureCall, ProviderOperation
from recompense.contracts.sagas import SagaKind, SagaRef
from recompense.contracts.steps import EffectPlan, EffectTerms
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable
from recompense.persistence.saga_tables import JournalRow

POLICY = POLICIES.calls[ProviderOperation.CAPTURE].model_copy(
    update={
        "initial_interval_seconds": 1.0,
        "maximum_interval_seconds": 8.0,
        "backoff": 2.0,
        "retry_after_cap_seconds": 5.0,
    }
)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WINDOW = timedelta(hours=1)


def delay(failure: ProviderUnavailable | OutcomeUnknown, tries: int) -> float:
    """The wait that a failed try asks Temporal for."""
    env = ActivityEnvironment()
    env.info = dataclasses.replace(env.info, attempt=tries)

    def asked(policy: CallPolicy) -> float:
        waits = failed_try(failure, policy).next_retry_delay
        assert waits is not None
        return waits.total_seconds()

    return float(env.run(asked, POLICY))


@pytest.mark.parametrize(("tries", "ceiling"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (60, 8)])
def test_backoff_is_capped_and_jitter_spreads_over_all_of_it(tries: int, ceiling: float) -> None:
    waits = [delay(OutcomeUnknown("no answer"), tries) for _ in range(200)]
    assert max(waits) <= ceiling
    assert min(waits) > 0
    # Of 200 even draws none falls into the lowest or highest third once in 10^34 runs.
    assert min(waits) < ceiling / 3
    assert max(waits) > ceiling * 2 / 3


@pytest.mark.parametrize(("asked", "waits"), [(0.0, 0.0), (3.0, 3.0), (3_600.0, 5.0)])
def test_retry_after_is_honoured_and_capped(asked: float, waits: float) -> None:
    assert delay(ProviderUnavailable("429", asked), 4) == waits


def plan() -> EffectPlan:
    """A capture whose provider honours a key for an hour."""
    return EffectPlan(
        saga=SagaRef(
            saga_id="capture/cap_1",
            kind=SagaKind.CAPTURE,
            operation_id="cap_1",
            merchant_id="mer_1",
            payment_id="pay_1",
        ),
        step="capture",
        attempt=1,
        provider="sandbox",
        call=CaptureCall(
            operation_id="cap_1",
            effect_key="cap_1:capture:1",
            amount=1,
            currency="EUR",
            send_by=NOW,
            authorization_reference="au_1",
            final=True,
        ),
        right=None,
        policy=POLICY,
        lookup=POLICY,
        pending=POLICIES.pending[ProviderOperation.CAPTURE],
        terms=EffectTerms(
            send_right_seconds=3,
            clock_skew_seconds=0,
            absent_is_final_after_seconds=5,
            idempotency_window_seconds=WINDOW.total_seconds(),
        ),
    )


def row(first_sent: datetime | None) -> JournalRow:
    """The journal's row of it."""
    return JournalRow(
        saga_id="capture/cap_1",
        step="capture",
        attempt=1,
        provider="sandbox",
        operation_id="cap_1",
        effect_key="cap_1:capture:1",
        call={},
        call_digest="",
        first_sent_at=first_sent,
    )


@pytest.mark.parametrize(
    ("first_sent", "may"),
    [(None, True), (NOW, True), (NOW - WINDOW * 0.99, True), (NOW - WINDOW, False)],
)
def test_key_is_not_sent_again_outside_the_idempotency_window(
    first_sent: datetime | None, may: bool
) -> None:
    assert _Ledge(row(first_sent), NOW, right_ends_in=-1).may_send_again(plan()) is may


@pytest.mark.parametrize(("right_ends_in", "final"), [(3, False), (-4.9, False), (-5, True)])
def test_absence_is_final_only_after_its_time(right_ends_in: float, final: bool) -> None:
    assert _Ledge(row(None), NOW, right_ends_in).is_absent_final(plan()) is final


def test_later_legs_have_less_elsewhere() -> None:
    route = ("a", "b", "c")
    assert [elsewhere(route, leg) for leg in (1, 2, 3)] == [("b", "c"), ("c",), ()]
