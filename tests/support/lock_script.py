"""The steps of a random script that lock, read rights and take them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlmodel import SQLModel

from recompense.contracts.sagas import SagaKind, SagaRef
from recompense.persistence.saga_tables import JournalRow, Operation, OperationRun
from recompense.persistence.tables import Payment
from recompense.persistence.work import Work
from tests.support.rows_shown import LATER, Actor, shown

MERCHANT = "mer_1"


async def lock_step(actor: Actor, work: Work, key: int, value: int) -> object:
    """Lock what a step stands on, and read it as a step does."""
    saga_id = f"authorize/pay_{key}"
    saga = SagaRef(
        saga_id=saga_id,
        kind=SagaKind.AUTHORIZE,
        operation_id=f"pay_{key}",
        merchant_id=MERCHANT,
        payment_id=f"pay_{key}" if value % 2 else None,
    )
    effect = (saga_id, ("authorize", "capture", "authorize.undo")[value % 3], 1, 1)
    await work.lock_step(effect, "run", saga)
    found: list[SQLModel | None] = [
        await work.get(Operation, saga_id, lock=True),
        await work.get(OperationRun, (saga_id, "run")),
        await work.get(JournalRow, effect, lock=True),
        await work.get(Payment, saga.payment_id, lock=True),
    ]
    if found[0] is not None and found[1] is None:
        work.add(OperationRun(saga_id=saga_id, run_id="run", workflow_id=saga_id, attempt=value))
    return [row and shown([row]) for row in found]


async def read_right(actor: Actor, work: Work, key: int, value: int) -> object:
    """Read an effect, and remember it for later transactions."""
    step = ("authorize", "capture")[value % 2]
    row = await work.get(JournalRow, (f"authorize/pay_{key}", step, 1, 1), lock=value > 3)
    if row is not None:
        actor.read[f"pay_{key}", step] = JournalRow(**_copied(row))
    return row


async def take_right(actor: Actor, work: Work, key: int, value: int) -> object:
    """Take the right of an effect that an earlier transaction has read."""
    row = actor.read.get((f"pay_{key}", ("authorize", "capture")[value % 2]))
    if row is None:
        return None
    until = LATER + timedelta(seconds=value)
    return await work.take_right(row, run_id=f"run-{value}", right_try=value, send_by=until)


async def absent(actor: Actor, work: Work, key: int, value: int) -> object:
    """Conclude that such an effect was never made."""
    row = actor.read.get((f"pay_{key}", ("authorize", "capture")[value % 2]))
    return None if row is None else await work.conclude_absent(row, [{"value": value}], "lookup")


def _copied(row: JournalRow) -> dict[str, Any]:
    return {name: value for name, value in row.__dict__.items() if name[0] != "_"}
