"""A provider's reports without the provider: effects by hand in our journal, lines about them."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from adapters.sandbox.report import read_report
from recompense.contracts.reconciliation import (
    SANDBOX_TERMS,
    BreakAction,
    Compared,
    FinishReconciliation,
    ReconcileInput,
    SettlementTerms,
)
from recompense.contracts.repairs import RepairStage, RepairWord
from recompense.contracts.settlement import SettlementLine
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import ledger, matching, reconciling, repairs
from recompense.persistence.database import Database
from recompense.persistence.report_shelf import ReportShelf

PROVIDER = "sandbox"
DAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FEE_BASIS_POINTS = 100
_SIGNS = {"capture": 1, "refund": -1, "payout": -1, "cancel_payout": 1}
_COLUMNS = (
    "line,operation,reference,effect_key,object_id,amount,fee,net,currency,effected_at,"
    "report_date,report_lines,written_at"
).split(",")

_MANY_OPERATIONS = """
INSERT INTO operations (saga_id, kind, operation_id, payment_id, merchant_id, input, requested_by,
    attempt, attempt_state, saga_state)
SELECT 'capture/cap_' || i, 'capture', 'cap_' || i, 'pay_' || i, 'mer_1', '{}', 'test', 1,
    'recorded', 'done' FROM generate_series(1, %s) AS i
"""
_MANY_EFFECTS = """
INSERT INTO journal (saga_id, step, attempt, leg, provider, operation_id, effect_key, call,
    call_digest, right_try, outcome_kind, outcome, final, booked, recorded_at, calls, created_at)
SELECT 'capture/cap_' || i, 'capture', 1, 1, 'sandbox', 'cap_' || i, 'cap_' || i || ':capture:1',
    '{"operation": "capture", "amount": 1000, "currency": "EUR"}', '', 1, 'approved',
    '{"kind": "approved", "reference": "ct"}', true, true, %(at)s, '[]', %(at)s
FROM generate_series(1, %(count)s) AS i
"""


def effect_line(number: int, operation: str = "capture", **changes: Any) -> dict[str, Any]:
    """A line about the effect of this number, as the sandbox writes it; changed as told."""
    amount = changes.get("amount", 1_000)
    fee = amount * FEE_BASIS_POINTS // 10_000 if operation == "capture" else 0
    line = {
        "operation": operation,
        "reference": f"cap_{number}",
        "effect_key": f"cap_{number}:{operation}:1",
        "object_id": f"ct_{number}",
        "amount": amount,
        "fee": fee,
        "currency": "EUR",
        "effected_at": "2026-11-24T10:00:00.000Z",
        **changes,
    }
    line.setdefault("net", _SIGNS.get(operation, 0) * line["amount"] - line["fee"])
    return line


def report_of(lines: list[dict[str, Any]], day: date = DAY, written_at: datetime = NOON) -> bytes:
    """The report in the sandbox's form."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    whole = {"report_date": day, "report_lines": len(lines), "written_at": written_at.isoformat()}
    for number, line in enumerate(lines, start=1):
        writer.writerow({"line": number, **line, **whole})
    return text.getvalue().encode()


@dataclass
class Counter:
    """Our side of a provider: its effects in the journal, and comparisons of its reports."""

    url: str
    database: Database
    terms: SettlementTerms = SANDBOX_TERMS
    shelf: ReportShelf = field(init=False)

    def __post_init__(self) -> None:
        self.shelf = ReportShelf(self.url)

    def effect(
        self,
        number: int,
        operation: str = "capture",
        *,
        amount: int = 1_000,
        currency: str = "EUR",
        outcome: str | None = "approved",
        recorded_at: datetime = NOON - timedelta(hours=1),
    ) -> str:
        """Journal an effect; its key."""
        saga, key = f"{operation}/cap_{number}", f"cap_{number}:{operation}:1"
        step = operation.replace("create_", "")
        call = {"operation": operation, "amount": amount, "currency": currency}
        told = {"kind": outcome, "reference": f"ct_{number}"}
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "INSERT INTO operations (saga_id, kind, operation_id, payment_id, merchant_id,"
                " input, requested_by, attempt, attempt_state, saga_state)"
                " VALUES (%s, %s, %s, %s, 'mer_1', '{}', 'test', 1, 'recorded', 'done')",
                (saga, step, f"cap_{number}", f"pay_{number}"),
            )
            connection.execute(
                "INSERT INTO journal (saga_id, step, attempt, leg, provider, operation_id,"
                " effect_key, call, call_digest, right_try, outcome_kind, outcome, final, booked,"
                " recorded_at, calls, created_at)"
                " VALUES (%s, %s, 1, 1, %s, %s, %s, %s, '', 1, %s, %s, %s, true, %s, '[]', %s)",
                (
                    saga,
                    step,
                    PROVIDER,
                    f"cap_{number}",
                    key,
                    json.dumps(call),
                    outcome,
                    None if outcome is None else json.dumps(told),
                    outcome in {"approved", "declined", "absent"},
                    recorded_at,
                    recorded_at,
                ),
            )
        return key

    def captured(self, number: int, amount: int = 1_000) -> str:
        """Journal a capture, with its money in the books."""
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "WITH header AS (INSERT INTO ledger_postings (posting_key, operation_id, lines)"
                " VALUES (%s, %s, 1) RETURNING id)"
                " INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency,"
                " phase) SELECT id, 1, 'provider:sandbox:clearing', 'merchant:mer_1:pending', %s,"
                " 'EUR', 'posted' FROM header",
                (f"cap_{number}:capture:1", f"cap_{number}", amount),
            )
        return self.effect(number, amount=amount)

    def orphan(self, key: str, *, status: str = "parked", outcome: str = "approved") -> None:
        """An effect became known after its attempt had been taken back."""
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "INSERT INTO orphans (saga_id, step, attempt, leg, outcome, status)"
                " SELECT saga_id, step, attempt, leg, %s, %s FROM journal WHERE effect_key = %s",
                (json.dumps({"kind": outcome, "reference": "ct"}), status, key),
            )

    def learns(self, key: str, outcome: str = "approved") -> None:
        """Our journal learns how an effect has ended."""
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "UPDATE journal SET outcome_kind = %s, outcome = %s, final = true,"
                " recorded_at = created_at WHERE effect_key = %s",
                (outcome, json.dumps({"kind": outcome, "reference": "ct"}), key),
            )

    def effects(self, count: int) -> None:
        """Journal many captures."""
        with psycopg.connect(self.url) as connection:
            connection.execute(_MANY_OPERATIONS, [count])
            connection.execute(_MANY_EFFECTS, {"at": NOON - timedelta(hours=1), "count": count})

    def keep_many(self, count: int) -> int:
        """Keep a report about as many captures, made line by line."""
        with tempfile.TemporaryFile() as file:
            file.write((",".join(_COLUMNS) + "\n").encode())
            for number in range(1, count + 1):
                line = effect_line(number)
                values = [line[name] for name in _COLUMNS[1:10]]
                whole = [DAY.isoformat(), count, NOON.isoformat()]
                file.write((",".join(map(str, [number, *values, *whole])) + "\n").encode())
            return self.shelf.keep(PROVIDER, DAY, file)

    def keep(self, raw: bytes, day: date = DAY) -> int:
        """Keep a report."""
        return self.shelf.keep(PROVIDER, day, io.BytesIO(raw))

    async def compare(
        self, lines: list[dict[str, Any]], day: date = DAY, written_at: datetime = NOON
    ) -> Compared:
        """Keep, load and compare a report."""
        report_id = self.keep(report_of(lines, day, written_at), day)
        self.shelf.load(report_id, lambda chunks: read_report(chunks, day))
        return await self.compare_again(report_id, day)

    async def compare_read(self, lines: list[SettlementLine], day: date = DAY) -> Compared:
        """The same for lines of any kind, as an adapter has read them."""
        report_id = self.keep(f"{day}: {lines}".encode(), day)
        self.shelf.load(report_id, lambda _: iter(lines))
        return await self.compare_again(report_id, day)

    async def compare_again(self, report_id: int, day: date = DAY) -> Compared:
        """Compare a loaded report."""
        return await self.compare_given(await self.begin(day), report_id)

    async def begin(self, day: date) -> ReconcileInput:
        """Make the row of a reconciliation."""
        async with self.database.transaction() as session:
            return await reconciling.begin(
                session,
                new_id(IdPrefix.RECONCILIATION),
                provider=PROVIDER,
                report_date=day,
                requested_by="test",
            )

    async def compare_given(self, given: ReconcileInput, report_id: int) -> Compared:
        """Compare a loaded report for a reconciliation that is there."""
        async with self.database.transaction() as session:
            comparison = matching.Comparison(given, report_id, self.terms, "main")
            compared = await matching.compare(session, comparison)
        await self.finish(given)
        return compared

    async def repair(self, action: str) -> None:
        """Repair the one open break, as the workflow does."""
        [one] = [row for row in self.breaks() if row["status"] == "open"]
        word = RepairWord(key="1", action=BreakAction(action), actor="finance", reason="because")
        rules = repairs.Rules("main", write_off_approval_above=10_000)
        async with self.database.transaction() as session:
            assert (await repairs.admit(session, one["id"], word, rules)).refusal is None
            assert (await repairs.book(session, one["id"], rules)).stage is RepairStage.RESOLVED

    async def finish(self, given: ReconcileInput) -> str:
        """End a reconciliation."""
        async with self.database.transaction() as session:
            end = FinishReconciliation(reconciliation=given)
            return await reconciling.finish(session, end)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Read from the database."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(statement.encode()).fetchall()

    def breaks(self) -> list[dict[str, Any]]:
        """All breaks, in the order in which they were found."""
        return self.rows("SELECT * FROM breaks ORDER BY created_at, id")

    async def balance(self, account: str, currency: str = "EUR") -> int:
        """An account's balance."""
        async with self.database.transaction() as session:
            found = await ledger.balances(session, account, currency=currency)
            return sum(one.balance for one in found)
