"""Each sandbox fault on each operation: an allowed end, one effect at most at the provider, and the
books at zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from recompense.contracts.sagas import (
    CaptureInput,
    PayoutInput,
    RefundInput,
    VoidInput,
)
from recompense.contracts.words import AnySagaInput
from recompense.domain.ids import IdPrefix, new_id
from tests.support.books import assert_books_agree
from tests.support.census import count
from tests.support.platform import MERCHANT, Platform, authorize_input
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.payout import Payout
from workflows.refund import RefundPayment
from workflows.void import VoidAuthorization

FAULTS = (
    "decline",
    "insufficient_funds",
    "timeout_before",
    "timeout_after",
    "error_before",
    "error_after",
    "unavailable",
    "rate_limited",
    "malformed",
    "reset_before",
    "reset_after",
    "slow",
    "pending",
    "unknown_status",
)
REFUSED = {"decline", "insufficient_funds"}


async def authorized(platform: Platform) -> dict[str, Any]:
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    return {
        "payment_id": authorize.payment_id,
        "merchant_id": MERCHANT,
        "requested_by": "backend",
    }


async def captured(platform: Platform) -> dict[str, Any]:
    common = await authorized(platform)
    await platform.decide(
        CapturePayment, CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), **common)
    )
    return common


async def an_authorization(platform: Platform) -> tuple[Any, AnySagaInput]:
    return AuthorizePayment, authorize_input()


async def a_capture(platform: Platform) -> tuple[Any, AnySagaInput]:
    common = await authorized(platform)
    return CapturePayment, CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), **common)


async def a_void(platform: Platform) -> tuple[Any, AnySagaInput]:
    return VoidAuthorization, VoidInput(number=1, **await authorized(platform))


async def a_refund(platform: Platform) -> tuple[Any, AnySagaInput]:
    common = await captured(platform)
    return RefundPayment, RefundInput(refund_id=new_id(IdPrefix.REFUND), **common)


async def a_payout(platform: Platform) -> tuple[Any, AnySagaInput]:
    await captured(platform)
    return Payout, PayoutInput(
        payout_id=new_id(IdPrefix.PAYOUT),
        merchant_id=MERCHANT,
        amount=1_000,
        currency="EUR",
        token="tok_ok",
        requested_by="finance",
    )


Make = Callable[[Platform], Awaitable[tuple[Any, AnySagaInput]]]
OPERATIONS: dict[str, Make] = {
    "authorize": an_authorization,
    "capture": a_capture,
    "void": a_void,
    "refund": a_refund,
    "payout": a_payout,
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_fault_once_ends_well(patient_platform: Platform, operation: str) -> None:
    """All faults of one operation run side by side, each on an operation of its own."""
    platform = patient_platform

    async def one(fault: str) -> None:
        workflow, saga = await OPERATIONS[operation](platform)
        reference = saga.ref().operation_id
        before = len(_effects_of(platform, operation, reference))
        platform.sandbox.arm(operation, fault, reference=reference, delay_ms=500)
        decided = await asyncio.wait_for(platform.decide(workflow, saga), 60)
        await asyncio.wait_for(platform.handle(saga).result(), 60)
        effects = _effects_of(platform, operation, reference)
        assert _armed(platform, fault, reference)["fired"] == 1, fault
        assert len(effects) - before == (0 if fault in REFUSED else 1), (fault, effects)
        row = (
            await platform.rows(
                "SELECT saga_state, attempt_state FROM operations WHERE saga_id = :id",
                id=saga.ref().saga_id,
            )
        )[0]
        assert (row["saga_state"], row["attempt_state"]) == ("done", "recorded"), fault
        assert (decided.resource is None) == (operation == "void" and fault in REFUSED)

    await asyncio.gather(*(one(fault) for fault in FAULTS))
    for fault in FAULTS:
        count("cases by fault", f"{fault}, once")
    await assert_books_agree(platform)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_lasting_unavailability_is_compensated(
    patient_platform: Platform, operation: str
) -> None:
    platform = patient_platform
    workflow, saga = await OPERATIONS[operation](platform)
    reference = saga.ref().operation_id
    before = len(_effects_of(platform, operation, reference))
    platform.sandbox.arm(operation, "unavailable", times=-1, reference=reference)
    decided = await asyncio.wait_for(platform.decide(workflow, saga), 60)
    row = (
        await platform.rows(
            "SELECT saga_state, attempt_state FROM operations WHERE saga_id = :id",
            id=saga.ref().saga_id,
        )
    )[0]
    assert (row["saga_state"], row["attempt_state"]) == ("failed", "closed")
    assert len(_effects_of(platform, operation, reference)) == before
    if operation == "void":
        # A payment does not show why it was not voided: the caller is refused.
        assert decided.refusal.code == "payment_not_voidable"
    else:
        assert decided.resource is not None
    await assert_books_agree(platform)


def _effects_of(platform: Platform, operation: str, reference: str) -> list[dict[str, Any]]:
    return [e for e in platform.sandbox.effects(reference) if e["operation"] == operation]


def _armed(platform: Platform, fault: str, reference: str) -> dict[str, Any]:
    (found,) = [
        f
        for f in platform.sandbox.faults()
        if f["fault"] == fault and (f["match"] or {}).get("reference") == reference
    ]
    return found
