"""Balances: on an account's own side, now and at any past time, from snapshots and without."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recompense.ledger import templates
from recompense.ledger.accounts import AccountKind
from recompense.ledger.results import AccountBalance, LedgerEntry
from recompense.persistence import ledger
from tests.database.ledger.steps import (
    MERCHANT,
    authorized,
    capture,
    make_available,
    merchant_balance,
    payout,
    post,
    seal,
)

CLEARING = "provider:sandbox:clearing"


async def _balances(
    engine: AsyncEngine, account: str = CLEARING, at: datetime | None = None
) -> list[AccountBalance]:
    async with engine.connect() as connection:
        return await ledger.balances(connection, account, at)


async def test_balance_is_on_the_accounts_normal_side(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 100))
    await capture(engine, "pay_1", 70, capture_id="cap_1")
    [asset] = await _balances(engine)
    [liability] = await _balances(engine, "merchant:mer_1:pending")
    assert (asset.kind, asset.balance, asset.debits_pending) == (AccountKind.ASSET, 70, 30)
    assert (liability.kind, liability.balance, liability.credits_pending) == (
        AccountKind.LIABILITY,
        70,
        30,
    )


async def test_account_has_a_balance_for_each_currency(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 100))
    await post(engine, authorized("pay_2", 7, "JPY"))
    assert [(one.currency, one.debits_pending) for one in await _balances(engine)] == [
        ("EUR", 100),
        ("JPY", 7),
    ]
    async with engine.connect() as connection:
        [yen] = await ledger.balances(connection, CLEARING, currency="JPY")
    assert yen.debits_pending == 7


async def test_account_without_entries_has_no_balance(engine: AsyncEngine) -> None:
    assert await _balances(engine, "bank:main:cash") == []


async def test_account_outside_the_chart_is_refused(engine: AsyncEngine) -> None:
    with pytest.raises(ValueError, match="the chart has no account"):
        await _balances(engine, "merchant:mer_1:pocket")


@pytest.mark.parametrize("snapshot_after", [set(), {1, 4}, {0, 1, 2, 3, 4, 5}])
async def test_past_balance_is_what_it_was_with_and_without_snapshots(
    engine: AsyncEngine, snapshot_after: set[int]
) -> None:
    times = []
    for number in range(6):
        currency = "JPY" if number == 2 else "EUR"
        times.append((await post(engine, authorized(f"pay_{number}", 10**number, currency))).at)
        if number in snapshot_after:
            await seal(engine, snapshot=True)
    for number, at in enumerate(times):
        expected = {"EUR": sum(10**n for n in range(number + 1) if n != 2)}
        if number >= 2:
            expected["JPY"] = 100
        found = await _balances(engine, at=at)
        assert {one.currency: one.debits_pending for one in found} == expected
        async with engine.connect() as connection:
            trial = await ledger.trial_balance(connection, at)
        assert {one.currency: one.credits_pending for one in trial.data} == expected
    assert await _balances(engine, at=times[0] - timedelta(microseconds=1)) == []


async def test_merchant_balance_takes_open_holds_off(engine: AsyncEngine) -> None:
    await make_available(engine, 100)
    await post(engine, authorized("pay_2", 50))
    await capture(engine, "pay_2", 50, capture_id="cap_2")
    await post(engine, payout("po_1", 30))
    refund = templates.refund_asked(
        "ref_1:reserve:1",
        payment_id="pay_2",
        provider="sandbox",
        merchant_id=MERCHANT,
        amount=50,
        payment_pending=45,
        currency="EUR",
    )
    await post(engine, refund)
    dispute = templates.dispute_opened(
        "dsp_1:open:1", payment_id="pay_1", merchant_id=MERCHANT, amount=10, currency="EUR"
    )
    await post(engine, dispute)
    balance = await merchant_balance(engine)
    assert balance.model_dump() == {
        "currency": "EUR",
        "pending": 5,
        "available": 55,
        "reserve": 10,
        "in_transit": 30,
    }


async def test_merchant_without_money_has_no_balances(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await ledger.merchant_balances(connection, "mer_9") == []


async def test_entries_are_paged_newest_first_while_rows_are_added(engine: AsyncEngine) -> None:
    for number in range(5):
        await post(engine, authorized(f"pay_{number}", number + 1))
    found: list[LedgerEntry] = []
    cursor = None
    for number in range(3):
        async with engine.connect() as connection:
            page = await ledger.entries(connection, CLEARING, cursor, limit=2)
        found += page.data
        cursor = page.next_cursor
        await post(engine, authorized(f"pay_late_{number}", 100))
    assert [entry.amount for entry in found] == [5, 4, 3, 2, 1]
    assert cursor is None
    assert len({entry.id for entry in found}) == 5


async def test_entry_tells_what_posted_it(engine: AsyncEngine) -> None:
    result = await post(engine, authorized("pay_1", 100))
    async with engine.connect() as connection:
        [entry] = (await ledger.entries(connection, CLEARING)).data
    assert entry.model_dump() == {
        "id": f"{result.id}.1.debit",
        "posting_key": "pay_1:authorize:1",
        "operation_id": "pay_1",
        "account": CLEARING,
        "currency": "EUR",
        "direction": "debit",
        "amount": 100,
        "phase": "pending",
        "at": result.at,
    }


@pytest.mark.parametrize("cursor", ["", "x", "1.2", "1.2.3.4", "-1.2.3", "1.2.", "9" * 30 + ".1.1"])
async def test_forged_cursor_is_refused_or_the_first_page(engine: AsyncEngine, cursor: str) -> None:
    async with engine.connect() as connection:
        if cursor == "":
            assert (await ledger.entries(connection, CLEARING, cursor)).data == []
            return
        with pytest.raises(ValueError, match="cursor"):
            await ledger.entries(connection, CLEARING, cursor)


async def test_watermark_stays_behind_a_transaction_that_is_still_open(engine: AsyncEngine) -> None:
    async with engine.connect() as late:
        await ledger.post(late, authorized("pay_late", 1))
        [entry] = (await ledger.entries(late, CLEARING)).data
        await post(engine, authorized("pay_1", 100))
        async with engine.connect() as connection:
            behind = await ledger.watermark(connection)
            trial = await ledger.trial_balance(connection, datetime.now(UTC))
        assert behind is None or behind < entry.at
        assert not trial.final
        await late.commit()
    [balance] = await _balances(engine, at=entry.at)
    assert balance.debits_pending == 1
    async with asyncio.timeout(30):
        # Ids are the whole server's: a test beside this one may hold the watermark up for a moment.
        while not await _final(engine, entry.at):
            await asyncio.sleep(0.01)


async def test_watermark_stays_behind_the_newest_transaction_of_all(engine: AsyncEngine) -> None:
    """No transaction after it has ended, so a snapshot alone does not know that it is there."""
    async with engine.connect() as late:
        await ledger.post(late, authorized("pay_late", 1))
        [entry] = (await ledger.entries(late, CLEARING)).data
        async with engine.connect() as connection:
            behind = await ledger.watermark(connection)
        assert behind is None or behind < entry.at
        await late.commit()


async def _final(engine: AsyncEngine, at: datetime) -> bool:
    async with engine.connect() as connection:
        return (await ledger.trial_balance(connection, at)).final
