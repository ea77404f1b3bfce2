"""`recompense demo`: a guided tour of a running stack, through its public API alone.

Every statement is checked before it is told. What takes long (a provider that stays away, a
question that parks) is started first and goes on while the rest is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape
from temporalio.client import Client

from recompense.domain.calendar import BusinessCalendar
from recompense.domain.money import formatted
from recompense.domain.payout_dates import Clock
from recompense.ops.terminal import (
    NOT_IN_ORDER,
    NOT_REACHABLE,
    opened_client,
    settings_of,
    told_to_the_person,
)
from recompense.ops.tour_client import Chapter, Guide, Json, TourFailed, expect, saga_path
from recompense.ops.tour_payouts import comes_back, fires_by_itself, runs_payouts
from recompense.ops.tour_reconciliation import reconciles
from recompense.settings import Settings
from recompense.stack.files import StackFile, StackPaths
from recompense.stack.tokens import DEMO_MERCHANT

_EUR = "EUR"


def take_tour(data_dir: Path | None) -> int:
    """Take the tour and print it. Returns the exit status: 1 when something was not as told."""
    errors = Console(stderr=True, highlight=False)
    with told_to_the_person():
        settings = settings_of(data_dir)
    root = settings.data_dir
    stack = StackFile.read(StackPaths(root).stack_file)
    if stack is None:
        hint = f"No stack runs in {root}: start one with `recompense stack up`."
        errors.print(hint, markup=False, soft_wrap=True)
        return NOT_REACHABLE
    try:
        asyncio.run(_tour(settings, stack, Console(highlight=False)))
    except TourFailed as failed:
        errors.print(f"The tour stops: {failed}", style="red", markup=False, soft_wrap=True)
        return NOT_IN_ORDER
    except httpx.TransportError as error:
        address = error.request.url.copy_with(path="/")
        errors.print(f"No answer from {address}: {error}", style="red", markup=False)
        return NOT_REACHABLE
    return 0


async def _tour(settings: Settings, stack: StackFile, console: Console) -> None:
    client = await opened_client(settings)
    async with httpx.AsyncClient(timeout=40, trust_env=False) as http:
        guide = Guide(stack, http)
        await guide.clear_faults()
        console.print("[bold]Recompense: a tour of a running stack[/bold]")
        console.print("Each payment below is a Temporal saga, made through the public API.\n")
        try:
            await _chapters(guide, console, client, _scheduled(settings, guide, client))
        finally:
            await guide.clear_faults()


async def _chapters(
    guide: Guide, console: Console, client: Client, scheduled: Awaitable[Chapter]
) -> None:
    asked = await _start_what_parks(guide)
    unknown = await _start_what_parks(guide)
    failing = await _start_what_fails(guide)
    async with asyncio.TaskGroup() as slow:
        compensated = slow.create_task(_chapter(_is_compensated(guide, failing)))
        parked = slow.create_task(_chapter(_is_parked(guide, asked)))
        payment, chapter = await _pays(guide)
        _print(console, 1, chapter)
        quick = (
            _refunds(guide, payment),
            _pays_out(guide),
            comes_back(guide),
            runs_payouts(guide),
            scheduled,
            _loses_an_answer(guide),
        )
        for number, story in enumerate(quick, start=2):
            _print(console, number, await story)
        with console.status("Waiting for what takes longer"):
            _print(console, 8, _seen(await compensated))
            waiting = _seen(await parked)
            await _until_parked(guide, unknown)
    # Only now: the provider has to stay away until all stories have come to their turn.
    await guide.clear_faults()
    _print(console, 9, await _is_resolved(guide, asked, waiting))
    _print(console, 10, await reconciles(guide, client, unknown))
    _print(console, 11, await _balances(guide))
    console.print(
        "Look at any saga above in the Temporal UI, or with `recompense sagas show <id>`."
    )


async def _scheduled(settings: Settings, guide: Guide, client: Client) -> Chapter:
    calendar = BusinessCalendar(settings.payout_run_calendar)
    return await fires_by_itself(guide, client, Clock(calendar, settings.payout_run_time_zone))


async def _chapter(story: Awaitable[Chapter]) -> Chapter | TourFailed:
    """A story that goes on beside others: what is wrong with it is said when its turn has come."""
    try:
        return await story
    except TourFailed as failed:
        return failed


def _seen(told: Chapter | TourFailed) -> Chapter:
    if isinstance(told, TourFailed):
        raise told
    return told


async def _pay(guide: Guide, amount: int, *, token: str = "tok_ok", wait_seconds: int = 20) -> Json:  # noqa: S107 - a magic word of the sandbox
    body = {
        "merchant_id": DEMO_MERCHANT,
        "amount": amount,
        "currency": _EUR,
        "payment_method": {"type": "card_token", "token": token},
        "capture_method": "manual",
    }
    return await guide.post("backend", "/v1/payments", body, wait_seconds=wait_seconds)


async def _pays(guide: Guide) -> tuple[str, Chapter]:
    chapter = Chapter("A payment, captured in two parts")
    payment = await _pay(guide, 10_000)
    expect(payment["status"] == "authorized", payment)
    chapter.told(f"{_money(10_000)} authorized for {DEMO_MERCHANT}: {payment['id']}")
    await chapter.shows(guide, f"authorize/{payment['id']}")
    for amount, status in ((6_000, "partially_captured"), (4_000, "captured")):
        path = f"/v1/payments/{payment['id']}"
        capture = await guide.post("backend", f"{path}/captures", {"amount": amount})
        expect(capture["status"] == "succeeded", capture)
        now = await guide.get("backend", path)
        expect(now["status"] == status, now)
        words = status.replace("_", " ")
        chapter.told(f"{_money(amount)} captured by {capture['id']}: the payment is {words}")
        await chapter.shows(guide, f"capture/{capture['id']}")
    return str(payment["id"]), chapter


async def _refunds(guide: Guide, payment_id: str) -> Chapter:
    chapter = Chapter("A refund")
    path = f"/v1/payments/{payment_id}"
    refund = await guide.post("backend", f"{path}/refunds", {"amount": 2_500})
    expect(refund["status"] == "succeeded", refund)
    payment = await guide.get("backend", path)
    expect(payment["amount_refunded"] == 2_500, payment)
    chapter.told(f"{_money(2_500)} given back by {refund['id']}: the payment is partially refunded")
    await chapter.shows(guide, f"refund/{refund['id']}")
    return chapter


async def _pays_out(guide: Guide) -> Chapter:
    chapter = Chapter("A payout")
    body = {
        "merchant_id": DEMO_MERCHANT,
        "amount": 5_000,
        "currency": _EUR,
        "destination": {"type": "bank_token", "token": "tok_ok"},
    }
    payout = await guide.post("finance", "/v1/payouts", body)
    expect(payout["status"] in {"in_transit", "paid"}, payout)
    chapter.told(f"{_money(5_000)} of available money sent to the bank by {payout['id']}")
    path = f"/v1/payouts/{payout['id']}"
    await guide.until("finance", path, lambda now: now["status"] == "paid", "the payout")
    chapter.told("The bank's word came later, by webhook or when it was asked: it is paid")
    await chapter.shows(guide, f"payout/{payout['id']}")
    return chapter


async def _loses_an_answer(guide: Guide) -> Chapter:
    chapter = Chapter("An answer that got lost")
    before = await guide.fired(None)
    await guide.arm("authorize", "timeout_after")
    payment = await _pay(guide, 3_000, wait_seconds=30)
    expect(await guide.fired(None) == before + 1, "the fault has not met its call")
    expect(payment["status"] == "authorized", payment)
    effects = await guide.effects(payment["id"])
    expect(len(effects) == 1, f"the provider made {len(effects)} effects for {payment['id']}")
    timeline = await guide.get("ops", f"/v1/payments/{payment['id']}/timeline?limit=100")
    looked_up = [row for row in timeline["data"] if "lookup" in str(row)]
    expect(bool(looked_up), "nobody has looked the payment up")
    chapter.told(f"The provider authorized {payment['id']} and its answer never came")
    chapter.told("Nothing was guessed and nothing sent twice: the saga looked it up by our own key")
    chapter.told("The provider's own log holds one effect, and the payment is authorized")
    await chapter.shows(guide, f"authorize/{payment['id']}")
    return chapter


async def _start_what_fails(guide: Guide) -> Json:
    payment = await _pay(guide, 4_200)
    # Its id is known only with the answer: the first fault meets its first call, whoever it is.
    await guide.arm("capture", "unavailable")
    path = f"/v1/payments/{payment['id']}/captures"
    capture = await guide.post("backend", path, wait_seconds=0)
    await guide.arm("capture", "unavailable", times=-1, reference=capture["id"])
    await guide.until_fired(None, 1)
    return capture


async def _is_compensated(guide: Guide, capture: Json) -> Chapter:
    chapter = Chapter("A capture that fails, and is compensated")
    workflow_id = f"capture/{capture['id']}"
    ended = await guide.until(
        "ops", saga_path(workflow_id), lambda saga: saga["state"] == "failed", workflow_id
    )
    released = [step for step in ended["steps"] if step["compensation"] == "release: done"]
    expect(bool(released), f"nothing was released: {ended['steps']}")
    payment = await guide.get("backend", f"/v1/payments/{capture['payment_id']}")
    expect(payment["amount_capturable"] == payment["amount_authorized"], payment)
    expect(await guide.effects(capture["id"]) == [], "the provider made an effect after all")
    chapter.told(
        f"The provider stayed away from {capture['id']}; a look-up proved: nothing happened"
    )
    chapter.told(
        f"The reservation was released: {_money(payment['amount_capturable'])} are free again"
    )
    chapter.told("The saga is red, and `recompense sagas replay` would capture afresh, once")
    await chapter.shows(guide, workflow_id)
    return chapter


async def _start_what_parks(guide: Guide) -> Json:
    """A payment of which nothing comes back: no answer, no look-up and no webhook."""
    await guide.sends_webhooks("drop")
    payment = await _pay(guide, 7_700, token="tok_timeout_once", wait_seconds=0)  # noqa: S106 - as above
    await guide.arm("*", "timeout_after", times=-1, reference=payment["id"])
    await guide.until_made(payment["id"])
    await guide.sends_webhooks("normal")
    return payment


async def _until_parked(guide: Guide, payment: Json) -> Json:
    workflow_id = f"authorize/{payment['id']}"
    return await guide.until(
        "ops", saga_path(workflow_id), lambda saga: saga["state"] == "parked", workflow_id
    )


async def _is_parked(guide: Guide, payment: Json) -> Chapter:
    chapter = Chapter("A saga that parks, and a person who resolves it")
    parked = await _until_parked(guide, payment)
    now = await guide.get("backend", f"/v1/payments/{payment['id']}")
    expect(bool(now["needs_attention"]), now)
    chapter.told(f"Nobody could say what became of {payment['id']}: it waits, and asks")
    chapter.told(f"'{parked['question']}'")
    return chapter


async def _is_resolved(guide: Guide, payment: Json, chapter: Chapter) -> Chapter:
    workflow_id = f"authorize/{payment['id']}"
    answer = {"decision": "retry", "reason": "the provider is well again (tour)"}
    await guide.post("ops", f"{saga_path(workflow_id)}/resolve", answer)
    await guide.until(
        "backend",
        f"/v1/payments/{payment['id']}",
        lambda now: now["status"] == "authorized" and not now["needs_attention"],
        "the resolved payment",
    )
    effects = await guide.effects(payment["id"])
    expect(len(effects) == 1, f"the provider made {len(effects)} effects for {payment['id']}")
    chapter.told("On-call answered `retry`: it is authorized, and the provider made one effect")
    await chapter.shows(guide, workflow_id)
    return chapter


async def _balances(guide: Guide) -> Chapter:
    chapter = Chapter("The books")
    found = await guide.get("finance", "/v1/ledger/trial-balance")
    expect(bool(found["data"]), "the ledger is empty")
    for one in found["data"]:
        for phase in ("posted", "pending"):
            debits, credits_ = one[f"debits_{phase}"], one[f"credits_{phase}"]
            expect(debits == credits_, f"{one['currency']} {phase}: {debits} and {credits_}")
            sums = f"debits {_money(debits, one['currency'])}, credits the same"
            chapter.told(f"{one['currency']} {phase}: {sums}, difference 0")
    return chapter


def _print(console: Console, number: int, chapter: Chapter) -> None:
    console.print(f"[bold cyan]{number}. {chapter.title}[/bold cyan]")
    for line in chapter.lines:
        console.print(f"   {escape(line)}", soft_wrap=True)
    for workflow_id, ui_url in chapter.sagas:
        console.print(f"   [dim]{escape(workflow_id)}  {escape(ui_url)}[/dim]", soft_wrap=True)
    console.print()


def _money(amount: int, currency: str = _EUR) -> str:
    return formatted(amount, currency)
