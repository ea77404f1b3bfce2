"""A payer who has to act, from the redirect to the end: what was brought back is handed in, and the
provider decides once, whatever is lost or repeated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from recompense.contracts.payer_actions import payer_event, payer_event_id
from recompense.contracts.provider import ProviderEvent, ProviderOperation
from recompense.contracts.sagas import SAGA_TASK_QUEUE, ProviderEventInput
from recompense.contracts.starting import event_workflow_id
from recompense.persistence import inbox
from recompense.persistence.database import Database
from tests.conformance.cases import HTTP, needs
from tests.conformance.targets import Meaning
from tests.conformance.vendors.adyen import AdyenTarget
from tests.live.providers.test_stories import books_agree, money
from tests.live.providers.world import Stage
from tests.support.adyen.vendor import Fault
from workflows.provider_events import ApplyProviderEvent

__all__ = ["books_agree"]

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
HANDED_OVER = (HTTP, AUTHORIZE, Meaning.ACTION, "truth_by_webhook")
"""What only a provider that has to be handed the payer's word is asked."""

STEPS = "SELECT step FROM journal WHERE operation_id = %s ORDER BY created_at"
ORPHANED = "SELECT o.status FROM orphans o JOIN operations USING (saga_id) WHERE payment_id = %s"
EVENTS = "SELECT status, detail FROM provider_events WHERE operation_id = %s AND event_type = %s"


def asked_to_act(stage: Stage, **changes: Any) -> dict[str, Any]:
    token = {"type": "card_token", "token": stage.target.tokens[Meaning.ACTION]}
    payment = stage.made("/v1/payments", stage.payment(payment_method=token, **changes))
    assert payment["status"] == "requires_action", payment
    return payment


def brought_back(stage: Stage, payment: dict[str, Any], *, succeed: bool = True) -> dict[str, str]:
    return stage.target.brings_back(payment["next_action"]["url"], succeed=succeed)


def completed(
    stage: Stage, payment: dict[str, Any], parameters: dict[str, str], wait: int = 30
) -> httpx.Response:
    path = f"/v1/payments/{payment['id']}/complete"
    return stage.api.post(path, {"parameters": parameters}, headers={"Prefer": f"wait={wait}"})


def slowly(stage: Stage, payment: dict[str, Any], seconds: float) -> Fault:
    """The first call that hands a word over takes so long before it decides."""
    target = stage.target
    assert isinstance(target, AdyenTarget)
    slow = Fault("details", "slow", 1, payment["id"], seconds)
    target.live.vendor.faults.append(slow)
    return slow


@contextmanager
def told_nothing(stage: Stage) -> Iterator[None]:
    """The vendor's webhooks go nowhere until this block ends; what it owes is sent again then."""
    target = stage.target
    assert isinstance(target, AdyenTarget)
    told_to, target.live.webhook_url = target.live.webhook_url, "http://127.0.0.1:9/"
    try:
        yield
    finally:
        target.live.webhook_url = told_to


def handed_over(stage: Stage) -> int:
    """How often the provider was handed something, since this stage began."""
    return sum(path.endswith("/payments/details") for _, path in stage.proxy.seen)


@needs(AUTHORIZE, CAPTURE, Meaning.ACTION)
def test_payer_who_acted_is_authorized_and_captured(stage: Stage) -> None:
    payment = asked_to_act(stage)
    parameters = brought_back(stage, payment)
    answer = completed(stage, payment, parameters)
    assert (answer.status_code, answer.json()["status"]) == (200, "authorized"), answer.text
    assert answer.headers["Location"] == f"/v1/payments/{payment['id']}"
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]
    made = stage.made(f"/v1/payments/{payment['id']}/captures", {"final": True})
    assert made["status"] == "succeeded"


@needs(AUTHORIZE, CAPTURE, Meaning.ACTION)
def test_payer_who_acted_is_captured_where_that_is_automatic(stage: Stage) -> None:
    payment = asked_to_act(stage, capture_method="automatic")
    answer = completed(stage, payment, brought_back(stage, payment))
    assert answer.status_code in (200, 202), answer.text
    shown = stage.until(payment, lambda one: one["status"] == "captured")
    assert shown["amount_captured"] == 10_000


@needs(AUTHORIZE, Meaning.ACTION)
def test_payer_who_refuses_is_declined_without_effect(stage: Stage) -> None:
    payment = asked_to_act(stage)
    answer = completed(stage, payment, brought_back(stage, payment, succeed=False))
    assert (answer.status_code, answer.json()["status"]) == (200, "declined"), answer.text
    assert stage.effects(payment["id"]) == []


@needs(*HANDED_OVER)
def test_payer_who_reloads_the_page_is_the_same_request(stage: Stage) -> None:
    payment = asked_to_act(stage)
    parameters = brought_back(stage, payment)
    before = handed_over(stage)
    answers = [completed(stage, payment, parameters) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 200]
    assert {one.json()["status"] for one in answers} == {"authorized"}
    assert handed_over(stage) == before + 1
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(*HANDED_OVER)
def test_payer_s_word_is_in_no_history_and_in_no_log(
    stage: Stage, logged: Callable[[], str]
) -> None:
    payment = asked_to_act(stage)
    parameters = brought_back(stage, payment)
    assert completed(stage, payment, parameters).status_code == 200
    secret = parameters["redirectResult"]
    workflow_id = f"provider-event/adyen/{payer_event_id(payment['id'], parameters)}"
    history = asyncio.run(_history(stage, workflow_id))
    assert payment["id"].encode() in history
    assert secret.encode() not in history
    assert payment["id"] in logged()
    assert secret not in logged()
    timeline = stage.api.get(f"/v1/payments/{payment['id']}/timeline")
    assert "payer.returned" in timeline.text
    assert secret not in timeline.text


async def _history(stage: Stage, workflow_id: str) -> bytes:
    client = await Client.connect(stage.api.temporal_address)
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return b"".join(event.SerializeToString() for event in history.events)


@needs(*HANDED_OVER)
def test_payer_in_two_windows_authorizes_once(stage: Stage) -> None:
    payment = asked_to_act(stage)
    result = brought_back(stage, payment)["redirectResult"]
    windows = [{"redirectResult": f"{result}!{window}"} for window in range(4)]
    slowly(stage, payment, 0.5)
    stage.proxy.most_at_once = 0
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: completed(stage, payment, one), windows))
    assert {one.status_code for one in answers} <= {200, 202, 409}
    assert any(one.status_code == 200 for one in answers)
    stage.until(payment, lambda one: one["status"] == "authorized")
    assert stage.proxy.most_at_once == 1
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(*HANDED_OVER)
def test_payer_who_comes_back_late_is_told_so_and_nothing_is_called(stage: Stage) -> None:
    payment = asked_to_act(stage)
    parameters = brought_back(stage, payment, succeed=False)
    assert completed(stage, payment, parameters).json()["status"] == "declined"
    before = handed_over(stage)
    late = completed(stage, payment, {"redirectResult": "another"})
    assert (late.status_code, late.json()["code"]) == (409, "payment_needs_no_action")
    assert handed_over(stage) == before


@needs(*HANDED_OVER)
def test_payer_whose_word_is_not_taken_still_has_to_act(stage: Stage) -> None:
    payment = asked_to_act(stage)
    answer = completed(stage, payment, {"redirectResult": "made up"})
    assert (answer.status_code, answer.json()["status"]) == (200, "requires_action")
    assert answer.json()["next_action"] == payment["next_action"]
    told = stage.rows(EVENTS, payment["id"], "payer.returned")
    assert told == [("ignored", "the provider took none of it")]
    answer = completed(stage, payment, brought_back(stage, payment))
    assert (answer.status_code, answer.json()["status"]) == (200, "authorized")


@needs(*HANDED_OVER)
def test_payer_who_brings_back_the_word_of_another_concludes_nothing(stage: Stage) -> None:
    payment, other = asked_to_act(stage), asked_to_act(stage)
    answer = completed(stage, payment, brought_back(stage, other))
    assert (answer.status_code, answer.json()["status"]) == (200, "requires_action")
    assert stage.effects(payment["id"]) == []
    # Adyen has decided the other one, and tells so.
    stage.until(other, lambda one: one["status"] == "authorized")


@needs(*HANDED_OVER)
@pytest.mark.parametrize("lost", ["reset_before", "reset_after", "error_after", "timeout_after"])
def test_payer_whose_answer_is_lost_authorizes_once(stage: Stage, lost: str) -> None:
    payment = asked_to_act(stage)
    parameters = brought_back(stage, payment)
    stage.meets(lost)
    assert completed(stage, payment, parameters).status_code in (200, 202)
    stage.until(payment, lambda one: one["status"] == "authorized")
    assert stage.proxy.fired == 1
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(*HANDED_OVER)
def test_payer_whose_every_answer_is_lost_is_told_by_webhook(stage: Stage) -> None:
    payment = asked_to_act(stage)
    stage.meets("reset_after", times=-1)
    assert completed(stage, payment, brought_back(stage, payment)).status_code in (200, 202)
    stage.until(payment, lambda one: one["status"] == "authorized")
    assert stage.proxy.fired > 0
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(*HANDED_OVER)
def test_payer_who_acts_while_the_saga_gives_up_is_taken_back(stage: Stage) -> None:
    payment = asked_to_act(stage)
    slow = slowly(stage, payment, 1.0)
    assert completed(stage, payment, brought_back(stage, payment), wait=0).status_code == 202
    eventually(lambda: slow.fired > 0)
    asyncio.run(_cancel(stage, payment))
    shown = stage.until(payment, lambda one: one["status"] == "failed")
    assert slow.fired == 1
    assert not shown["needs_attention"]
    assert [step for step, _ in stage.effects(payment["id"])] == ["authorize", "void"]


@needs(*HANDED_OVER)
def test_payer_whose_answer_nobody_knows_is_undone_when_the_saga_gives_up(stage: Stage) -> None:
    """What was handed over may have authorized, though nothing has told so yet."""
    payment = asked_to_act(stage)
    with told_nothing(stage):
        stage.meets("reset_after", times=-1)
        completed(stage, payment, brought_back(stage, payment), wait=0)
        eventually(lambda: stage.proxy.fired > 0)
        asyncio.run(_cancel(stage, payment))
        eventually(lambda: ("authorize.undo",) in stage.rows(STEPS, payment["id"]))
        stage.meets("none")
    stage.until(payment, lambda one: one["status"] == "failed")
    assert [step for step, _ in stage.effects(payment["id"])] == ["authorize", "void"]
    assert stage.rows(STEPS, payment["id"]) == [("authorize",), ("authorize.undo",)]


def eventually(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not holds() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert holds()


@needs(*HANDED_OVER)
def test_payer_who_never_comes_back_leaves_nothing_to_undo(stage: Stage) -> None:
    payment = asked_to_act(stage)
    result = brought_back(stage, payment)
    before = len(stage.proxy.seen)
    asyncio.run(_cancel(stage, payment))
    shown = stage.until(payment, lambda one: one["status"] == "failed")
    assert not shown["needs_attention"]
    late = completed(stage, payment, result)
    assert (late.status_code, late.json()["code"]) == (409, "payment_needs_no_action")
    assert len(stage.proxy.seen) == before


@needs(*HANDED_OVER)
def test_payer_s_word_that_is_applied_after_the_end_calls_nobody(stage: Stage) -> None:
    """It was stored in time, and its workflow starts when the saga has given up."""
    payment = asked_to_act(stage)
    word = brought_back(stage, payment)
    asyncio.run(_cancel(stage, payment))
    stage.until(payment, lambda one: one["status"] == "failed")
    before = len(stage.proxy.seen)
    event = payer_event("adyen", payment["id"], f"{payment['id']}:authorize:1", word)
    assert asyncio.run(_applied(stage, event)) == "nobody waits for the payer any more"
    assert len(stage.proxy.seen) == before
    [(status, _)] = stage.rows(EVENTS, payment["id"], "payer.returned")
    assert status == "ignored"


@needs(*HANDED_OVER)
def test_payer_who_never_came_back_is_not_undone_when_the_check_asks_again(stage: Stage) -> None:
    payment = asked_to_act(stage)
    asyncio.run(_cancel(stage, payment))
    stage.until(payment, lambda one: one["status"] == "failed")
    before = len(stage.proxy.seen)
    check = ProviderEvent(
        provider="adyen",
        event_id=f"check-{payment['id']}",
        event_type="balance_check",
        object_reference=None,
        operation_id=payment["id"],
        effect_key=f"{payment['id']}:authorize:1",
        occurred_at=None,
        payload={},
    )
    assert asyncio.run(_applied(stage, check)) == "nothing new"
    assert len(stage.proxy.seen) == before
    assert stage.rows(ORPHANED, payment["id"]) == []


async def _applied(stage: Stage, event: ProviderEvent) -> str:
    database = Database(stage.api.database_url)
    async with database.transaction() as session:
        await inbox.store(session, event)
    await database.close()
    client = await Client.connect(
        stage.api.temporal_address, data_converter=pydantic_data_converter
    )
    named = ProviderEventInput(provider=event.provider, event_id=event.event_id)
    workflow_id = event_workflow_id(named)
    return await client.execute_workflow(
        ApplyProviderEvent.run, named, id=workflow_id, task_queue=SAGA_TASK_QUEUE
    )


@needs(*HANDED_OVER)
def test_payer_who_is_authorized_behind_an_ended_saga_is_taken_back(stage: Stage) -> None:
    """The provider decides without being handed anything, which it does not document."""
    payment = asked_to_act(stage)
    asyncio.run(_cancel(stage, payment))
    stage.until(payment, lambda one: one["status"] == "failed")
    stage.target.act(payment["next_action"]["url"], succeed=True)
    eventually(lambda: len(stage.effects(payment["id"])) == 2)
    eventually(lambda: stage.rows(ORPHANED, payment["id"]) == [("undone",)])
    assert [step for step, _ in stage.effects(payment["id"])] == ["authorize", "void"]


async def _cancel(stage: Stage, payment: dict[str, Any]) -> None:
    client = await Client.connect(stage.api.temporal_address)
    await client.get_workflow_handle(f"authorize/{payment['id']}").cancel()
