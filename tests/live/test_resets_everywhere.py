"""Every lifecycle, run to its end, then reset at each event that Temporal allows, as the Temporal
UI does it: with signals and updates applied again, and without.

Each case has a saga of its own, so that every reset meets an operation that has ended in one run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from recompense.contracts.sagas import (
    CaptureInput,
    PayoutReview,
    PayoutReviewDecision,
    RefundInput,
    Resolution,
    ResolveDecision,
    VoidInput,
)
from recompense.domain.ids import IdPrefix, new_id
from tests.live.conftest import HASTY
from tests.support.books import assert_books_agree
from tests.support.census import SOAK, count
from tests.support.platform import Platform, authorize_input, running_platform
from tests.support.sandbox import running_sandbox
from tests.support.scenes import (
    captured,
    eventually,
    on,
    operation,
    payout_input,
    reset,
    reset_points,
    review,
    state_is,
)
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.payout import Payout
from workflows.refund import RefundPayment
from workflows.void import VoidAuthorization

SIDE_BY_SIDE = 6
PATIENCE_SECONDS = 90
"""For a run that will end, on however busy a machine."""
ASKING_SECONDS = 15
"""For one that may be waiting for a person instead."""
NEVER = "never"
FAILED = "failed"
REFUSED = "Temporal does not reset to this event"

_BREAKER = {"failure_threshold": 10_000}
SOON_GIVEN_UP = {**HASTY, "breaker": _BREAKER}
"""Many sagas side by side meet the same fault: none of them may stop the others."""
NEVER_GIVEN_UP = {
    "breaker": _BREAKER,
    "calls": {
        "*": {
            "read_timeout_seconds": 20,
            "start_to_close_seconds": 30,
            "schedule_to_close_seconds": 120,
        }
    },
}
"""A busy machine is no fault."""

Run = Callable[[Platform], Awaitable[Any]]
"""Runs a new saga of one lifecycle to its end, and gives its input."""


@pytest.fixture
async def platform(
    request: pytest.FixtureRequest, temporal_address: str, database_url: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    lifecycle: Lifecycle = request.node.callspec.params["lifecycle"]
    policies = SOON_GIVEN_UP if lifecycle.faulty else NEVER_GIVEN_UP
    with running_sandbox(
        tmp_path / "sandbox.sqlite3", webhook_url="http://127.0.0.1:9/", pending_delay_ms=300
    ) as sandbox:
        async with running_platform(
            temporal_address, database_url, sandbox, policy_overrides=policies
        ) as running:
            yield running


async def authorized(platform: Platform) -> Any:
    saga = authorize_input()
    await platform.decide(AuthorizePayment, saga)
    return saga


async def authenticated(platform: Platform) -> Any:
    saga = authorize_input(token="tok_3ds")
    decided = await platform.decide(AuthorizePayment, saga)
    url = decided.resource.next_action.url
    platform.sandbox.http.post(url, json={"result": "succeed"}).raise_for_status()
    return saga


async def declined(platform: Platform) -> Any:
    saga = authorize_input(token="tok_declined")
    await platform.decide(AuthorizePayment, saga)
    return saga


async def captured_in_part(platform: Platform) -> Any:
    payment = await authorized(platform)
    saga = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), amount=4_000, **on(payment))
    await platform.decide(CapturePayment, saga)
    return saga


async def captured_finally(platform: Platform) -> Any:
    payment = await authorized(platform)
    saga = CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE), amount=4_000, final=True, **on(payment)
    )
    await platform.decide(CapturePayment, saga)
    return saga


async def voided(platform: Platform) -> Any:
    saga = VoidInput(number=1, **on(await authorized(platform)))
    await platform.decide(VoidAuthorization, saga)
    return saga


async def refunded(platform: Platform) -> Any:
    saga = RefundInput(
        refund_id=new_id(IdPrefix.REFUND), amount=3_000, **on(await captured(platform))
    )
    await platform.decide(RefundPayment, saga)
    return saga


async def paid_out(platform: Platform) -> Any:
    await captured(platform)
    saga = payout_input(amount=400)
    await platform.decide(Payout, saga)
    return saga


async def approved_and_paid_out(platform: Platform) -> Any:
    await captured(platform)
    saga = payout_input(amount=1_000)
    await platform.decide(Payout, saga)
    await approve(platform, saga)
    return saga


async def approve(platform: Platform, saga: Any) -> None:
    word = PayoutReview(decision=PayoutReviewDecision.APPROVE, actor="chief")
    await review(platform, saga, word)


async def resolved(platform: Platform) -> Any:
    saga = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=saga.payment_id)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, saga))
    await eventually(lambda: state_is(platform, saga, "parked"), 90)
    await say_it_succeeded(platform, saga)
    await asked
    return saga


async def say_it_succeeded(platform: Platform, saga: Any) -> None:
    said = Resolution(
        decision=ResolveDecision.SUCCEEDED, actor="ops", reason="seen", provider_reference="by_hand"
    )
    await platform.handle(saga).execute_update("resolve", said)


async def compensated(platform: Platform) -> Any:
    """A capture that stays unavailable: the authorization before it is voided."""
    saga = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=saga.payment_id)
    await platform.decide(AuthorizePayment, saga)
    return saga


async def compensated_capture(platform: Platform) -> Any:
    saga = CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE), amount=4_000, **on(await authorized(platform))
    )
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=saga.capture_id)
    await platform.decide(CapturePayment, saga)
    return saga


@dataclass(frozen=True)
class Lifecycle:
    """How a saga comes to its end, and which ends a reset may bring, each with its attempt.

    `again` is what a person does who is asked again: a reset behind the question that leaves the
    person's update out has dropped the answer.
    """

    run: Run
    ends: frozenset[tuple[str, int]]
    again: Callable[[Platform, Any], Awaitable[None]] | None = None
    faulty: bool = False


LIFECYCLES = [
    # The slowest first, so that the others run beside it.
    Lifecycle(resolved, frozenset({("authorized", 1)}), say_it_succeeded, faulty=True),
    Lifecycle(authorized, frozenset({("authorized", 1)})),
    Lifecycle(captured, frozenset({("captured", 1)})),
    Lifecycle(authenticated, frozenset({("authorized", 1)})),
    Lifecycle(declined, frozenset({("declined", 1)})),
    Lifecycle(captured_in_part, frozenset({("captured", 1)})),
    Lifecycle(captured_finally, frozenset({("captured", 1)})),
    Lifecycle(voided, frozenset({("voided", 1)})),
    Lifecycle(refunded, frozenset({("refunded", 1)})),
    Lifecycle(paid_out, frozenset({("paid", 1)})),
    Lifecycle(approved_and_paid_out, frozenset({("paid", 1)}), approve),
    # A new run pays afresh, once. One that kept the undo finds its attempt closed, and fails again.
    Lifecycle(compensated, frozenset({("captured", 2), (FAILED, 1)}), faulty=True),
    Lifecycle(compensated_capture, frozenset({("captured", 2)}), faulty=True),
]


SMOKE = [one for one in LIFECYCLES if one.run in (captured, voided, refunded, paid_out, declined)]
"""The quick ones that differ most; `make soak` runs all."""


@dataclass(frozen=True)
class Ended:
    """A saga that has run to its end, and one reset that it is to bear."""

    saga: Any
    run_id: str
    event_id: int
    kind: str
    reapply: bool

    @property
    def name(self) -> str:
        """Which reset this is."""
        applied = "again" if self.reapply else "excluded"
        return f"event {self.event_id} ({self.kind}), updates {applied}"


@pytest.mark.parametrize(
    "lifecycle", LIFECYCLES if SOAK else SMOKE, ids=lambda one: str(one.run.__name__)
)
async def test_reset_at_any_event_makes_no_second_effect(
    platform: Platform, lifecycle: Lifecycle
) -> None:
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_build_object('approval_above', 500)"
    )
    cases = await _cases(platform, lifecycle)
    platform.sandbox.clear_faults()
    told = await _side_by_side([partial(_ended_after, platform, lifecycle, one) for one in cases])
    done = [(case, *end) for case, end in zip(cases, told, strict=True) if end[0] != REFUSED]
    assert len({case.event_id for case, *_ in done}) >= 4
    wrong = [
        (case.name, end, attempt)
        for case, end, attempt in done
        if not any(end.startswith(ok) and attempt == number for ok, number in lifecycle.ends)
    ]
    assert wrong == []
    keys = Counter(effect["effect_key"] for effect in platform.sandbox.effects())
    assert [key for key, made in keys.items() if made > 1] == []
    await assert_books_agree(platform)
    count("effects counted", "live resets", len(keys))
    for case, *_ in done:
        count("cases by reset point", f"{lifecycle.run.__name__}: {case.kind}")


async def _cases(platform: Platform, lifecycle: Lifecycle) -> list[Ended]:
    """A saga that has ended for each event of its history and each way to reset to it."""
    _, points = await reset_points(platform, await _to_its_end(platform, lifecycle.run))
    wanted = [(number, reapply) for number in range(len(points)) for reapply in (True, False)]

    async def one(number: int, *, reapply: bool) -> Ended:
        saga = await _to_its_end(platform, lifecycle.run)
        run_id, own = await reset_points(platform, saga)
        event_id, kind = own[min(number, len(own) - 1)]
        return Ended(saga, run_id, event_id, kind, reapply)

    return await _side_by_side([partial(one, number, reapply=again) for number, again in wanted])


async def _to_its_end(platform: Platform, run: Run) -> Any:
    saga = await run(platform)
    with suppress(WorkflowFailureError):
        await platform.handle(saga).result()
    return saga


async def _ended_after(platform: Platform, lifecycle: Lifecycle, case: Ended) -> tuple[str, int]:
    """How the saga ended after its reset, and in which attempt."""
    try:
        await reset(platform, case.saga, case.run_id, case.event_id, reapply=case.reapply)
    except RPCError as refused:
        # A task that only brought an update is written as one batch: its start is no boundary.
        if case.kind != "started" or "must be at the boundary" not in refused.message:
            raise
        return REFUSED, 0
    may_ask = lifecycle.again is not None and not case.reapply
    ended = await _end_of(platform, case, ASKING_SECONDS if may_ask else PATIENCE_SECONDS)
    if ended == NEVER and lifecycle.again is not None:
        await lifecycle.again(platform, case.saga)
        ended = await _end_of(platform, case, PATIENCE_SECONDS)
    row = await operation(platform, case.saga)
    shown = "failed" if ended.startswith(FAILED) else "done"
    assert row["saga_state"] == shown, case.name
    return ended, row["attempt"]


async def _end_of(platform: Platform, case: Ended, seconds: float) -> str:
    """What the new run ended with."""
    try:
        result = await asyncio.wait_for(platform.handle(case.saga).result(), seconds)
    except WorkflowFailureError as failed:
        return f"{FAILED}: {failed.cause}"
    except TimeoutError:
        return NEVER
    return str(result["ended"])


async def _side_by_side(work: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
    limit = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(start: Callable[[], Awaitable[Any]]) -> Any:
        async with limit:
            return await start()

    return list(await asyncio.gather(*(one(start) for start in work)))
