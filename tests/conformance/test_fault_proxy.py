"""The faults that are made on the socket mean what the scripted ones mean: seen from the adapter,
and counted at the vendor.
"""

from __future__ import annotations

import pytest

from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable
from tests.conformance.cases import HTTP, needs
from tests.conformance.support import Bench
from tests.support.fault_proxy import AFTER, BEFORE

pytestmark = needs(HTTP)


@pytest.fixture(autouse=True)
def no_scripts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in scripts nothing now."""
    monkeypatch.setattr(bench.target, "native_faults", frozenset())


@pytest.mark.parametrize("kind", sorted((BEFORE | AFTER) - {"slow", "drip"}))
async def test_fault_made_on_the_socket_leaves_the_effect_or_none(bench: Bench, kind: str) -> None:
    call = await bench.prepared(bench.any_operation)
    async with bench.meeting(call, kind, times=2) as meeting:
        for tries in (1, 2):
            with pytest.raises((OutcomeUnknown, ProviderUnavailable)):
                await bench.make(call, meeting.adapter)
            assert meeting.fired() == tries
        assert len(bench.effects(call)) == (1 if kind in AFTER else 0)
        assert bench.reference_if_made(call, await bench.make(call, meeting.adapter)) is not None
        assert meeting.fired() == 2
    assert len(bench.effects(call)) == 1


@needs(ProviderOperation.CAPTURE, "lookup_by_reference")
async def test_slow_proxy_answers_rightly_and_meets_only_what_moves_money(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.CAPTURE)
    async with bench.meeting(call, "slow", times=-1, delay_ms=50) as meeting:
        assert bench.reference_if_made(call, await bench.make(call, meeting.adapter)) is not None
        fired = meeting.fired()
        await bench.look_up(call, meeting.adapter)
        assert meeting.fired() == fired
