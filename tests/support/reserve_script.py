"""What the sweep does with the tranches of reserves, as steps of a store script."""

from __future__ import annotations

from recompense.persistence.tables import Capture, ReserveTranche
from recompense.persistence.work import Work
from tests.support.lock_script import MERCHANT
from tests.support.rows_shown import EARLIER, LATER, Actor


async def tranche(actor: Actor, work: Work, key: int, value: int) -> object:
    """A reserve keeps a part of a capture."""
    capture_id = f"cap_{key}_{value}"
    if await work.get(Capture, capture_id) is None:
        return None
    work.add(
        ReserveTranche(
            capture_id=capture_id,
            payment_id=f"pay_{key}",
            merchant_id=MERCHANT,
            amount=0 if value == 4 else 5,
            currency="EUR",
            release_at=(EARLIER, LATER)[value % 2],
        )
    )
    await work.flush()
    return sorted(await work.tranches_due(50))


async def release(actor: Actor, work: Work, key: int, value: int) -> object:
    """What a reserve has kept becomes free."""
    found = await work.get(ReserveTranche, f"cap_{key}_{value}", lock=True)
    if found is not None and found.released_at is None:
        found.released_at = work.clock
    return sorted(await work.tranches_due(50))
