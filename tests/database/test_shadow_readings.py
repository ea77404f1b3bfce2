"""Readings of shadows are counted in memory and added to one row for each kind."""

from __future__ import annotations

import pytest

from adapters.registry import UnknownProvider, build
from adapters.shadow import SAME, NotAShadow, ShadowReport
from adapters.transport import ObservedTransport
from recompense.contracts.provider import ProviderOperation
from recompense.persistence.database import Database
from recompense.persistence.shadow_readings import of_provider
from recompense.shadows import ShadowReadings, shadowed

CONFIG = {"base_url": "http://127.0.0.1:9", "webhook_secrets": ["s"]}


def report(difference: str, key: str = "pay_1:authorize:1") -> ShadowReport:
    return ShadowReport("sandbox", "next", ProviderOperation.AUTHORIZE, key, difference)


async def test_readings_add_up_over_writes_and_an_outage(database_url: str) -> None:
    readings = ShadowReadings()
    nowhere = Database("postgresql://127.0.0.1:9/nothing")
    database = Database(database_url)
    for difference in (SAME, SAME, "approved is read as declined"):
        readings.note(report(difference))
    await readings.write(nowhere.engine)
    readings.note(report(SAME, "pay_2:authorize:1"))
    await readings.write(database.engine)
    await readings.write(database.engine)
    readings.note(report(SAME, "pay_3:authorize:1"))
    await readings.write(database.engine)
    async with database.transaction() as session:
        rows = await of_provider(session, "sandbox")
    assert [(row.difference, row.times) for row in rows] == [
        (SAME, 4),
        ("approved is read as declined", 1),
    ]
    assert rows[0].effect_key == "pay_3:authorize:1"
    await nowhere.close()
    await database.close()


async def test_shadow_that_cannot_be_one_is_refused_at_start() -> None:
    transport = ObservedTransport(lambda _: None)
    served = {"sandbox": build("sandbox", CONFIG, transport=transport)}
    configs = {"sandbox": CONFIG}
    with pytest.raises(NotAShadow, match="not served"):
        shadowed(served, {"stripe": "sandbox"}, configs, ShadowReadings())
    with pytest.raises(UnknownProvider):
        shadowed(served, {"sandbox": "nobody"}, configs, ShadowReadings())
    assert shadowed(served, {"sandbox": "sandbox"}, configs, ShadowReadings()).names
    await transport.aclose()
