"""Look-ups at providers that tell of an effect by webhook only: what is stored is read, and nobody
is called.

The provider's own answers are stored too, in the journal. As long as no webhook has said more, what
was answered still holds: an effect that was acknowledged is not absent because its word is to come.
"""

from __future__ import annotations

from activities.toolbox import Toolbox
from recompense.contracts.port_extras import ReadsEvents
from recompense.contracts.provider import Found, ProviderEvent
from recompense.contracts.steps import EffectAnswer, EffectPlan
from recompense.persistence import journal
from recompense.persistence.saga_tables import JournalRow, ProviderEventRow


async def look_up(tools: Toolbox, port: ReadsEvents, plan: EffectPlan) -> Found:
    """What the verified webhooks say about one effect. Raises `ProviderAnswerMismatch`."""
    saga = plan.saga
    async with tools.store.work() as work:
        row = await journal.read(work, journal.position(plan))
        stored = await work.told_events(
            plan.provider, saga.operation_id, saga.payment_id or saga.operation_id
        )
    return port.found_in_events(
        operation=plan.call.operation,
        effect_key=plan.call.effect_key,
        reference=_known_reference(row),
        amount=plan.call.amount,
        currency=plan.call.currency,
        events=[_event(event) for event in stored],
    )


async def acknowledged(tools: Toolbox, plan: EffectPlan) -> EffectAnswer | None:
    """What the provider has answered, where it owes its final word. None: it owes none."""
    async with tools.store.work() as work:
        row = await journal.read(work, journal.position(plan))
    return None if row is None or row.final else journal.known_answer(row)


def _known_reference(row: JournalRow | None) -> str | None:
    reference = ((row.outcome if row else None) or {}).get("reference")
    return None if reference is None else str(reference)


def _event(row: ProviderEventRow) -> ProviderEvent:
    return ProviderEvent(
        provider=row.provider,
        event_id=row.event_id,
        event_type=row.event_type,
        object_reference=row.object_reference,
        operation_id=row.operation_id,
        effect_key=row.effect_key,
        occurred_at=None,
        payload=row.payload,
    )
