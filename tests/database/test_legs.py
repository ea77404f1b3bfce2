"""When a step moves on to the next provider, and when it does not: the real activities on
PostgreSQL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.authorization import AuthorizationActivities
from activities.breakers import Breakers
from activities.calls import note_call
from activities.effects import ProviderActivities
from activities.toolbox import Toolbox
from adapters.registration import Provider
from adapters.registry import Providers
from adapters.sandbox.policy import CAPABILITIES, POLICIES
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizeCall,
    CallRecord,
    Declined,
    Found,
    Outcome,
    ProviderOperation,
    ProviderPort,
)
from recompense.contracts.sagas import AuthorizeInput
from recompense.contracts.steps import (
    AnswerSource,
    EffectAnswer,
    EffectPlan,
    Recorded,
    RecordEffect,
)
from recompense.contracts.views import PaymentView
from recompense.domain.failures import ProviderUnavailable
from recompense.domain.terms import RoutingTerms
from recompense.persistence.database import Database
from recompense.persistence.saga_tables import JournalRow
from recompense.persistence.tables import Merchant
from tests.support.platform import MERCHANT, authorize_input

ELSEWHERE = Declined(code="card_declined", message="No.", retryable_elsewhere=True)
FINAL = Declined(code="card_declined", message="No.")


@dataclass
class Unavailable:
    """A provider whose try makes these calls, and then says that it was not made."""

    calls: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        self.asked.append(call.effect_key)
        for outcome in self.calls:
            note_call(_record(call, outcome))
        raise ProviderUnavailable("not sent")

    async def lookup(self, **asked: Any) -> Found:
        return Found(answer=Absent())


def _record(call: AuthorizeCall, outcome: str) -> CallRecord:
    return CallRecord(
        provider="first",
        operation=ProviderOperation.AUTHORIZE,
        effect_key=call.effect_key,
        at=datetime.now(UTC),
        status=None,
        duration_ms=1,
        outcome=outcome,
    )


@dataclass
class Desk:
    """The activities of a platform with two providers, and its rows."""

    tools: Toolbox
    port: Unavailable

    async def run(self, activity: Any, argument: Any, *, run: str = "run-1", tries: int = 1) -> Any:
        env = ActivityEnvironment()
        env.info = dataclasses.replace(env.info, workflow_run_id=run, attempt=tries)
        return await env.run(activity, argument)

    async def admitted(self, admit: AuthorizeInput, *, run: str = "run-1") -> EffectPlan:
        activities = AuthorizationActivities(self.tools)
        effect = (await self.run(activities.admit, admit, run=run)).effect
        assert isinstance(effect, EffectPlan)
        return effect

    async def recorded(
        self, plan: EffectPlan, answer: EffectAnswer, *, stays: bool = False
    ) -> Recorded[PaymentView]:
        record = RecordEffect(
            saga=plan.saga,
            attempt=plan.attempt,
            step=plan.step,
            leg=plan.leg,
            answer=answer,
            stays=stays,
        )
        activities = AuthorizationActivities(self.tools)
        return cast(Recorded[PaymentView], await self.run(activities.record, record))

    async def row(self, plan: EffectPlan) -> JournalRow:
        async with self.tools.store.work() as work:
            key = (plan.saga.saga_id, plan.step, plan.attempt, plan.leg)
            row = await work.get(JournalRow, key)
            assert row is not None
            return row


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    database, port = Database(database_url), Unavailable()
    served = [
        Provider(name, CAPABILITIES, POLICIES, cast(ProviderPort, port))
        for name in ("first", "second", "third")
    ]
    async with database.transaction() as session:
        session.add(Merchant(id=MERCHANT, name="Demo", country="DE", created_by="test"))
    terms = RoutingTerms(prefer=("first", "second"))
    yield Desk(
        Toolbox(database, Providers(served), Breakers(database), "third", routing=terms), port
    )
    await database.close()


async def test_route_is_decided_once_and_kept(desk: Desk) -> None:
    payment = authorize_input()
    plan = await desk.admitted(payment)
    assert (plan.provider, plan.elsewhere) == ("first", ("second",))
    other = dataclasses.replace(desk.tools, routing=RoutingTerms(prefer=("third",)))
    again = await Desk(other, desk.port).admitted(payment, run="run-2")
    assert (again.provider, again.elsewhere) == ("first", ("second",))
    assert again.right is None


@pytest.mark.parametrize("calls", [(), ("ProviderUnavailable",)])
async def test_first_try_that_was_not_sent_is_closed_and_asks_elsewhere(
    desk: Desk, calls: tuple[str, ...]
) -> None:
    plan = await desk.admitted(authorize_input())
    desk.port.calls = calls
    provider = ProviderActivities(desk.tools)
    answer = await desk.run(provider.authorize, plan)
    assert answer.outcome == Absent()
    row = await desk.row(plan)
    assert (row.outcome_kind, row.outcome_source, row.final) == ("absent", "answer", True)
    # No copy can send it any more.
    assert (await desk.run(provider.authorize, plan, run="copy")).outcome == Absent()
    assert len(desk.port.asked) == 1


@pytest.mark.parametrize(
    "calls",
    [
        ("OutcomeUnknown", "ProviderUnavailable"),
        ("AlreadyDone", "ProviderUnavailable"),
        ("pending",),
    ],
)
async def test_try_of_which_a_call_was_sent_is_not_closed(
    desk: Desk, calls: tuple[str, ...]
) -> None:
    plan = await desk.admitted(authorize_input())
    desk.port.calls = calls
    with pytest.raises(ApplicationError):
        await desk.run(ProviderActivities(desk.tools).authorize, plan)
    assert (await desk.row(plan)).outcome_kind is None


async def test_later_try_speaks_for_itself_alone(desk: Desk) -> None:
    plan = await desk.admitted(authorize_input())
    provider = ProviderActivities(desk.tools)
    with pytest.raises(ApplicationError):
        await desk.run(provider.authorize, plan, tries=2)
    assert (await desk.row(plan)).outcome_kind is None


async def test_named_provider_is_never_left(desk: Desk) -> None:
    plan = await desk.admitted(authorize_input(provider="first"))
    with pytest.raises(ApplicationError):
        await desk.run(ProviderActivities(desk.tools).authorize, plan)
    recorded = await desk.recorded(plan, EffectAnswer(outcome=Absent()))
    assert recorded.next_effect is None


@pytest.mark.parametrize("outcome", [Absent(), ELSEWHERE])
async def test_next_leg_has_its_own_key_and_moves_the_hold_once(
    desk: Desk, outcome: Absent | Declined
) -> None:
    payment = authorize_input()
    plan = await desk.admitted(payment)
    first = await desk.recorded(plan, EffectAnswer(outcome=outcome))
    again = await desk.recorded(plan, EffectAnswer(outcome=outcome))
    for recorded in (first, again):
        leg = recorded.next_effect
        assert leg is not None
        assert (leg.provider, leg.leg, leg.elsewhere) == ("second", 2, ())
        assert leg.call.effect_key == f"{payment.payment_id}:authorize.2:1"
        assert recorded.resource is not None
        assert (recorded.resource.provider, recorded.resource.status) == ("second", "processing")
    leg = first.next_effect
    assert leg is not None
    done = await desk.recorded(leg, EffectAnswer(outcome=Approved(reference="au_2")))
    assert done.resource is not None
    assert (done.resource.status, done.resource.amount_authorized) == ("authorized", payment.amount)
    reset = await desk.admitted(payment, run="run-2")
    assert (reset.provider, reset.leg) == ("second", 2)


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        (EffectAnswer(outcome=FINAL), False),
        (EffectAnswer(outcome=Absent(), source=AnswerSource.PERSON), False),
        (EffectAnswer(outcome=Absent()), True),
        (EffectAnswer(outcome=ELSEWHERE), True),
    ],
)
async def test_final_decline_a_persons_word_and_a_cancel_stay_where_they_are(
    desk: Desk, answer: EffectAnswer, stays: bool
) -> None:
    plan = await desk.admitted(authorize_input())
    recorded = await desk.recorded(plan, answer, stays=stays)
    assert recorded.next_effect is None


async def test_last_leg_has_nowhere_to_go(desk: Desk) -> None:
    plan = await desk.admitted(authorize_input())
    leg = (await desk.recorded(plan, EffectAnswer(outcome=Absent()))).next_effect
    assert leg is not None
    recorded = await desk.recorded(leg, EffectAnswer(outcome=ELSEWHERE))
    assert recorded.next_effect is None
    assert recorded.resource is not None
    assert recorded.resource.status == "declined"
