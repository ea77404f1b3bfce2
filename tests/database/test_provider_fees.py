"""The provider's own fees: each is booked once, whatever their lines are called and wherever they
stand.
"""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from recompense.contracts.settlement import SettlementKind, SettlementLine
from tests.support.settling import DAY, Counter

BANK, FEES = "bank:main:cash", "provider:sandbox:fees"
SUSPENSE, LOSSES = "suspense:sandbox", "platform:losses"
MONTHLY = "Transaction Fees Nov 2026"


def fees(*amounts: int, reference: str | None = MONTHLY) -> list[SettlementLine]:
    return [
        SettlementLine(
            number=number,
            kind=SettlementKind.FEE,
            provider_reference=reference,
            amount=abs(amount),
            net=-amount,
            currency="EUR",
        )
        for number, amount in enumerate(amounts, start=1)
    ]


async def booked(counter: Counter) -> tuple[int, int]:
    return await counter.balance(FEES), await counter.balance(BANK)


@pytest.mark.parametrize("reference", [MONTHLY, "a/b", None])
async def test_fees_of_one_name_are_each_booked_once(
    counter: Counter, reference: str | None
) -> None:
    lines = fees(300, 200, 300, -50, reference=reference)
    found = await counter.compare_read(lines)
    assert (found.lines, found.matched, found.opened) == (4, 4, 0)
    assert await booked(counter) == (750, -750)
    next_day = await counter.compare_read(lines, DAY + timedelta(days=1))
    assert (next_day.matched, next_day.opened) == (4, 0)
    assert await booked(counter) == (1_500, -1_500)
    again = await counter.compare_read(lines)
    assert (again.matched, again.opened) == (4, 0)
    assert await booked(counter) == (1_500, -1_500)


@pytest.mark.parametrize("reference", [MONTHLY, None])
async def test_fee_that_stands_elsewhere_in_a_replaced_report_is_not_booked_again(
    counter: Counter, reference: str | None
) -> None:
    await counter.compare_read(fees(300, 200, reference=reference))
    moved = [
        line.model_copy(update={"number": line.number + 7})
        for line in fees(200, 300, reference=reference)
    ]
    assert (await counter.compare_read(moved)).opened == 0
    assert await booked(counter) == (500, -500)


async def test_fees_that_are_inserted_are_booked_and_shift_no_other(counter: Counter) -> None:
    booked_by_then = 0
    for amounts in ((300, 200), (100, 300, 200), (100, 300, 400, 100, 200)):
        found = await counter.compare_read(fees(*amounts))
        assert (found.matched, found.opened) == (len(amounts), 0)
        booked_by_then = sum(amounts)
        assert await booked(counter) == (booked_by_then, -booked_by_then)
    keys = counter.rows("SELECT match_key FROM settlement_matches ORDER BY match_key")
    assert [row["match_key"] for row in keys] == [
        f"fee/sandbox/{DAY}/{MONTHLY}/EUR/{place}" for place in range(1, 6)
    ]


async def test_fee_that_an_earlier_build_has_booked_is_not_booked_again(counter: Counter) -> None:
    lines = fees(300, reference="PSP1")
    report_id = counter.keep(b"fees")
    counter.shelf.load(report_id, lambda _: iter(lines))
    with psycopg.connect(counter.url) as connection:
        connection.execute(
            "INSERT INTO settlement_matches (match_key, provider, report_id, number, kind, rule,"
            " clearing, fee, currency, operation_id) VALUES ('fee/sandbox/PSP1', 'sandbox', %s, 1,"
            " 'fee', 'provider_fee', 0, 300, 'EUR', '')",
            [report_id],
        )
    assert (await counter.compare_again(report_id)).matched == 1
    assert await booked(counter) == (0, 0)
    assert (await counter.compare_read(fees(300, 40, reference="PSP1"))).matched == 2
    assert await booked(counter) == (40, -40)


@pytest.mark.parametrize(
    ("action", "fee", "suspense", "lost"),
    [("accept", 520, 0, 0), ("post", 500, 20, 0), ("write_off", 500, 0, 20)],
)
async def test_fee_that_a_replaced_report_says_otherwise_is_a_break(
    counter: Counter, action: str, fee: int, suspense: int, lost: int
) -> None:
    await counter.compare_read(fees(300, 200))
    for _ in range(2):
        found = await counter.compare_read(fees(200, 320))
        assert (found.matched, len(counter.breaks())) == (1, 1)
        assert await booked(counter) == (500, -500)
    [one] = counter.breaks()
    assert (one["kind"], one["line_kind"], one["proposal"]) == ("fee_mismatch", "fee", "accept")
    assert (one["expected"]["fee"], one["found"]["fee"]) == (300, 320)
    await counter.repair(action)
    assert await booked(counter) == (fee, -520)
    assert (await counter.balance(SUSPENSE), await counter.balance(LOSSES)) == (suspense, lost)
    assert (await counter.compare_read(fees(200, 320))).opened == 0
    assert await booked(counter) == (fee, -520)


async def test_report_that_is_right_again_closes_the_break_of_a_fee(counter: Counter) -> None:
    await counter.compare_read(fees(300))
    assert (await counter.compare_read(fees(320))).opened == 1
    right = await counter.compare_read(fees(300))
    assert (right.matched, right.closed) == (1, 1)
    assert await booked(counter) == (300, -300)
