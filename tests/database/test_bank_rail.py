"""A window of payouts and what the bank says of it: one file, one instruction each, each amount
right, wherever it is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError
from temporalio.exceptions import ApplicationError

from activities import collecting
from activities.boundary import as_application_error
from recompense.contracts.batches import BatchReceipt, PayoutBatch
from recompense.contracts.provider import CreatePayoutCall, Declined, PayoutState
from recompense.domain.failures import InvariantBroken, OutcomeUnknown, ProviderUnavailable
from recompense.persistence import journal
from tests.support.bank import Bank
from tests.support.bank_files import Message, Ntry, Stmt, Tx, status_report
from tests.support.bank_rail import WINDOW, Rail, bank_rail
from tests.support.commit_proxy import Fault, commit_proxy

HOUR = timedelta(hours=1)


@pytest.fixture
async def rail(database_url: str, tmp_path: Path) -> AsyncIterator[Rail]:
    async with bank_rail(database_url, Bank(tmp_path)) as made:
        yield made


async def rows(rail: Rail, statement: str) -> list[tuple[Any, ...]]:
    url = rail.database.engine.url.set(drivername="postgresql")
    connection = await psycopg.AsyncConnection.connect(url.render_as_string(hide_password=False))
    async with connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def test_payouts_of_a_window_are_one_file_and_each_an_instruction(rail: Rail) -> None:
    effects = [await rail.collected(amount) for amount in (1_000, 2_50, 99)]
    assert rail.bank.take() == []
    closed = await rail.closed()
    assert (closed.items, closed.total, closed.currency) == (3, 1_349, "EUR")
    assert closed.batch_id is not None
    await rail.submitted(closed.batch_id)
    taken = rail.bank.take()
    answers = [await rail.looked_up(effect) for effect in effects]
    references = [getattr(answer.outcome, "reference", None) for answer in answers]
    assert [(one.end_to_end_id, one.cents) for one in taken] == list(
        zip(references, (1_000, 250, 99), strict=True)
    )
    assert all(answer.outcome.kind == "pending" for answer in answers)
    assert rail.bank.files == ["RCMP20261127T150000Z.pain001.xml"]


async def test_window_in_which_nothing_waits_makes_no_file(rail: Rail) -> None:
    assert (await rail.closed()).batch_id is None
    assert rail.bank.take() == []


async def test_window_closes_once_and_the_next_takes_what_came_later(rail: Rail) -> None:
    await rail.collected()
    first = await rail.closed()
    await rail.collected()
    assert await rail.closed() == first
    second = await rail.closed(WINDOW + HOUR)
    assert (first.items, second.items) == (1, 1)
    assert first.batch_id != second.batch_id


@pytest.mark.parametrize("fault", list(Fault))
async def test_collecting_whose_commit_breaks_is_one_instruction(
    database_url: str, tmp_path: Path, fault: Fault
) -> None:
    async with (
        commit_proxy(database_url) as proxy,
        bank_rail(proxy.url, Bank(tmp_path)) as rail,
    ):
        effect = await rail.payout()
        proxy.break_commit(fault, 1)
        with pytest.raises(Exception) as broken:  # noqa: PT011 - any of the driver's
            await rail.sent(effect)
        assert proxy.fired
        assert as_application_error(broken.value) is not None
        await _send_again_once_the_right_is_over(rail, effect)
        assert len(await rows(rail, "SELECT 1 FROM payout_batch_items")) == 1


async def _send_again_once_the_right_is_over(rail: Rail, effect: Any) -> None:
    async with rail.database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE journal SET sendable_until = clock_timestamp() - interval '1 minute'"
        )
    assert (await rail.sent(effect, attempt=2)).outcome.kind == "pending"


@pytest.mark.parametrize("commit", [1, 2, 3])
@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_window_whose_commits_break_is_still_one_file(
    database_url: str, tmp_path: Path, fault: Fault, commit: int
) -> None:
    bank = Bank(tmp_path)
    async with commit_proxy(database_url) as proxy, bank_rail(proxy.url, bank) as rail:
        for _ in range(3):
            await rail.collected()
        proxy.break_commit(fault, commit)
        for _ in range(2):
            with contextlib.suppress(SQLAlchemyError):
                closed = await rail.closed()
                assert closed.batch_id is not None
                await rail.submitted(closed.batch_id)
            bank.take()
        assert proxy.fired
        assert await rows(rail, "SELECT id, status, items FROM payout_batches") == [
            ("sepa/20261127T150000Z", "sent", 3)
        ]
    assert len(bank.files) == 1
    assert [len(each) for each in bank.transfers.values()] == [1, 1, 1]


async def test_worker_that_dies_after_the_delivery_delivers_no_second_file(rail: Rail) -> None:
    await rail.collected()
    closed = await rail.closed()
    assert closed.batch_id is not None
    port: Any = rail.tools.providers.port("sepa")
    deliver = port.submit_batch

    async def dies(batch: PayoutBatch) -> BatchReceipt:
        await deliver(batch)
        raise OutcomeUnknown("the answer is lost")

    port.submit_batch = dies
    with pytest.raises(OutcomeUnknown):
        await rail.submitted(closed.batch_id)
    rail.bank.take()
    port.submit_batch = deliver
    first = await rail.submitted(closed.batch_id)
    assert await rail.submitted(closed.batch_id) == first
    rail.bank.take()
    assert len(rail.bank.files) == 1


async def test_cancel_before_the_window_closes_takes_the_instruction_out(rail: Rail) -> None:
    effect, other = await rail.collected(), await rail.collected(2_000)
    reference = getattr((await rail.looked_up(effect)).outcome, "reference", "")
    cancel = await rail.cancel(effect, reference)
    assert (await rail.sent(cancel)).outcome.kind == "approved"
    assert (await rail.looked_up(cancel)).outcome.kind == "approved"
    found = await rail.looked_up(effect)
    assert isinstance(found.outcome, Declined)
    assert (found.outcome.code, found.payout_state) == ("payout_canceled", PayoutState.CANCELED)
    closed = await rail.closed()
    assert (closed.items, closed.total) == (1, other.call.amount)


async def test_cancel_after_the_window_has_closed_is_refused(rail: Rail) -> None:
    effect = await rail.collected()
    reference = getattr((await rail.looked_up(effect)).outcome, "reference", "")
    await rail.closed()
    cancel = await rail.cancel(effect, reference)
    refused = (await rail.sent(cancel)).outcome
    assert isinstance(refused, Declined)
    assert refused.code == "payout_not_cancelable"
    assert (await rail.looked_up(effect)).outcome.kind == "pending"


@pytest.mark.parametrize("number", range(6))
async def test_cancel_and_close_at_once_agree(rail: Rail, number: int) -> None:
    effect = await rail.collected()
    reference = getattr((await rail.looked_up(effect)).outcome, "reference", "")
    cancel = await rail.cancel(effect, reference)
    answer, closed = await asyncio.gather(rail.sent(cancel), rail.closed())
    was_taken_out = answer.outcome.kind == "approved"
    assert was_taken_out == (closed.batch_id is None)


async def test_send_right_that_has_passed_collects_nothing(rail: Rail) -> None:
    effect = await rail.payout()
    call = effect.call.model_copy(update={"send_by": WINDOW.replace(year=2020)})
    assert isinstance(call, CreatePayoutCall)
    with pytest.raises(ProviderUnavailable):
        await collecting.create(rail.tools, effect, call)
    assert await rows(rail, "SELECT 1 FROM payout_batch_items") == []


async def test_payout_that_was_concluded_as_never_made_is_not_collected(rail: Rail) -> None:
    effect = await rail.payout()
    assert isinstance(effect.call, CreatePayoutCall)
    async with rail.database.work() as work:
        row = await journal.require(work, journal.position(effect))
        assert await journal.conclude_absent(work, row, [])
    with pytest.raises(OutcomeUnknown):
        await collecting.create(rail.tools, effect, effect.call)
    assert await rows(rail, "SELECT 1 FROM payout_batch_items") == []


async def test_destination_that_nobody_knows_is_declined_and_not_collected(rail: Rail) -> None:
    effect = await rail.payout(token="tok_nobody")
    outcome = (await rail.sent(effect)).outcome
    assert isinstance(outcome, Declined)
    assert outcome.code == "destination_unknown"
    assert (await rail.closed()).batch_id is None


async def submitted(rail: Rail, *amounts: int) -> list[Any]:
    effects = [await rail.collected(amount) for amount in amounts]
    closed = await rail.closed()
    assert closed.batch_id is not None
    await rail.submitted(closed.batch_id)
    return effects


async def test_paid_rejected_and_returned_come_true_by_files(rail: Rail) -> None:
    paid, rejected, returned = await submitted(rail, 1_000, 2_000, 3_000)
    first, second, third = rail.bank.take()
    rail.bank.reports(
        first.message_id,
        (first.end_to_end_id, "ACTC", None),
        (second.end_to_end_id, "RJCT", "AC04"),
    )
    rail.bank.pays(first)
    rail.bank.pays(third)
    rail.bank.returns(third)
    done = await rail.files_read()
    assert (done.files, done.refused, done.told, done.unmatched) == (4, (), 5, 0)
    answers = [await rail.looked_up(effect) for effect in (paid, rejected, returned)]
    assert [(one.outcome.kind, one.payout_state) for one in answers] == [
        ("approved", PayoutState.PAID),
        ("declined", PayoutState.FAILED),
        ("approved", PayoutState.RETURNED),
    ]
    assert (await rail.files_read()).files == 0
    assert len(list((rail.bank.root / "archive").iterdir())) == 4


async def test_same_file_twice_tells_nothing_new(rail: Rail) -> None:
    await submitted(rail, 1_000)
    (transfer,) = rail.bank.take()
    content = Message("054", 8, [Stmt([Ntry("10.00", transactions=[Tx(transfer.end_to_end_id)])])])
    for name in ("a.xml", "b.xml"):
        rail.bank.leave(content.content, name)
    done = await rail.files_read()
    assert (done.files, done.told) == (2, 1)
    assert await rows(rail, "SELECT count(*) FROM bank_files") == [(1,)]
    assert await rows(rail, "SELECT count(*) FROM provider_events") == [(1,)]


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_reading_whose_commit_breaks_tells_all_of_it_once(
    database_url: str, tmp_path: Path, fault: Fault
) -> None:
    bank = Bank(tmp_path)
    async with commit_proxy(database_url) as proxy, bank_rail(proxy.url, bank) as rail:
        await submitted(rail, 1_000, 2_000)
        bank.books([Ntry("30.00", batch=(bank.take()[0].message_id, 2, None))])
        proxy.break_commit(fault, 1)
        with pytest.raises(Exception):  # noqa: B017, PT011 - any of the driver's
            await rail.files_read()
        await rail.files_read()
        assert proxy.fired
        assert await rows(rail, "SELECT count(*) FROM provider_events") == [(2,)]
    assert list((tmp_path / "in").iterdir()) == []


async def test_refused_file_is_kept_tells_nothing_and_is_named(rail: Rail) -> None:
    (effect,) = await submitted(rail, 1_000)
    (transfer,) = rail.bank.take()
    entries = [
        Ntry("10.00", transactions=[Tx(transfer.end_to_end_id)]),
        Ntry("0.00001"),
    ]
    rail.bank.leave(Message("054", 8, [Stmt(entries)]).content, "bad.xml")
    done = await rail.files_read()
    assert (done.refused, done.told) == (("bad.xml: file_amount",), 0)
    kept = await rows(rail, "SELECT name, status, octet_length(content) > 0 FROM bank_files")
    assert kept == [("bad.xml", "refused", True)]
    assert (await rail.looked_up(effect)).outcome.kind == "pending"


async def test_file_whose_name_is_no_text_is_read_too(rail: Rail) -> None:
    rail.bank.leave(Message("054", 8, [Stmt([Ntry("1.00")])]).content, os.fsdecode(b"\xff.xml"))
    assert (await rail.files_read()).files == 1
    assert await rows(rail, "SELECT name FROM bank_files") == [("?.xml",)]
    assert (await rail.files_read()).files == 0


async def test_batch_booking_pays_all_of_its_batch_and_each_its_own_amount(rail: Rail) -> None:
    effects = await submitted(rail, 1_000, 2_000)
    message_id = rail.bank.take()[0].message_id
    rail.bank.books([Ntry("30.00", batch=(message_id, 2, "30.00"))], kind="053", version=2)
    await rail.files_read()
    answers = [await rail.looked_up(effect) for effect in effects]
    assert {one.payout_state for one in answers} == {PayoutState.PAID}


async def test_batch_booking_of_what_was_not_rejected_pays_the_rest(rail: Rail) -> None:
    paid, rejected = await submitted(rail, 1_000, 2_000)
    first, second = rail.bank.take()
    rail.bank.reports(first.message_id, (second.end_to_end_id, "RJCT", "AC01"))
    rail.bank.books([Ntry("10.00", batch=(first.message_id, 1, None))])
    await rail.files_read()
    assert (await rail.looked_up(paid)).payout_state is PayoutState.PAID
    assert (await rail.looked_up(rejected)).payout_state is PayoutState.FAILED


@pytest.mark.parametrize(("amount", "count"), [("29.99", None), ("30.00", 3), ("10.00", None)])
async def test_batch_booking_of_another_sum_pays_nobody(
    rail: Rail, amount: str, count: int | None
) -> None:
    effects = await submitted(rail, 1_000, 2_000)
    rail.bank.books([Ntry(amount, batch=(rail.bank.take()[0].message_id, count, None))])
    assert (await rail.files_read()).unmatched == 1
    answers = [await rail.looked_up(effect) for effect in effects]
    assert {one.outcome.kind for one in answers} == {"pending"}


async def test_rejected_file_rejects_each_of_its_payouts(rail: Rail) -> None:
    effects = await submitted(rail, 1_000, 2_000)
    message_id = rail.bank.take()[0].message_id
    rail.bank.leave(status_report(message_id, group=("RJCT", "FF01")))
    await rail.files_read()
    answers = [(await rail.looked_up(effect)).outcome for effect in effects]
    assert [getattr(one, "code", None) for one in answers] == ["provider_refused_request"] * 2


async def test_file_rejected_as_a_duplicate_rejects_nothing(rail: Rail) -> None:
    (effect,) = await submitted(rail, 1_000)
    message_id = rail.bank.take()[0].message_id
    rail.bank.leave(status_report(message_id, group=("RJCT", "AM05")))
    await rail.files_read()
    assert (await rail.looked_up(effect)).outcome.kind == "pending"


async def test_booking_of_another_amount_is_for_a_person(rail: Rail) -> None:
    (effect,) = await submitted(rail, 1_000)
    (transfer,) = rail.bank.take()
    rail.bank.books([Ntry("10.01", transactions=[Tx(transfer.end_to_end_id)])])
    await rail.files_read()
    with pytest.raises(ApplicationError) as failed:
        await rail.looked_up(effect)
    assert failed.value.type == "ProviderAnswerMismatch"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payout_batch_items SET amount = 1",
        "UPDATE payout_batch_items SET status = 'collected', batch_id = NULL, position = NULL",
        "UPDATE payout_batches SET total = 1",
        "UPDATE payout_batches SET sha256 = repeat('0', 64)",
    ],
)
async def test_what_was_sent_never_changes(rail: Rail, statement: str) -> None:
    await submitted(rail, 1_000)
    with pytest.raises(psycopg.errors.RaiseException):
        await rows(rail, statement)


async def test_instruction_without_a_journaled_effect_is_refused(rail: Rail) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await rows(
            rail,
            "INSERT INTO payout_batch_items (effect_key, provider, operation_id, reference, amount,"
            " currency, token) VALUES ('po_x:payout:1', 'sepa', 'po_x', 'x', 1, 'EUR', 't')",
        )


async def test_batch_that_is_not_there_is_not_sent(rail: Rail) -> None:
    with pytest.raises(InvariantBroken):
        await rail.submitted("sepa/20200101T000000Z")
