"""What is left of a hold when the provider has closed the authorization behind our back."""

from __future__ import annotations

from sqlmodel import select

from recompense.persistence.tables import Payment
from tests.support.commit_proxy import commit_proxy
from tests.support.stage import staged
from tests.support.step_stories import (
    AMOUNT,
    CAPTURE,
    capture_fails_after_the_authorization_has_closed,
)


async def test_open_capture_that_fails_gives_its_part_back(database_url: str) -> None:
    """Only what the late capture has taken is kept, until a person has decided."""
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        await capture_fails_after_the_authorization_has_closed(stage)
        assert stage.failures == []
        async with stage.database.transaction() as session:
            payment = (await session.exec(select(Payment))).one()
    assert payment.authorization_closed
    assert payment.amount_capture_reserved == CAPTURE.amount
    assert payment.amount_voided == AMOUNT - int(CAPTURE.amount or 0)
