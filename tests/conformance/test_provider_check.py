"""`recompense providers check` passes a provider in order, and names what fails on another."""

from __future__ import annotations

from recompense.contracts.provider import ProviderOperation
from recompense.ops.provider_check import check_provider
from tests.conformance.cases import needs
from tests.conformance.support import Bench


async def test_provider_in_order_passes_every_check(bench: Bench) -> None:
    results = await check_provider(bench.adapter())
    assert [result for result in results if not result.passed] == []


@needs("scripts:error_before")
async def test_provider_that_cannot_capture_fails_that_check_only(bench: Bench) -> None:
    bench.target.arm(ProviderOperation.CAPTURE, "error_before")
    failed = [result for result in await check_provider(bench.adapter()) if not result.passed]
    assert bench.target.fired() == 1
    assert [result.name for result in failed] == ["a capture and its refund are approved"]
    assert "OutcomeUnknown" in failed[0].seen
