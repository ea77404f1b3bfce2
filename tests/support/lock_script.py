"""The step of a random script that locks all that a recording step stands on."""

from __future__ import annotations

from sqlmodel import SQLModel

from recompense.contracts.sagas import SagaKind, SagaRef
from recompense.persistence.saga_tables import JournalRow, Operation, OperationRun
from recompense.persistence.tables import Payment
from recompense.persistence.work import Work
from tests.support.rows_shown import Actor, shown

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
