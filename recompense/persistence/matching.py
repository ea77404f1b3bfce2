"""Compare a loaded report with our books: settle what agrees, once, and open a break for the rest.

All of it is one transaction of its own: after a crash it is made again, or finds itself done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.reconciliation import (
    BreakAction,
    BreakKind,
    Compared,
    ReconcileInput,
    SettlementTerms,
)
from recompense.domain.failures import InvariantBroken
from recompense.domain.ids import IdPrefix, new_id
from recompense.ledger import templates
from recompense.ledger.postings import posting_key
from recompense.persistence import ledger, matching_sql, outbox
from recompense.persistence.settlement_tables import Break, Reconciliation
from recompense.persistence.settlement_views import break_view

_PAGE = 500
_SYSTEM = "recompense:reconciliation"

PROPOSALS: dict[BreakKind, BreakAction] = {
    BreakKind.MISSING_AT_PROVIDER: BreakAction.ACCEPT,
    BreakKind.MISSING_HERE: BreakAction.POST,
    BreakKind.AMOUNT_MISMATCH: BreakAction.POST,
    BreakKind.CURRENCY_MISMATCH: BreakAction.POST,
    BreakKind.FEE_MISMATCH: BreakAction.ACCEPT,
    BreakKind.DUPLICATE: BreakAction.REVERSE,
    BreakKind.STATE_MISMATCH: BreakAction.POST,
    BreakKind.LATE: BreakAction.ACCEPT,
}
"""What is proposed for each kind of break."""


@dataclass(frozen=True)
class Comparison:
    """Which report is compared, by which terms, and into which bank account it is paid."""

    reconciliation: ReconcileInput
    report_id: int
    terms: SettlementTerms
    bank: str


async def compare(session: AsyncSession, comparison: Comparison) -> Compared:
    """Make the comparison in the session's transaction, and write its figures to its row."""
    connection = await session.connection()
    given = comparison.reconciliation
    for statement in matching_sql.PREPARE:
        await connection.execute(statement)
    await connection.execute(matching_sql.LOCK, {"provider": given.provider})
    row = await session.get(Reconciliation, given.reconciliation_id, with_for_update=True)
    if row is None:
        raise InvariantBroken(f"{given.reconciliation_id} has no row")
    values = await _values(connection, comparison)
    await _judge(connection, values)
    await _settle(connection, comparison, values)
    closed = await _close(session, values, given)
    opened = await _open(session, values, given)
    row.report_id, row.report_hash = comparison.report_id, values["sha256"]
    row.lines = values["lines"]
    row.matched = await _count(connection, matching_sql.COUNT, values)
    row.breaks = await _count(connection, matching_sql.OPEN_BREAKS, values)
    return Compared(lines=row.lines, matched=row.matched, opened=opened, closed=closed)


async def _values(connection: AsyncConnection, comparison: Comparison) -> dict[str, Any]:
    """All that the statements ask for; each takes what it names."""
    terms, given = comparison.terms, comparison.reconciliation
    named = {"report_id": comparison.report_id}
    report = (await connection.execute(matching_sql.REPORT, named)).one_or_none()
    if report is None:
        raise InvariantBroken(f"report {comparison.report_id} is not loaded")
    covers_until: datetime = report.covers_until
    fees = {kind: fee.model_dump() for kind, fee in terms.fees.items()} if terms.fees else None
    return {
        **named,
        "lines": report.lines,
        "sha256": report.sha256,
        "covers_until": covers_until,
        "provider": given.provider,
        "report_date": given.report_date,
        "fees": None if terms.fees is None else json.dumps(fees or {}),
        "reported": sorted(terms.reports),
        "lag_days": terms.lag_days,
        "late_after_days": terms.late_after_days,
        "look_back_days": terms.look_back_days,
    }


async def _judge(connection: AsyncConnection, values: dict[str, Any]) -> None:
    for statement in (*matching_sql.GATHER, matching_sql.JUDGE):
        await connection.execute(statement, values)
    await connection.execute(matching_sql.ANALYZE_JUDGED)
    again = False
    for unpaired, pair in matching_sql.SECOND_RULES:
        if (await connection.execute(unpaired)).scalar_one():
            again |= (await connection.execute(pair, values)).rowcount > 0
    if again:
        await connection.execute(matching_sql.JUDGE_AGAIN, values)
    again |= (await connection.execute(matching_sql.PAIR_FEES, values)).rowcount > 0
    if again:
        # What was paired has keys now: what comes is planned for them.
        await connection.execute(matching_sql.ANALYZE_JUDGED)


async def _settle(
    connection: AsyncConnection, comparison: Comparison, values: dict[str, Any]
) -> None:
    given = comparison.reconciliation
    for sums in (await connection.execute(matching_sql.SETTLE, values)).all():
        if sums.clearing == 0 and sums.fee == 0:
            continue
        posting = templates.settled(
            posting_key(given.reconciliation_id, f"settled.{sums.currency.lower()}", 1),
            provider=given.provider,
            bank=comparison.bank,
            amount=sums.clearing - sums.fee,
            provider_fee=sums.fee,
            currency=sums.currency,
        )
        await ledger.post(connection, posting)
    await connection.execute(matching_sql.FIND, values)


async def _close(session: AsyncSession, values: dict[str, Any], given: ReconcileInput) -> int:
    connection = await session.connection()
    reason = f"The report of {given.report_date.isoformat()} shows that it is in order."
    resolution = {"action": "matched", "actor": _SYSTEM, "reason": reason}
    parameters = values | {"resolution": json.dumps(resolution)}
    closed = (await connection.execute(matching_sql.CLOSE, parameters)).scalars().all()
    for break_id in closed:
        row = await session.get(Break, break_id, populate_existing=True)
        if row is not None:
            outbox.emit(session, "break.resolved", break_view(row), merchant_id=None)
    await session.flush()
    return len(closed)


async def _open(session: AsyncSession, values: dict[str, Any], given: ReconcileInput) -> int:
    """Open the breaks that are new, a page at a time: a bad file may have many."""
    connection = await session.connection()
    opened, after = 0, ""
    while True:
        parameters = values | {"after": after, "page": _PAGE}
        page = (await connection.execute(matching_sql.NEW_FINDINGS, parameters)).all()
        for finding in page:
            row = _break_of(finding, given)
            session.add(row)
            await session.flush()
            outbox.emit(session, "break.opened", break_view(row), merchant_id=None)
        await session.flush()
        opened += len(page)
        if len(page) < _PAGE:
            return opened
        after = page[-1].identity


def _break_of(finding: Any, given: ReconcileInput) -> Break:  # noqa: ANN401 - a row of our query
    kind = BreakKind(finding.kind)
    proposal = PROPOSALS[kind]
    if kind is BreakKind.LATE and finding.settled_by is not None:
        proposal = BreakAction(finding.settled_by.partition(":")[0])
    return Break(
        id=new_id(IdPrefix.BREAK),
        kind=kind,
        provider=given.provider,
        report_date=finding.report_date,
        reconciliation_id=given.reconciliation_id,
        identity=finding.identity,
        report_id=finding.report_id,
        number=finding.number,
        line_kind=finding.line_kind,
        match_key=finding.match_key,
        rule=finding.rule,
        operation_id=finding.operation_id,
        payment_id=finding.payment_id,
        effect_key=finding.effect_key,
        currency=finding.currency,
        expected=finding.expected,
        found=finding.found,
        proposal=proposal,
    )


async def _count(connection: AsyncConnection, statement: Any, values: dict[str, Any]) -> int:  # noqa: ANN401
    return int((await connection.execute(statement, values)).scalar_one())
