"""Every registered provider, live, behind its adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from adapters.transport import ObservedTransport
from recompense.contracts.provider import CallRecord
from tests.conformance.cases import case_name, listed, needs_of, why_not
from tests.conformance.support import Bench
from tests.conformance.targets import TARGETS, Target
from tests.support.conformance_table import note_case


@pytest.fixture(scope="session", params=sorted(TARGETS))
def live_target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """One live vendor for the whole suite; fresh references keep the tests apart."""
    with TARGETS[request.param](tmp_path_factory.mktemp("vendor")) as live:
        yield live


@pytest.fixture
def target(live_target: Target, request: pytest.FixtureRequest) -> Target:
    """The vendor, for a case that it can be asked. The others are told in the table."""
    item: pytest.Item = request.node
    case = case_name(item, live_target.name)
    parameters = getattr(item, "callspec").params  # noqa: B009 - only parametrised items have one
    note_case(item, live_target.name, case)
    ruled_out = why_not(live_target, case, needs_of(item, parameters))
    if ruled_out is not None:
        pytest.skip(f"n/a: {ruled_out}")
    fault = listed(live_target.known_faults, case)
    if fault is not None:
        request.applymarker(pytest.mark.xfail(reason=fault, strict=True))
    return live_target


@pytest_asyncio.fixture
async def bench(target: Target) -> AsyncIterator[Bench]:
    """The adapter under test and everything around it."""
    records: list[CallRecord] = []
    transport = ObservedTransport(records.append)
    target.clear()
    yield Bench(target, transport, records)
    target.clear()
    await transport.aclose()
