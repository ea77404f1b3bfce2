"""Every registered provider, live, behind its adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from adapters.transport import ObservedTransport
from recompense.contracts.provider import CallRecord
from tests.conformance.support import PATIENT, Bench
from tests.conformance.targets import TARGETS, Target


@pytest.fixture(scope="session", params=sorted(TARGETS))
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """One live vendor for the whole suite; fresh references keep the tests apart."""
    with TARGETS[request.param](tmp_path_factory.mktemp(request.param)) as live:
        yield live


@pytest_asyncio.fixture
async def bench(target: Target) -> AsyncIterator[Bench]:
    """The adapter under test and everything around it."""
    records: list[CallRecord] = []
    transport = ObservedTransport(records.append)
    target.vendor.clear_faults()
    yield Bench(target, transport, records, PATIENT)
    target.vendor.clear_faults()
    await transport.aclose()
