"""The clockwork of a bank rail: a file that does not get out is asked about and gets out, and one
that cannot be read makes its reading red.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from recompense.contracts.bank_rail import PayoutWindow, ReadFiles
from recompense.contracts.batches import BatchReceipt, PayoutBatch
from recompense.contracts.sagas import SAGA_TASK_QUEUE, PayoutReview, PayoutReviewDecision
from recompense.domain.failures import ProviderAccessDenied
from recompense.domain.ids import IdPrefix, new_id
from tests.live.conftest import HASTY
from tests.support.bank import Bank
from tests.support.bank_files import Message, Ntry, Stmt
from tests.support.books import assert_books_agree
from tests.support.platform import Platform, ProviderSetup, running_platform
from tests.support.sandbox import running_sandbox
from tests.support.scenes import captured, eventually, payout_input, review
from workflows import bank_rail
from workflows.bank_rail import ReadBankFiles, SubmitPayoutBatch
from workflows.payout import Payout

READ = ReadFiles(provider="sepa")
WINDOW = PayoutWindow(provider="sepa")


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path / "bank")


@pytest.fixture
async def rail(
    temporal_address: str, database_url: str, tmp_path: Path, bank: Bank
) -> AsyncIterator[Platform]:
    with running_sandbox(
        tmp_path / "sandbox.sqlite3", webhook_url="http://127.0.0.1:9/"
    ) as sandbox:
        async with running_platform(
            temporal_address,
            database_url,
            sandbox,
            policy_overrides=HASTY,
            beside={"sepa": ProviderSetup(bank.config, {})},
        ) as running:
            yield running


async def run(rail: Platform, workflow: Any, argument: Any) -> Any:
    return await rail.client.execute_workflow(
        workflow.run, argument, id=f"test/{new_id(IdPrefix.EVENT)}", task_queue=SAGA_TASK_QUEUE
    )


async def status_of(rail: Platform, payout_id: str) -> str:
    (row,) = await rail.rows("SELECT status FROM payouts WHERE id = :id", id=payout_id)
    return str(row["status"])


async def test_payout_leaves_in_a_file_is_paid_and_comes_back(rail: Platform, bank: Bank) -> None:
    await captured(rail)
    payout = payout_input(token="tok_account", provider="sepa")
    await rail.decide(Payout, payout)
    assert await status_of(rail, payout.payout_id) == "in_transit"
    assert "1 payouts" in await run(rail, SubmitPayoutBatch, WINDOW)
    (transfer,) = bank.take()
    bank.pays(transfer)
    assert len((await run(rail, ReadBankFiles, READ)).events) == 1
    assert (await rail.handle(payout).result())["ended"] == "paid"
    bank.returns(transfer)
    await run(rail, ReadBankFiles, READ)

    async def is_returned() -> bool:
        return await status_of(rail, payout.payout_id) == "returned"

    await eventually(is_returned)


async def test_payout_that_is_canceled_before_its_window_closes_leaves_in_no_file(
    rail: Platform, bank: Bank
) -> None:
    await captured(rail)
    payout = payout_input(token="tok_account", provider="sepa")
    await rail.decide(Payout, payout)
    word = PayoutReview(decision=PayoutReviewDecision.CANCEL, actor="finance", reason="a mistake")
    await review(rail, payout, word)
    assert await status_of(rail, payout.payout_id) == "canceled"
    assert await run(rail, SubmitPayoutBatch, WINDOW) == "nothing waited"
    assert bank.take() == []
    await assert_books_agree(rail)


async def test_file_that_does_not_get_out_asks_for_attention_and_gets_out_once(
    rail: Platform, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_rail, "TRY_AGAIN_AFTER", timedelta(seconds=0.2))
    port: Any = rail.tools.providers.port("sepa")
    deliver, refused = port.submit_batch, list[BatchReceipt]()

    async def refuses_twice(batch: PayoutBatch) -> BatchReceipt:
        receipt: BatchReceipt = await deliver(batch)
        if len(refused) < 2:
            refused.append(receipt)
            raise ProviderAccessDenied("the bank does not know us")
        return receipt

    monkeypatch.setattr(port, "submit_batch", refuses_twice)
    await captured(rail)
    payout = payout_input(token="tok_account", provider="sepa")
    await rail.decide(Payout, payout)
    handle = await rail.client.start_workflow(
        SubmitPayoutBatch.run,
        WINDOW,
        id=f"test/{new_id(IdPrefix.EVENT)}",
        task_queue=SAGA_TASK_QUEUE,
    )
    await handle.result()
    told = [
        event.upsert_workflow_search_attributes_event_attributes
        for event in (await handle.fetch_history()).events
        if event.HasField("upsert_workflow_search_attributes_event_attributes")
    ]
    attention = [one.search_attributes.indexed_fields["NeedsAttention"].data for one in told]
    assert attention == [b"true", b"false"]
    assert len(refused) == 2
    assert len(bank.take()) == 1
    assert len(bank.files) == 1


async def test_file_that_cannot_be_read_is_red_and_the_others_are_read(
    rail: Platform, bank: Bank
) -> None:
    bank.leave(Message("054", 8, [Stmt([Ntry("0.00001")])]).content, "bad.xml")
    bank.leave(Message("054", 8, [Stmt([Ntry("1.00")])]).content, "good.xml")
    with pytest.raises(WorkflowFailureError) as failed:
        await run(rail, ReadBankFiles, READ)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "BankFileRefused"
    assert "bad.xml: file_amount" in str(failed.value.cause)
    kept = await rail.rows("SELECT name, status FROM bank_files ORDER BY name")
    assert [tuple(row.values()) for row in kept] == [("bad.xml", "refused"), ("good.xml", "read")]
    assert (await run(rail, ReadBankFiles, READ)).files == 0
