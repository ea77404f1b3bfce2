"""Stories of what runs by the calendar: payout runs, reconciliations, a bank rail's files."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import date, timedelta

from temporalio.client import WorkflowFailureError

from recompense.contracts.bank_rail import PayoutWindow, ReadFiles
from recompense.contracts.payout_runs import PayoutRunInput, PayoutRunTriggerInput, RunReview
from recompense.contracts.reconciliation import (
    CHECK_BALANCES,
    RECONCILE_DAILY,
    RELAY_RECONCILIATIONS,
    BreakAction,
    ReconcileDaily,
    ReconcileInput,
)
from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
)
from recompense.contracts.search_attributes import NEEDS_ATTENTION
from recompense.desk import SagaDesk, reconciliations, repairs
from recompense.domain.ids import IdPrefix, new_id
from tests.replay.story_steps import a_payment, a_payout, run_once, until_parked
from tests.support.bank import A_PAYEE, bank_of
from tests.support.payout_runs import merchant_with
from tests.support.platform import Platform, authorize_input
from tests.support.scenes import eventually
from workflows.authorize import AuthorizePayment
from workflows.bank_rail import ReadBankFiles, SubmitPayoutBatch
from workflows.payout import Payout
from workflows.payout_run import PayoutRun
from workflows.payout_run_trigger import PayoutRunTrigger


async def payout_run(platform: Platform) -> str:
    """A run of two items, approved by a second person; one of the two is refused by its bank."""
    run = await _frozen_run(platform, "recorded")
    word = RunReview(decision="approve", actor="chief", reason="checked")
    handle = platform.client.get_workflow_handle(run.workflow_id)
    await handle.execute_update("review", word)
    await handle.result()
    return run.workflow_id


async def rejected_payout_run(platform: Platform) -> str:
    """A run that a second person did not want."""
    run = await _frozen_run(platform, "unwanted")
    handle = platform.client.get_workflow_handle(run.workflow_id)
    await handle.execute_update("review", RunReview(decision="reject", actor="chief"))
    await handle.result()
    return run.workflow_id


async def triggered_payout_run(platform: Platform) -> str:
    """What a schedule starts: here for a day on which nobody is due."""
    return await run_once(platform, PayoutRunTrigger.run, PayoutRunTriggerInput(name="nobody"))


async def _frozen_run(platform: Platform, name: str) -> PayoutRunInput:
    for token in ("tok_ok", "tok_closed_account"):
        await merchant_with(platform.database, {"EUR": 700}, schedule=name, token=token)
    run = PayoutRunInput(name=name, business_date=date(2026, 11, 27), requested_by="finance")
    handle = await platform.client.start_workflow(
        PayoutRun.run, run, id=run.workflow_id, task_queue=SAGA_TASK_QUEUE
    )
    await handle.execute_update("decision", id="decision")
    return run


async def reconciled(platform: Platform) -> str:
    """A report whose lines agree."""
    await a_payment(platform, capture_method="automatic")
    return await _reconciled(platform, date(2026, 11, 24))


async def reconciled_daily(platform: Platform) -> str:
    """The schedule's own start of a reconciliation."""
    await _settled(platform, date(2026, 11, 26))
    daily = ReconcileDaily(provider="sandbox", report_date=date(2026, 11, 26))
    return await run_once(platform, RECONCILE_DAILY, daily)


async def relayed_reconciliations(platform: Platform) -> str:
    """A reconciliation whose row was made, and nothing else."""
    await _settled(platform, date(2026, 11, 27))
    await _begun(platform, date(2026, 11, 27))
    await platform.rows_changed(
        "UPDATE reconciliations SET created_at = created_at - interval '1 minute'"
        " WHERE status = 'running'"
    )
    return await run_once(platform, RELAY_RECONCILIATIONS)


async def checked_balances(platform: Platform) -> str:
    """The hourly check."""
    return await run_once(platform, CHECK_BALANCES)


async def repaired(platform: Platform) -> str:
    """A break that one person may repair."""
    return await _repaired(platform, date(2026, 12, 1), 1_000, ("post", "finance"))


async def written_off_by_two(platform: Platform) -> str:
    """A loss that takes a second person."""
    people = ("write_off", "finance"), ("write_off", "chief")
    return await _repaired(platform, date(2026, 12, 3), 20_000, *people)


async def canceled_repair(platform: Platform) -> str:
    """A write-off that was canceled while it waited."""
    break_id = await _missing(platform, date(2026, 12, 5), 20_000)
    await _ask(platform, break_id, "write_off", "finance")
    handle = platform.client.get_workflow_handle(f"repair/{break_id}")
    await handle.cancel()
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
    return handle.id


async def looked_up_repair(platform: Platform) -> str:
    """A report knows more than our journal: the provider is asked, and says so the second time."""
    await _settled(platform, date(2026, 12, 7))
    payment = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=payment.payment_id)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, payment))
    await until_parked(SagaDesk(platform.database, platform.client, ui_url=""), payment)
    break_id = await _broken(platform, date(2026, 12, 8), payment.payment_id)
    await _ask(platform, break_id, "post", "finance")
    handle = platform.client.get_workflow_handle(f"repair/{break_id}")

    async def asks_for_attention() -> bool:
        described = await handle.describe()
        return bool(described.typed_search_attributes.get(NEEDS_ATTENTION))

    await eventually(asks_for_attention, 300)
    platform.sandbox.clear_faults()
    await handle.result()
    await asked
    return handle.id


async def _repaired(platform: Platform, day: date, amount: int, *asked: tuple[str, str]) -> str:
    break_id = await _missing(platform, day, amount)
    for action, actor in asked:
        await _ask(platform, break_id, action, actor)
    await platform.client.get_workflow_handle(f"repair/{break_id}").result()
    return f"repair/{break_id}"


async def _ask(platform: Platform, break_id: str, action: str, actor: str) -> None:
    await repairs.ask(
        platform.client, platform.database, break_id, BreakAction(action), actor, "agreed"
    )


async def _missing(platform: Platform, day: date, amount: int) -> str:
    """A captured payment that the report of the day after `day` leaves out: its break."""
    await _settled(platform, day)
    payment = await a_payment(platform, capture_method="automatic", amount=amount)
    return await _broken(platform, day + timedelta(days=1), payment["payment_id"], "missing")


async def _broken(
    platform: Platform, day: date, payment_id: str, corrupt: str | None = None
) -> str:
    """The break about a payment that the report of this day has."""
    await _reconciled(platform, day, corrupt)
    (found,) = await platform.rows(
        "SELECT id FROM breaks WHERE payment_id = :id AND status = 'open'", id=payment_id
    )
    return str(found["id"])


async def _settled(platform: Platform, day: date, corrupt: str | None = None) -> None:
    body = {"date": day.isoformat()} | ({"corrupt": corrupt} if corrupt else {})
    platform.sandbox.http.post("/_control/settle", json=body).raise_for_status()


async def _reconciled(platform: Platform, day: date, corrupt: str | None = None) -> str:
    await _settled(platform, day, corrupt)
    given = await _begun(platform, day)
    await reconciliations.start(platform.client, given)
    await platform.client.get_workflow_handle(given.workflow_id).result()
    return given.workflow_id


async def _begun(platform: Platform, day: date) -> ReconcileInput:
    return await reconciliations.begin(
        platform.database,
        new_id(IdPrefix.RECONCILIATION),
        provider="sandbox",
        report_date=day,
        requested_by="finance",
    )


async def sent_window(platform: Platform) -> str:
    """A window with a payout in it, whose file is delivered."""
    payout = await a_payout(platform, amount=400, token=A_PAYEE, provider="sepa")
    await platform.decide(Payout, payout)
    return await run_once(platform, SubmitPayoutBatch.run, PayoutWindow(provider="sepa"))


async def told_by_a_bank(platform: Platform) -> str:
    """A bank's word on that payout is read and applied."""
    bank = bank_of(platform)
    for transfer in bank.take():
        bank.pays(transfer)
    return await run_once(platform, ReadBankFiles.run, ReadFiles(provider="sepa"))
