"""Repairs of breaks: whose word stands, what comes next, and the one transaction that books it.

A break's row decides. Its lock orders the words of several people; until something is booked, the
last word that was admitted counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.provider import Frozen, ProviderEvent
from recompense.contracts.reconciliation import BreakAction, BreakKind
from recompense.contracts.repairs import RepairStage, RepairStands, RepairWord
from recompense.contracts.sagas import ProviderEventInput, Refusal
from recompense.domain.failures import InvariantBroken, Refused
from recompense.persistence import inbox, ledger, matching_sql, outbox
from recompense.persistence.breaks import require_open
from recompense.persistence.repair_bookings import Repair, repair_of, require_fit
from recompense.persistence.saga_tables import ProviderEventRow
from recompense.persistence.settlement_tables import Break
from recompense.persistence.settlement_views import break_view

WORKFLOW = "recompense:repair"
_NOW = text("SELECT clock_timestamp()")
_PROVIDER = text("SELECT provider FROM breaks WHERE id = :break_id")


@dataclass(frozen=True)
class Rules:
    """What the platform's settings say: whose money repairs move, and above how many minor units a
    write-off takes two people.
    """

    bank: str
    write_off_approval_above: int


class _Standing(Frozen):
    """The word on a break's row. `waits`: a second person is asked."""

    word: RepairWord
    waits: bool


async def look(session: AsyncSession, break_id: str) -> RepairStands:
    """Where a break stands."""
    row = await session.get(Break, break_id)
    if row is None:
        raise InvariantBroken(f"{break_id} has no row")
    return await _stands(session, row)


async def admit(
    session: AsyncSession, break_id: str, word: RepairWord, rules: Rules
) -> RepairStands:
    """Take a person's word about an open break; the same word again changes nothing.

    A word that waits for a second person or for the provider gives way to the next one. One that
    does not fit is refused in the answer, and what stood before it stands.
    """
    row = await _locked(session, break_id)
    standing = _standing(row)
    if standing is not None and standing.word.key == word.key:
        return await _stands(session, row)
    try:
        await _take(session, row, word, rules)
    except Refused as refused:
        return await _stands(session, row, refused)
    return await _stands(session, row)


async def book(session: AsyncSession, break_id: str, rules: Rules) -> RepairStands:
    """Book what was asked for and resolve the break, when nothing is missing any more: once.

    Never while a comparison of the provider is under way: it has read what stood before.
    """
    await _await_comparison(session, break_id)
    row = await _locked(session, break_id)
    here, standing = await _stands(session, row), _standing(row)
    if here.stage is not RepairStage.BOOK or standing is None:
        return here
    repair = await repair_of(session, row, standing.word.action, rules.bank)
    for posting in repair.postings:
        await ledger.post(session, posting)
    if repair.match is not None:
        session.add(repair.match)
    await _end(session, row, standing.word, repair)
    return await _stands(session, row)


async def withdraw(session: AsyncSession, break_id: str, reason: str) -> RepairStands:
    """Take back the word that stands, unless it is booked. No word is a success."""
    row = await _locked(session, break_id)
    standing = _standing(row)
    if row.status == "open" and standing is not None:
        _withdraw(session, row, standing, reason)
        await session.flush()
    return await _stands(session, row)


async def _await_comparison(session: AsyncSession, break_id: str) -> None:
    """Keep comparisons out until this transaction ends. A wait beyond the statement timeout fails,
    and the step is made again.
    """
    connection = await session.connection()
    provider = (await connection.execute(_PROVIDER, {"break_id": break_id})).scalar_one_or_none()
    await connection.execute(matching_sql.LOCK, {"provider": provider})


async def _locked(session: AsyncSession, break_id: str) -> Break:
    row = await session.get(Break, break_id, with_for_update=True)
    if row is None:
        raise InvariantBroken(f"{break_id} has no row")
    return row


def _standing(row: Break) -> _Standing | None:
    return None if row.repair is None else _Standing.model_validate(row.repair)


async def _stands(
    session: AsyncSession, row: Break, refused: Refused | None = None
) -> RepairStands:
    standing, event = _standing(row), None
    if row.status != "open":
        stage = RepairStage.RESOLVED
        if not _is_of(row, standing):
            standing = None
    elif standing is None:
        stage = RepairStage.UNASKED
    elif standing.waits:
        stage = RepairStage.APPROVAL
    else:
        event = await _unapplied(session, row, standing.word.action)
        stage = RepairStage.BOOK if event is None else RepairStage.LOOK_UP
    return RepairStands(
        stage=stage,
        word=None if standing is None else standing.word,
        shown=break_view(row),
        event=event,
        refusal=None if refused is None else Refusal(code=refused.code, message=refused.message),
    )


def _is_of(row: Break, standing: _Standing | None) -> bool:
    """Whether a resolved break was resolved by this word, and not by a later report."""
    action = (row.resolution or {}).get("action")
    return standing is not None and not standing.waits and standing.word.action == action


async def _take(session: AsyncSession, row: Break, word: RepairWord, rules: Rules) -> None:
    """Put a word on the row. Raises `Refused`, with nothing changed."""
    require_open(row)
    await require_fit(session, row, word.action)
    waits, before = False, _standing(row)
    if word.action is BreakAction.WRITE_OFF:
        repair = await repair_of(session, row, word.action, rules.bank)
        waits = _needs_a_second(row, word, abs(repair.difference), rules)
    if before is not None and before.word.action is not word.action:
        _audit(session, row, word, "break_repair_replaced", replaced=before.word.action.value)
    if waits:
        row.write_off_asked_by = word.actor
        _audit(session, row, word, "write_off_asked")
    elif word.action is not BreakAction.WRITE_OFF:
        row.write_off_asked_by = None
    if _is_looked_up(row, word.action):
        await _have_it_told(session, row)
        _audit(session, row, word, "break_look_up_asked")
    row.repair = _Standing(word=word, waits=waits).model_dump(mode="json")
    await session.flush()


def _needs_a_second(row: Break, word: RepairWord, loss: int, rules: Rules) -> bool:
    """Whether this write-off has to wait. Raises `Refused` when the same person asks twice."""
    if loss <= rules.write_off_approval_above:
        return False
    if row.write_off_asked_by == word.actor:
        raise Refused("four_eyes", "Who asked for a write-off cannot approve it.")
    return row.write_off_asked_by is None


def _is_looked_up(row: Break, action: BreakAction) -> bool:
    return row.kind == BreakKind.STATE_MISMATCH and action is BreakAction.POST


def _event_of(row: Break) -> ProviderEventInput:
    return ProviderEventInput(provider=row.provider, event_id=f"settlement-{row.id}")


async def _have_it_told(session: AsyncSession, row: Break) -> None:
    """Store what the report says of the effect as if the provider had told of it."""
    event = ProviderEvent(
        provider=row.provider,
        event_id=_event_of(row).event_id,
        event_type=f"settlement.{row.line_kind}",
        object_reference=(row.found or {}).get("reference"),
        operation_id=row.operation_id,
        effect_key=row.effect_key,
        occurred_at=None,
        payload={"break": row.id},
    )
    await inbox.store(session, event)


async def _unapplied(
    session: AsyncSession, row: Break, action: BreakAction
) -> ProviderEventInput | None:
    """The event by which the provider is asked, until it has said something."""
    if not _is_looked_up(row, action):
        return None
    event = _event_of(row)
    stored = await session.get(ProviderEventRow, (event.provider, event.event_id))
    return event if stored is None or stored.status == "received" else None


def _withdraw(session: AsyncSession, row: Break, standing: _Standing, reason: str) -> None:
    row.repair, row.write_off_asked_by = None, None
    outbox.audit(
        session,
        actor=WORKFLOW,
        action="break_repair_withdrawn",
        target=f"break/{row.id}",
        reason=reason,
        kind=row.kind,
        withdrawn=standing.word.action.value,
        asked_by=standing.word.actor,
        asked_because=standing.word.reason,
    )


async def _end(session: AsyncSession, row: Break, word: RepairWord, repair: Repair) -> None:
    first = row.write_off_asked_by if word.action is BreakAction.WRITE_OFF else None
    by_two = first is not None and first != word.actor
    connection = await session.connection()
    now = (await connection.execute(_NOW)).scalar_one()
    row.status, row.resolved_at = "resolved", now
    row.resolution = {
        "action": word.action.value,
        "actor": first if by_two else word.actor,
        "approved_by": word.actor if by_two else None,
        "reason": word.reason,
        "posting_key": repair.postings[0].key if repair.postings else None,
    }
    _audit(session, row, word, f"break_{word.action.value}")
    await session.flush()
    outbox.emit(session, "break.resolved", break_view(row), merchant_id=None)


def _audit(
    session: AsyncSession, row: Break, word: RepairWord, action: str, **details: object
) -> None:
    outbox.audit(
        session,
        actor=word.actor,
        action=action,
        target=f"break/{row.id}",
        reason=word.reason,
        kind=row.kind,
        **details,
    )
