"""Two providers behind one merchant's terms: what provably did not happen at the first is made at
the second, once, under a key of its own; what is unknown stays where it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.breakers import BreakerTable
from adapters.breaker import OperationClass, held_open
from recompense.contracts.sagas import CaptureInput, RefundInput
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.verify import verify
from tests.live.conftest import HASTY
from tests.support.books import PAYMENTS_DISAGREE, UNBOOKED
from tests.support.platform import (
    Platform,
    ProviderSetup,
    authorize_input,
    reached,
    running_platform,
)
from tests.support.sandbox import Sandbox, running_sandbox
from tests.support.scenes import on, operation, payout_input, reset, reset_points
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.payout import Payout
from workflows.refund import RefundPayment

TERMS = """UPDATE merchants SET routing = '{"prefer": ["sandbox", "spare"]}'"""
JOURNAL = (
    "SELECT step, leg, provider, effect_key, outcome_kind FROM journal"
    " WHERE operation_id = :id ORDER BY created_at"
)


@pytest.fixture
async def spare(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """The second provider: the same adapter in front of another vendor."""
    with running_sandbox(tmp_path / "spare.sqlite3", webhook_url="http://127.0.0.1:9/") as vendor:
        yield vendor


@pytest.fixture
async def both(
    temporal_address: str, database_url: str, tmp_path: Path, spare: Sandbox
) -> AsyncIterator[Platform]:
    with running_sandbox(tmp_path / "first.sqlite3", webhook_url="http://127.0.0.1:9/") as first:
        async with running_platform(
            temporal_address,
            database_url,
            first,
            policy_overrides=HASTY,
            beside={"spare": ProviderSetup(reached(spare), HASTY, adapter="sandbox")},
        ) as platform:
            await platform.rows_changed(TERMS)
            yield platform


async def legs(platform: Platform, operation_id: str) -> list[tuple[Any, ...]]:
    rows = await platform.rows(JOURNAL, id=operation_id)
    return [(row["step"], row["leg"], row["provider"], row["outcome_kind"]) for row in rows]


async def assert_in_order(platform: Platform) -> None:
    async with platform.database.engine.connect() as connection:
        report = await verify(connection)
    assert report.in_order, report.first_wrong
    assert await platform.rows(PAYMENTS_DISAGREE) == []
    assert await platform.rows(UNBOOKED) == []


def made(vendor: Sandbox, operation_id: str) -> list[str]:
    return [effect["effect_key"] for effect in vendor.effects(operation_id)]


@pytest.mark.parametrize("fault", ["unavailable", "rate_limited"])
async def test_what_the_first_provider_did_not_take_is_made_at_the_second(
    both: Platform, spare: Sandbox, fault: str
) -> None:
    payment = authorize_input()
    both.sandbox.arm("authorize", fault, times=-1, reference=payment.payment_id)
    decided = await both.decide(AuthorizePayment, payment)
    shown = decided.resource
    assert (shown.status, shown.provider) == ("authorized", "spare")
    assert await legs(both, payment.payment_id) == [
        ("authorize", 1, "sandbox", "absent"),
        ("authorize", 2, "spare", "approved"),
    ]
    assert both.sandbox.effects() == []
    assert made(spare, payment.payment_id) == [f"{payment.payment_id}:authorize.2:1"]
    capture = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), amount=6_000, **on(payment))
    assert (await both.decide(CapturePayment, capture)).resource.status == "succeeded"
    refund = RefundInput(refund_id=new_id(IdPrefix.REFUND), amount=1_000, **on(payment))
    assert (await both.decide(RefundPayment, refund)).resource.status == "succeeded"
    assert [effect["operation"] for effect in spare.effects()] == [
        *("authorize", "capture", "refund")
    ]
    [held] = await both.rows(
        "SELECT DISTINCT debit FROM ledger_transfers WHERE debit LIKE 'provider:spare%'"
    )
    assert held["debit"].startswith("provider:spare")
    await assert_in_order(both)


async def test_lasting_silence_is_looked_up_before_the_second_is_asked(
    both: Platform, spare: Sandbox
) -> None:
    payment = authorize_input()
    both.sandbox.arm("authorize", "reset_before", times=-1, reference=payment.payment_id)
    decided = await both.decide(AuthorizePayment, payment)
    assert decided.resource.provider == "spare"
    [first, _] = await both.rows(
        "SELECT outcome_source, calls FROM journal WHERE operation_id = :id ORDER BY leg",
        id=payment.payment_id,
    )
    assert first["outcome_source"] == "lookup"
    assert "lookup" in [call["operation"] for call in first["calls"]]
    assert both.sandbox.effects() == []
    assert len(made(spare, payment.payment_id)) == 1
    await assert_in_order(both)


@pytest.mark.parametrize("fault", ["reset_after", "error_after", "timeout_after", "malformed"])
async def test_unknown_outcome_never_fails_over(both: Platform, spare: Sandbox, fault: str) -> None:
    payment = authorize_input()
    both.sandbox.arm("authorize", fault, times=-1, reference=payment.payment_id)
    decided = await both.decide(AuthorizePayment, payment)
    assert (decided.resource.status, decided.resource.provider) == ("authorized", "sandbox")
    assert len(made(both.sandbox, payment.payment_id)) == 1
    assert spare.effects() == []
    await assert_in_order(both)


async def test_payment_that_names_its_provider_stays_there(both: Platform, spare: Sandbox) -> None:
    payment = authorize_input(provider="sandbox")
    both.sandbox.arm("authorize", "unavailable", times=-1, reference=payment.payment_id)
    decided = await both.decide(AuthorizePayment, payment)
    assert (decided.resource.status, decided.resource.provider) == ("failed", "sandbox")
    assert (await operation(both, payment))["attempt_state"] == "closed"
    assert spare.effects() == []


async def test_when_nobody_takes_it_everything_is_taken_back(
    both: Platform, spare: Sandbox
) -> None:
    payment = authorize_input()
    for vendor in (both.sandbox, spare):
        vendor.arm("authorize", "unavailable", times=-1, reference=payment.payment_id)
    decided = await both.decide(AuthorizePayment, payment)
    assert decided.resource.status == "failed"
    kinds = [leg[3] for leg in await legs(both, payment.payment_id)]
    assert kinds == ["absent", "absent"]
    await assert_in_order(both)


async def test_open_breaker_is_routed_around_before_the_call(
    both: Platform, spare: Sandbox
) -> None:
    await BreakerTable(both.database).update("sandbox", OperationClass.CARDS, lambda _: held_open())
    payment = authorize_input(capture_method="automatic")
    decided = await both.decide(AuthorizePayment, payment)
    assert (decided.resource.status, decided.resource.provider) == ("captured", "spare")
    assert {leg[1:3] for leg in await legs(both, payment.payment_id)} == {(1, "spare")}
    assert both.sandbox.effects() == []
    await assert_in_order(both)


async def test_payout_fails_over_too(both: Platform, spare: Sandbox) -> None:
    await both.decide(AuthorizePayment, authorize_input(capture_method="automatic"))
    payout = payout_input()
    both.sandbox.arm("payout", "unavailable", times=-1, reference=payout.payout_id)
    decided = await both.decide(Payout, payout)
    assert decided.resource.status == "in_transit"
    assert (await both.handle(payout).result())["ended"] == "paid"
    assert made(spare, payout.payout_id) == [f"{payout.payout_id}:payout.2:1"]
    assert made(both.sandbox, payout.payout_id) == []
    await assert_in_order(both)


async def test_reset_at_any_point_finds_the_leg_that_stands(both: Platform, spare: Sandbox) -> None:
    payment = authorize_input()
    both.sandbox.arm("authorize", "unavailable", reference=payment.payment_id)
    await both.decide(AuthorizePayment, payment)
    run_id, points = await reset_points(both, payment)
    before = await legs(both, payment.payment_id)
    for event_id, _ in points:
        await reset(both, payment, run_id, event_id)
        assert (await both.handle(payment).result())["ended"] == "authorized"
    assert await legs(both, payment.payment_id) == before
    assert len(made(spare, payment.payment_id)) == 1
    assert both.sandbox.effects() == []
    await assert_in_order(both)
