"""What the repair of a break books: which actions fit it, its postings, and what they settle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.reconciliation import BreakAction, BreakKind
from recompense.contracts.settlement import SettlementKind
from recompense.domain.failures import Refused
from recompense.ledger import templates
from recompense.ledger.accounts import PLATFORM_LOSSES, suspense
from recompense.ledger.postings import Posting, posting_key
from recompense.ledger.repairs import Line, Moves, Settled, moves
from recompense.persistence.settlement_tables import Break, SettlementLineRow, SettlementMatch

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


@dataclass(frozen=True)
class Repair:
    """What a repair books: one posting for each currency, and what is settled by it."""

    postings: tuple[Posting, ...] = ()
    difference: int = 0
    match: SettlementMatch | None = None


async def require_fit(session: AsyncSession, row: Break, action: BreakAction) -> None:
    """Raises `Refused` when this action does not fit the break as it is now."""
    kind = BreakKind(row.kind)
    if action not in FITTING[kind] or not await _fits_late(session, row, action):
        fitting = ", ".join(sorted(FITTING[kind]))
        raise Refused("break_action_unfit", f"A break of kind {kind} takes one of: {fitting}.")


async def _fits_late(session: AsyncSession, row: Break, action: BreakAction) -> bool:
    """A late line that was settled all the same can only be accepted: nothing is left to book."""
    if row.kind != BreakKind.LATE or action is BreakAction.ACCEPT:
        return True
    settled = await session.get(SettlementMatch, row.match_key)
    return settled is not None and settled.report_id is None


async def repair_of(session: AsyncSession, row: Break, action: BreakAction, bank: str) -> Repair:
    """What this action books, with the money of `bank`, by what the books hold now."""
    kind = BreakKind(row.kind)
    if kind is BreakKind.STATE_MISMATCH:
        return Repair()
    accepted = action is BreakAction.ACCEPT
    if accepted and kind not in _SETTLES_THE_LINE:
        return Repair()
    line = await _line_of(session, row)
    if kind is BreakKind.CURRENCY_MISMATCH:
        return _in_two_currencies(row, action, bank, line)
    settled = None
    if kind not in _OF_THE_LINE_ALONE and row.match_key is not None:
        settled = await session.get(SettlementMatch, row.match_key)
    moved = _moves_of(row, line, settled, accepted=accepted)
    difference = 0 if accepted else moved.difference
    posting = _posting(row, action, bank, moved, difference, row.currency, "resolved")
    match = None if settled is not None else _match_of(row, action, moved, difference)
    return Repair((posting,) if posting else (), difference, match)


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


def _in_two_currencies(row: Break, action: BreakAction, bank: str, line: Line | None) -> Repair:
    """What came, and what was expected, each against the suspense of its own currency."""
    came = moves(row.line_kind, ours=0, line=line, settled=None)
    expected: dict[str, Any] = row.expected or {}
    ours = moves(row.line_kind, ours=int(expected["amount"]), line=None, settled=None)
    postings = (
        _posting(row, action, bank, came, came.difference, row.currency, "resolved"),
        _posting(
            row, action, bank, ours, ours.difference, str(expected["currency"]), "resolved.ours"
        ),
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
    return Repair(tuple(posting for posting in postings if posting is not None), match=settled)


def _posting(
    row: Break,
    action: BreakAction,
    bank: str,
    moved: Moves,
    difference: int,
    currency: str,
    step: str,
) -> Posting | None:
    lost = action is BreakAction.WRITE_OFF
    return templates.break_repaired(
        posting_key(row.id, step, 1),
        provider=row.provider,
        bank=bank,
        amount=moved.bank,
        provider_fee=moved.fee,
        difference=difference,
        difference_account=PLATFORM_LOSSES if lost else suspense(row.provider),
        currency=currency,
    )


def _match_of(
    row: Break, action: BreakAction, moved: Moves, difference: int
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
        rule=f"{action}:{row.id}" if missing else str(row.rule),
        clearing=moved.bank + moved.fee + difference,
        fee=moved.fee,
        currency=row.currency,
        operation_id=row.operation_id or "",
    )


async def _line_of(session: AsyncSession, row: Break) -> Line | None:
    if row.report_id is None or row.number is None:
        return None
    line = await session.get(SettlementLineRow, (row.report_id, row.number))
    if line is None:
        return None
    # Of the provider's own fee the line is all fee.
    return Line(line.net, -line.net if line.kind == SettlementKind.FEE else line.fee)
