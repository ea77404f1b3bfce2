"""Random scripts of what activities ask of a store, for holding two stores against each other."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

from recompense.contracts.sagas import SagaKind, SagaRef
from recompense.domain.failures import RecompenseError
from recompense.ledger import templates
from recompense.persistence.saga_tables import (
    Attempt,
    JournalRow,
    Operation,
    Orphan,
    ProviderEventRow,
)
from recompense.persistence.tables import Capture, Payment, Payout
from recompense.persistence.work import Work
from tests.support.lock_script import MERCHANT, absent, lock_step, read_right, take_right
from tests.support.rows_shown import EARLIER, LATER, Actor, TakenBack, shown


async def transaction(actor: Actor, steps: list[tuple[str, int, int]]) -> list[object]:
    told: list[object] = []
    try:
        async with actor.open() as work:
            for name, key, value in steps:
                told.append(await _act(actor, work, name, key, value))
    except (SQLAlchemyError, RecompenseError, TakenBack) as error:
        told.append(type(error).__name__)
    return told


def drawn(chance: random.Random) -> tuple[str, int, int]:
    return (chance.choice(sorted(STEPS_BY_NAME)), chance.randint(1, 3), chance.randint(0, 5))


async def _act(actor: Actor, work: Work, name: str, key: int, value: int) -> object:
    answer = await STEPS_BY_NAME[name](actor, work, key, value)
    if isinstance(answer, SQLModel):
        return shown([answer])
    if isinstance(answer, list) and answer and isinstance(answer[0], SQLModel):
        return shown(answer)
    return answer


async def _operation(actor: Actor, work: Work, key: int, value: int) -> object:
    return await work.insert_operation(_operation_values(key, value))


def _operation_values(key: int, value: int) -> dict[str, Any]:
    return {
        "saga_id": f"authorize/pay_{key}",
        "kind": "authorize",
        "operation_id": f"pay_{key}",
        "payment_id": f"pay_{key}",
        "merchant_id": MERCHANT,
        "provider": None,
        "input": {"value": value},
        "requested_by": "test",
        "attempt": 1,
        "attempt_state": "open",
        "saga_state": "running",
    }


async def _saga_state(actor: Actor, work: Work, key: int, value: int) -> object:
    operation = await work.get(Operation, f"authorize/pay_{key}", lock=True)
    if operation is not None:
        operation.saga_state = ("parked", "running")[value % 2]
        operation.since = work.clock
    return operation is not None


async def _attention(actor: Actor, work: Work, key: int, value: int) -> object:
    await work.show_attention(
        SagaRef(
            saga_id=f"authorize/pay_{key}",
            kind=SagaKind.AUTHORIZE,
            operation_id=f"pay_{key}",
            merchant_id=MERCHANT,
            payment_id=f"pay_{key}",
        )
    )
    payment = await work.get(Payment, f"pay_{key}", lock=True)
    return None if payment is None else payment.needs_attention


async def _attempt(actor: Actor, work: Work, key: int, value: int) -> object:
    saga_id = f"authorize/pay_{key}"
    if await work.get(Operation, saga_id) is None:
        return None
    work.add(Attempt(saga_id=saga_id, number=1 + value % 2, opened_by_run="run"))
    await work.flush()
    return await work.get(Attempt, (saga_id, 1 + value % 2))


async def _end(actor: Actor, work: Work, key: int, value: int) -> object:
    await work.end_attempt(f"authorize/pay_{key}", 1, {"value": value} if value else None)
    attempt = await work.get(Attempt, (f"authorize/pay_{key}", 1), lock=True)
    return None if attempt is None else (attempt.report, attempt.ended_at is not None)


async def _journal(actor: Actor, work: Work, key: int, value: int) -> object:
    saga_id = f"authorize/pay_{key}"
    if await work.get(Operation, saga_id) is None:
        return None
    step = ("authorize", "capture", "authorize.undo")[value % 3]
    work.add(
        JournalRow(
            saga_id=saga_id,
            step=step,
            attempt=1,
            leg=1 + value // 3,
            provider="model",
            operation_id=f"pay_{key}",
            effect_key=f"pay_{1 + value % 3 if value == 5 else key}:{step}:{value // 3}",
            call={},
            call_digest="",
        )
    )
    await work.flush()
    return await work.get(JournalRow, (saga_id, step, 1, 1 + value // 3))


async def _outcome(actor: Actor, work: Work, key: int, value: int) -> object:
    row = await work.get(JournalRow, (f"authorize/pay_{key}", "authorize", 1, 1), lock=True)
    if row is None:
        return None
    row.outcome_kind = ("approved", "pending", "declined")[value % 3]
    row.final = value != 4
    await work.flush()
    return row


async def _forward(actor: Actor, work: Work, key: int, value: int) -> object:
    return await work.forward_effects(f"authorize/pay_{key}", 1)


async def _legs(actor: Actor, work: Work, key: int, value: int) -> object:
    return await work.newest_leg(f"authorize/pay_{key}", ("authorize", "capture")[value % 2], 1)


async def _by_key(actor: Actor, work: Work, key: int, value: int) -> object:
    return await work.effect_by_key(f"pay_{key}:authorize:0")


async def _newest(actor: Actor, work: Work, key: int, value: int) -> object:
    return await work.newest_effect(f"pay_{key}", "model")


async def _made_as(actor: Actor, work: Work, key: int, value: int) -> object:
    row = await work.effect_by_key(f"pay_{key}:authorize:0")
    if row is not None and value:
        row.outcome = {"kind": "pending", "reference": f"object-{value % 3}"}
        await work.flush()
    return await work.effect_made_as(f"pay_{key}", "model", f"object-{value % 2}")


async def _orphan(actor: Actor, work: Work, key: int, value: int) -> object:
    saga_id = f"authorize/pay_{key}"
    if await work.get(Operation, saga_id) is None:
        return None
    status = "lost" if value == 5 else "open"
    work.add(
        Orphan(saga_id=saga_id, step="authorize", attempt=1, leg=value, outcome={}, status=status)
    )
    await work.flush()
    return await work.orphan_to_settle(saga_id, "authorize", 1, 1)


async def _orphan_of(actor: Actor, work: Work, key: int, value: int) -> object:
    row = await work.get(JournalRow, (f"authorize/pay_{key}", "authorize", 1, 1))
    return None if row is None else await work.orphan_of(row)


async def _parked_orphans(actor: Actor, work: Work, key: int, value: int) -> object:
    if (
        found := await work.orphan_to_settle(f"authorize/pay_{key}", "authorize", 1, 1)
    ) is not None:
        found.status = "parked" if value % 2 else "adopted"
    return await work.parked_orphans(f"authorize/pay_{key}")


async def _payment(actor: Actor, work: Work, key: int, value: int) -> object:
    if await work.now_if_merchant(MERCHANT, None) is None:
        return "no merchant"
    work.add(
        Payment(
            id=f"pay_{key}",
            merchant_id=MERCHANT,
            status="authorized",
            amount=100,
            currency="EUR",
            amount_authorized=100,
            capture_method="manual",
            reference=f"order-{value % 3}" if value else None,
            authorization_expires_at=(EARLIER, LATER)[value % 2],
        )
    )
    await work.flush()
    return await work.get(Payment, f"pay_{key}")


async def _move_payment(actor: Actor, work: Work, key: int, value: int) -> object:
    payment = await work.get(Payment, f"pay_{key}", lock=True)
    if payment is None:
        return None
    payment.amount_captured += 30
    payment.amount_capture_reserved = 10 * (value % 2)
    payment.amount_refunded += 20 if value == 3 else 0
    payment.status = "declined" if value == 1 else "partially_captured"
    await work.flush()
    return payment


async def _reference(actor: Actor, work: Work, key: int, value: int) -> object:
    found = await work.now_if_merchant(MERCHANT, f"order-{key}" if value else None)
    return None if found is None else found[1]


async def _expired(actor: Actor, work: Work, key: int, value: int) -> object:
    return await work.expired_authorizations(f"pay_{key - 1}" if value else None, 2)


async def _capture(actor: Actor, work: Work, key: int, value: int) -> object:
    if await work.get(Payment, f"pay_{key}") is None:
        return None
    work.add(
        Capture(
            id=f"cap_{key}_{value}",
            payment_id=f"pay_{key}",
            merchant_id=MERCHANT,
            amount=10,
            fee=20 if value == 5 else 0,
            currency="EUR",
            status=("pending", "succeeded")[value % 2],
            available_at=EARLIER + timedelta(days=key) if value > 1 else None,
        )
    )
    await work.flush()
    return len(await work.open_captures(f"pay_{key}"))


async def _due(actor: Actor, work: Work, key: int, value: int) -> object:
    return sorted(await work.captures_due(50))


async def _void(actor: Actor, work: Work, key: int, value: int) -> object:
    values = _operation_values(key, value)
    state = ("open", "recorded", "closed")[value % 3]
    saga_id = f"void/pay_{key}/{value}"
    await work.insert_operation(
        {**values, "saga_id": saga_id, "kind": "void", "attempt_state": state}
    )
    return await work.ended_voids(f"pay_{key}")


async def _payout(actor: Actor, work: Work, key: int, value: int) -> object:
    other = await work.payout_with_reference(MERCHANT, f"pay-{value % 2}", but=f"po_{key}")
    work.add(
        Payout(
            id=f"po_{key}",
            merchant_id=MERCHANT,
            amount=10,
            currency="EUR",
            status=("paid", "failed")[value % 2],
            destination_token="tok",
            provider="model",
            reference=f"pay-{value % 2}",
            requested_by="test",
        )
    )
    await work.flush()
    return other


async def _event(actor: Actor, work: Work, key: int, value: int) -> object:
    if await work.get(ProviderEventRow, ("model", f"ev_{key}")) is None:
        work.add(
            ProviderEventRow(
                provider="model",
                event_id=f"ev_{key}",
                event_type="changed",
                operation_id=f"pay_{key}",
                payload={},
                received_at=EARLIER + timedelta(days=key),
            )
        )
    if value > 3:
        await work.mark_event("model", f"ev_{key}", "applied", str(value))
    told = [row.event_id for row in await work.told_events("model", f"pay_{key}", "pay_1")]
    return [told, [row.event_id for row in await work.unapplied_events(5.0, 2)]]


async def _breaker(actor: Actor, work: Work, key: int, value: int) -> object:
    row = await work.breaker("model", f"class-{key}", "closed")
    row.failures += value
    return row


async def _post(actor: Actor, work: Work, key: int, value: int) -> object:
    posting = templates.made_available(
        f"pay_{key}:available:{1 + value % 2}",
        payment_id=None,
        merchant_id=MERCHANT,
        amount=50 if value == 5 else 40,
        currency="EUR",
    )
    await work.post(posting)
    return "posted"


async def _spend(actor: Actor, work: Work, key: int, value: int) -> object:
    posting = templates.payout_asked(
        f"po_{key}:reserve:{1 + value}",
        merchant_id=MERCHANT,
        bank="main",
        amount=30,
        currency="EUR",
    )
    await work.post(posting)
    return "reserved"


async def _savepoint(actor: Actor, work: Work, key: int, value: int) -> object:
    try:
        async with work.savepoint():
            made = await _payment(actor, work, key, value)
            _unless(value <= 3)
    except (SQLAlchemyError, TakenBack) as error:
        return type(error).__name__
    return made is not None


async def _give_up(actor: Actor, work: Work, key: int, value: int) -> object:
    _unless(value > 0)
    return None


def _unless(goes_on: bool) -> None:
    if not goes_on:
        raise TakenBack


STEPS_BY_NAME: dict[str, Callable[[Actor, Work, int, int], Any]] = {
    function.__name__: function
    for function in (
        _operation,
        _saga_state,
        _attention,
        _attempt,
        _end,
        _journal,
        read_right,
        lock_step,
        take_right,
        absent,
        _outcome,
        _forward,
        _legs,
        _by_key,
        _newest,
        _made_as,
        _orphan,
        _orphan_of,
        _parked_orphans,
        _payment,
        _move_payment,
        _reference,
        _expired,
        _capture,
        _due,
        _void,
        _payout,
        _event,
        _breaker,
        _post,
        _spend,
        _savepoint,
        _give_up,
    )
}
