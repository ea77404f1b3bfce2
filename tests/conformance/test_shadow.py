"""An adapter beside itself reads the same, and the vendor notices nothing."""

from __future__ import annotations

import pytest

from adapters.registry import build
from adapters.shadow import SAME, ShadowReport, with_shadow
from recompense.contracts.provider import ProviderOperation
from tests.conformance.cases import HTTP, needs
from tests.conformance.support import MONEY_OPERATIONS, Bench


@needs(HTTP)
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_shadow_of_itself_reads_the_same_and_makes_no_effect(
    bench: Bench, operation: ProviderOperation
) -> None:
    reports: list[ShadowReport] = []
    target = bench.target
    live = build(target.provider, target.config(), transport=bench.transport)
    both = with_shadow(live, target.provider, target.config(), reports.append)
    call = await bench.prepared(operation)
    before = len(bench.records)
    assert bench.reference_if_made(call, await bench.make(call, both.port)) is not None
    calls = len(bench.records) - before
    await both.port.aclose()
    assert {report.difference for report in reports} == {SAME}
    assert len(bench.records) - before == calls
    assert len(bench.effects(call)) == 1
