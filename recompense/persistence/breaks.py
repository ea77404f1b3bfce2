"""Breaks as people resolve them: one transaction with its posting, its audit and its event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.provider import ProviderEvent
from recompense.contracts.reconciliation import BreakAction, BreakKind
from recompense.contracts.sagas import ProviderEventInput
from recompense.domain.failures import Refused
from recompense.ledger import templates
from recompense.ledger.accounts import PLATFORM_LOSSES, suspense
from recompense.ledger.postings import Posting, posting_key
from recompense.ledger.repairs import Line, Moves, Settled, moves
from recompense.persistence import inbox, ledger, outbox
from recompense.persistence.settlement_tables import Break, SettlementLineRow, SettlementMatch
from recompense.persistence.settlement_views import break_view

_BY_A_PERSON = frozenset({BreakAction.POST, BreakAction.WRITE_OFF, BreakAction.ACCEPT})
FITTING: dict[BreakKind, frozenset[BreakAction]] = {
    BreakKind.MISSING_AT_PROVIDER: _BY_A_PERSON,
    BreakKind.MISSING_HERE: _BY_A_PERSON,
    BreakKind.AMOUNT_MISMATCH: _BY_A_PERSON,
    BreakKind.CURRENCY_MISMATCH: frozenset({BreakAction.POST, BreakAction.ACCEPT}),
    BreakKind.FEE_MISMATCH: _BY_A_PERSON,
    BreakKind.DUPLICATE: frozenset(
        {BreakAction.REVERSE, BreakAction.WRITE_OFF, BreakAction.ACCEPT}
    ),
    BreakKind.STATE_MISMATCH: frozenset({BreakAction.POST, BreakAction.ACCEPT}),
    BreakKind.LATE: _BY_A_PERSON,
}
"""The actions that fit each kind of break."""

_OF_THE_LINE_ALONE = frozenset({BreakKind.MISSING_HERE, BreakKind.DUPLICATE, BreakKind.LATE})
_SETTLES_THE_LINE = frozenset({BreakKind.AMOUNT_MISMATCH, BreakKind.FEE_MISMATCH})
_NOW = text("SELECT clock_timestamp()")


@dataclass(frozen=True)
class Resolving:
    """What a person decided about a break, who and why; and what the platform's settings say."""

    action: BreakAction
    actor: str
    reason: str
    bank: str
    write_off_approval_above: int


@dataclass(frozen=True)
class Resolved:
    """The break afterwards. `look_up`: a provider event that has to be applied now.

    An open one waits for a second person.
    """

    row: Break
    look_up: ProviderEventInput | None = None


@dataclass(frozen=True)
class _Repair:
    """What a repair books: one posting for each currency, and what is settled by it."""

    postings: tuple[Posting, ...] = ()
    difference: int = 0
    match: SettlementMatch | None = None


async def resolve(session: AsyncSession, break_id: str, asked: Resolving) -> Resolved | None:
    """Resolve a break. None: there is no such break.

    Raises `Refused`: it is resolved already, the action does not fit, or a second person is asked.
    """
    row = await session.get(Break, break_id, with_for_update=True)
    if row is None:
        return None
    if row.status != "open":
        raise Refused("break_not_open", f"Break {break_id} is resolved already.")
    kind = BreakKind(row.kind)
    if asked.action not in FITTING[kind] or not await _fits_late(session, row, asked.action):
        fitting = ", ".join(sorted(FITTING[kind]))
        raise Refused("break_action_unfit", f"A break of kind {kind} takes one of: {fitting}.")
    repair = await _repair(session, row, asked)
    if asked.action is BreakAction.WRITE_OFF and _needs_a_second(row, asked, repair):
        row.write_off_asked_by = asked.actor
        _audit(session, row, asked, "write_off_asked")
        return Resolved(row)
    for posting in repair.postings:
        await ledger.post(session, posting)
    if repair.match is not None:
        session.add(repair.match)
    look_up = await _look_up(session, row, asked)
    await _end(session, row, asked, repair)
    return Resolved(row, look_up)


async def assign(
    session: AsyncSession, break_id: str, assignee: str | None, *, actor: str
) -> Break | None:
    """Say who looks into an open break; None: nobody in particular. None: there is no such break.

    Raises `Refused`: it is resolved already.
    """
    row = await session.get(Break, break_id, with_for_update=True)
    if row is None:
        return None
    if row.status != "open":
        raise Refused("break_not_open", f"Break {break_id} is resolved already.")
    row.assignee = assignee
    outbox.audit(session, actor=actor, action="break_assigned", target=row.id, assignee=assignee)
    await session.flush()
    return row


def _needs_a_second(row: Break, asked: Resolving, repair: _Repair) -> bool:
    """Whether this write-off still waits. Raises `Refused` when the same person asks twice."""
    if abs(repair.difference) <= asked.write_off_approval_above:
        return False
    if row.write_off_asked_by == asked.actor:
        raise Refused("four_eyes", "Who asked for a write-off cannot approve it.")
    return row.write_off_asked_by is None


async def _fits_late(session: AsyncSession, row: Break, action: BreakAction) -> bool:
    """A late line that was settled all the same can only be accepted: nothing is left to book."""
    if row.kind != BreakKind.LATE or action is BreakAction.ACCEPT:
        return True
    settled = await session.get(SettlementMatch, row.match_key)
    return settled is not None and settled.report_id is None


async def _repair(session: AsyncSession, row: Break, asked: Resolving) -> _Repair:
    kind = BreakKind(row.kind)
    if kind is BreakKind.STATE_MISMATCH:
        return _Repair()
    accepted = asked.action is BreakAction.ACCEPT
    if accepted and kind not in _SETTLES_THE_LINE:
        return _Repair()
    line = await _line_of(session, row)
    if kind is BreakKind.CURRENCY_MISMATCH:
        return _in_two_currencies(row, asked, line)
    settled = None
    if kind not in _OF_THE_LINE_ALONE and row.match_key is not None:
        settled = await session.get(SettlementMatch, row.match_key)
    moved = _moves_of(row, line, settled, accepted=accepted)
    difference = 0 if accepted else moved.difference
    posting = _posting(row, asked, moved, difference, row.currency, "resolved")
    match = None if settled is not None else _match_of(row, asked, moved, difference)
    return _Repair((posting,) if posting else (), difference, match)


def _moves_of(
    row: Break, line: Line | None, settled: SettlementMatch | None, *, accepted: bool
) -> Moves:
    alone = row.kind in _OF_THE_LINE_ALONE
    of_the_fee = row.kind == BreakKind.FEE_MISMATCH and not accepted
    expected: dict[str, Any] = row.expected or {}
    return moves(
        row.line_kind,
        ours=0 if alone else int(expected.get("amount", 0)),
        line=line,
        settled=None if settled is None else Settled(settled.clearing, settled.fee),
        fee=int(expected.get("fee", 0)) if of_the_fee else None,
    )


def _in_two_currencies(row: Break, asked: Resolving, line: Line | None) -> _Repair:
    """What came, and what was expected, each against the suspense of its own currency."""
    came = moves(row.line_kind, ours=0, line=line, settled=None)
    expected: dict[str, Any] = row.expected or {}
    ours = moves(row.line_kind, ours=int(expected["amount"]), line=None, settled=None)
    postings = (
        _posting(row, asked, came, came.difference, row.currency, "resolved"),
        _posting(row, asked, ours, ours.difference, str(expected["currency"]), "resolved.ours"),
    )
    settled = SettlementMatch(
        match_key=str(row.match_key),
        provider=row.provider,
        report_id=row.report_id,
        number=row.number,
        kind=row.line_kind,
        rule=str(row.rule),
        clearing=-ours.clearing,
        fee=0,
        currency=str(expected["currency"]),
        operation_id=row.operation_id or "",
    )
    return _Repair(tuple(posting for posting in postings if posting is not None), match=settled)


def _posting(
    row: Break, asked: Resolving, moved: Moves, difference: int, currency: str, step: str
) -> Posting | None:
    lost = asked.action is BreakAction.WRITE_OFF
    return templates.break_repaired(
        posting_key(row.id, step, 1),
        provider=row.provider,
        bank=asked.bank,
        amount=moved.bank,
        provider_fee=moved.fee,
        difference=difference,
        difference_account=PLATFORM_LOSSES if lost else suspense(row.provider),
        currency=currency,
    )


def _match_of(
    row: Break, asked: Resolving, moved: Moves, difference: int
) -> SettlementMatch | None:
    """What this repair settles, so that no later line settles it again."""
    if row.match_key is None or row.kind in _OF_THE_LINE_ALONE:
        return None
    missing = row.kind == BreakKind.MISSING_AT_PROVIDER
    return SettlementMatch(
        match_key=row.match_key,
        provider=row.provider,
        report_id=None if missing else row.report_id,
        number=None if missing else row.number,
        kind=row.line_kind,
        rule=f"{asked.action}:{row.id}" if missing else str(row.rule),
        clearing=moved.bank + moved.fee + difference,
        fee=moved.fee,
        currency=row.currency,
        operation_id=row.operation_id or "",
    )


async def _line_of(session: AsyncSession, row: Break) -> Line | None:
    if row.report_id is None or row.number is None:
        return None
    line = await session.get(SettlementLineRow, (row.report_id, row.number))
    return None if line is None else Line(line.net, line.fee)


async def _look_up(
    session: AsyncSession, row: Break, asked: Resolving
) -> ProviderEventInput | None:
    """Have the effect pulled from the provider, as if it had told of it."""
    if row.kind != BreakKind.STATE_MISMATCH or asked.action is not BreakAction.POST:
        return None
    event = ProviderEvent(
        provider=row.provider,
        event_id=f"settlement-{row.id}",
        event_type=f"settlement.{row.line_kind}",
        object_reference=(row.found or {}).get("reference"),
        operation_id=row.operation_id,
        effect_key=row.effect_key,
        occurred_at=None,
        payload={"break": row.id},
    )
    await inbox.store(session, event)
    return ProviderEventInput(provider=row.provider, event_id=event.event_id)


async def _end(session: AsyncSession, row: Break, asked: Resolving, repair: _Repair) -> None:
    first = row.write_off_asked_by if asked.action is BreakAction.WRITE_OFF else None
    by_two = first is not None and first != asked.actor
    connection = await session.connection()
    now = (await connection.execute(_NOW)).scalar_one()
    row.status, row.resolved_at = "resolved", now
    row.resolution = {
        "action": asked.action.value,
        "actor": first if by_two else asked.actor,
        "approved_by": asked.actor if by_two else None,
        "reason": asked.reason,
        "posting_key": repair.postings[0].key if repair.postings else None,
    }
    _audit(session, row, asked, f"break_{asked.action.value}")
    await session.flush()
    outbox.emit(session, "break.resolved", break_view(row), merchant_id=None)


def _audit(session: AsyncSession, row: Break, asked: Resolving, action: str) -> None:
    outbox.audit(
        session,
        actor=asked.actor,
        action=action,
        target=f"break/{row.id}",
        reason=asked.reason,
        kind=row.kind,
    )


async def listed(
    session: AsyncSession,
    *,
    status: str | None,
    kind: str | None,
    provider: str | None,
    before: str | None,
    limit: int,
    assignee: str | None = None,
) -> list[Break]:
    """One page and one row more, newest first."""
    query = select(Break)
    narrowed = {"status": status, "kind": kind, "provider": provider, "assignee": assignee}
    for name, wanted in narrowed.items():
        if wanted is not None:
            query = query.where(getattr(Break, name) == wanted)
    if before is not None:
        query = query.where(col(Break.id) < before)
    found = await session.exec(query.order_by(col(Break.id).desc()).limit(limit + 1))
    return list(found.all())
