"""The provider activities: one call, made by one sender at a time, or the answer that somebody
already has.

The path without faults is a single HTTP call: the run holds the send right that `admit` granted in
its own transaction. Any
later try (another activity try, another run) reads the journal, waits until the old right has run
out, looks the effect
up at the provider, and takes the right by compare-and-set before it sends.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import collecting, told
from activities.boundary import failed_try, try_again
from activities.calls import call_port, recorded_calls
from activities.toolbox import Toolbox, current_run
from recompense.contracts.policies import CallPolicy
from recompense.contracts.port_extras import ReadsEvents, innermost
from recompense.contracts.provider import (
    Absent,
    AnyMoneyCall,
    CallRecord,
    CancelPayoutCall,
    CreatePayoutCall,
    Found,
    Outcome,
    ProviderOperation,
    ProviderPort,
    Unknown,
)
from recompense.contracts.sagas import Verdict
from recompense.contracts.steps import AnswerSource, EffectAnswer, EffectPlan
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAnswerMismatch,
    ProviderUnavailable,
)
from recompense.persistence import journal
from recompense.persistence.operations import stand
from recompense.persistence.saga_tables import JournalRow

FIRST_TRY = 1
"""The number of the try whose right `admit` or the record of the step before has granted."""

NO_TRY = 0
"""The number of no try: it holds no right that could be laid down."""


@dataclass(frozen=True)
class _Ledge:
    """What a later try found in the journal: the row as it was read, and how long its right may
    still be used.
    """

    row: JournalRow
    now: datetime
    right_ends_in: float

    def is_absent_final(self, plan: EffectPlan) -> bool:
        """Whether a look-up that finds nothing, made from now on, proves that nothing happened."""
        return self.right_ends_in + plan.terms.absent_is_final_after_seconds <= 0

    def may_send_again(self, plan: EffectPlan) -> bool:
        """Whether the provider still knows the effect key, counted from the first send."""
        first = self.row.first_sent_at
        window = timedelta(seconds=plan.terms.idempotency_window_seconds)
        return first is None or self.now < first + window


class ProviderActivities:
    """Calls to providers."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="provider.authorize")
    async def authorize(self, plan: EffectPlan) -> EffectAnswer:
        """Authorize at the provider."""
        return await self._perform(plan)

    @activity.defn(name="provider.capture")
    async def capture(self, plan: EffectPlan) -> EffectAnswer:
        """Capture at the provider."""
        return await self._perform(plan)

    @activity.defn(name="provider.void")
    async def void(self, plan: EffectPlan) -> EffectAnswer:
        """Void at the provider; the compensation of `authorize`."""
        return await self._perform(plan)

    @activity.defn(name="provider.refund")
    async def refund(self, plan: EffectPlan) -> EffectAnswer:
        """Refund at the provider."""
        return await self._perform(plan)

    @activity.defn(name="provider.create_payout")
    async def create_payout(self, plan: EffectPlan) -> EffectAnswer:
        """Send a payout at the provider."""
        return await self._perform(plan)

    @activity.defn(name="provider.cancel_payout")
    async def cancel_payout(self, plan: EffectPlan) -> EffectAnswer:
        """Take a payout back at the provider; the compensation of `create_payout` where it can."""
        return await self._perform(plan)

    @activity.defn(name="provider.lookup")
    async def lookup(self, plan: EffectPlan) -> EffectAnswer:
        """Find out what became of one effect. Moves nothing.

        `Absent` is answered only once it is final, and then no copy can send the effect any more.
        Raises `OutcomeUnknown`
        while nobody can say.
        """
        with recorded_calls() as calls:
            ledge = await self._read(plan)
            if isinstance(ledge, EffectAnswer):
                return ledge
            answer = await self._look_up_noting(plan, plan.lookup, calls)
            if not isinstance(answer.outcome, Absent):
                return answer.model_copy(update={"calls": tuple(calls)})
            if not plan.absence_counts:
                raise ProviderAnswerMismatch(
                    "The provider spoke of it otherwise, and shows nothing."
                )
            if not ledge.is_absent_final(plan):
                raise _not_told_yet(plan, ledge)
            async with self._tools.store.work() as work:
                concluded = await journal.conclude_absent(work, ledge.row, calls)
            if not concluded:
                raise try_again(OutcomeUnknown("Another try of this effect is under way."), 0.5)
            return answer

    @activity.defn(name="provider.pull")
    async def pull(self, plan: EffectPlan) -> EffectAnswer:
        """Ask the provider for the present state of an effect, whatever the journal knows.

        Raises `OutcomeUnknown` while the provider shows nothing: an event about it came early. Of
        one that was acknowledged, and tells its end by webhook, what the journal knows is answered.
        """
        answer = await self._look_up(plan, plan.lookup)
        if isinstance(answer.outcome, Absent):
            known = await self._acknowledged(plan)
            if known is not None:
                return known
            raise failed_try(OutcomeUnknown("The provider shows nothing of it yet."), plan.lookup)
        return answer

    async def _perform(self, plan: EffectPlan) -> EffectAnswer:
        with recorded_calls() as calls:
            send_by = self._own_right(plan)
            right_try = FIRST_TRY
            if send_by is None:
                taken = await self._take_over(plan, calls)
                if isinstance(taken, EffectAnswer):
                    return taken
                send_by, right_try = taken
            return await self._send(plan, send_by, right_try, calls)

    def _own_right(self, plan: EffectPlan) -> datetime | None:
        info = activity.info()
        right = plan.right
        if right is None or right.run_id != info.workflow_run_id or info.attempt != 1:
            return None
        return right.send_by if self._tools.now() < right.send_by else None

    async def _send(
        self, plan: EffectPlan, send_by: datetime, right_try: int, calls: list[CallRecord]
    ) -> EffectAnswer:
        call: AnyMoneyCall = plan.call.model_copy(update={"send_by": send_by})
        try:
            async with self._guard(plan, call.operation):
                outcome = await self._call(plan, call)
        except (ProviderUnavailable, OutcomeUnknown) as failure:
            if isinstance(failure, ProviderUnavailable) and await self._goes_elsewhere(
                plan, right_try, calls
            ):
                return EffectAnswer(outcome=Absent())
            await self._lay_down(plan, right_try, calls)
            raise failed_try(failure, plan.policy) from None
        if isinstance(outcome, Unknown):
            await self._lay_down(plan, right_try, calls)
            raise failed_try(OutcomeUnknown(outcome.why), plan.policy)
        return EffectAnswer(outcome=outcome, calls=tuple(calls))

    async def _goes_elsewhere(
        self, plan: EffectPlan, right_try: int, calls: list[CallRecord]
    ) -> bool:
        """Close an effect that another provider may make, when its very first try was not sent.

        That try held the first right, so nobody can have sent it before; and closed by
        compare-and-set, nobody can send it after. A later try speaks for itself alone, and only a
        look-up speaks for the series. A try of several calls was not sent when none of them was.
        """
        unsent = all(call.outcome == ProviderUnavailable.__name__ for call in calls)
        if not plan.elsewhere or right_try != FIRST_TRY or not unsent:
            return False
        async with self._tools.store.work() as work:
            row = await journal.require(work, journal.position(plan))
            if row.right_run_id != current_run().run_id or row.right_try != FIRST_TRY:
                return False
            return await journal.conclude_absent(work, row, calls, AnswerSource.ANSWER)

    async def _take_over(
        self, plan: EffectPlan, calls: list[CallRecord]
    ) -> EffectAnswer | tuple[datetime, int]:
        ledge = await self._read(plan, sends=not _undoes(plan))
        if isinstance(ledge, EffectAnswer):
            return ledge
        if ledge.right_ends_in > 0:
            raise try_again(
                OutcomeUnknown("Another try may still be sending it."), ledge.right_ends_in + 0.05
            )
        if ledge.row.first_sent_at is not None:
            answer = await self._look_up_noting(plan, plan.policy, calls)
            if not isinstance(answer.outcome, Absent):
                return answer.model_copy(update={"calls": tuple(calls)})
        if not ledge.may_send_again(plan):
            raise try_again(OutcomeUnknown("The provider's idempotency window has passed."), None)
        right_try = ledge.row.right_try + 1
        async with self._tools.store.work() as work:
            send_by = await journal.take_right(
                work,
                ledge.row,
                current_run().run_id,
                right_try,
                plan.terms.send_right_seconds,
            )
        if send_by is None:
            raise try_again(OutcomeUnknown("Another try of this effect is under way."), 0.5)
        return send_by, right_try

    async def _read(self, plan: EffectPlan, *, sends: bool = False) -> EffectAnswer | _Ledge:
        """Read the journal.

        A run that is about to send a forward step registers first, and does not send for an attempt
        that is being taken back or is closed. Looking up and undoing are not the operation's runs
        alone.
        """
        async with self._tools.store.work() as work:
            verdict = Verdict.PROCEED
            if sends:
                run = current_run()
                verdict = (await stand(work, plan.saga, run, step_attempt=plan.attempt)).verdict
            row = await journal.require(work, journal.position(plan))
            known = journal.known_answer(row)
            if known is not None and row.final:
                return known
            if verdict is not Verdict.PROCEED:
                return EffectAnswer(outcome=Absent(), verdict=verdict)
            now = await work.now()
            ends = row.sendable_until
            skew = plan.terms.clock_skew_seconds
            right_ends_in = (ends - now).total_seconds() + skew if ends else 0.0
            return _Ledge(row, now, right_ends_in)

    async def _look_up_noting(
        self, plan: EffectPlan, policy: CallPolicy, calls: list[CallRecord]
    ) -> EffectAnswer:
        """Look up, and note a look-up without an answer in the journal, for whoever is asked."""
        try:
            answer = await self._look_up(plan, policy)
        except ApplicationError:
            await self._lay_down(plan, NO_TRY, calls)
            raise
        known = await self._acknowledged(plan) if isinstance(answer.outcome, Absent) else None
        if known is None:
            return answer
        return known.model_copy(update={"source": AnswerSource.LOOKUP})

    async def _acknowledged(self, plan: EffectPlan) -> EffectAnswer | None:
        """What still holds of an effect whose provider tells by webhook, and has not told yet."""
        if not isinstance(innermost(self._port(plan)), ReadsEvents) or self._collects(plan):
            return None
        return await told.acknowledged(self._tools, plan)

    async def _look_up(self, plan: EffectPlan, policy: CallPolicy) -> EffectAnswer:
        try:
            found = await self._found(plan)
        except (ProviderUnavailable, OutcomeUnknown) as failure:
            # A look-up that got no answer says nothing about the effect.
            unknown = (
                failure if isinstance(failure, OutcomeUnknown) else OutcomeUnknown(str(failure))
            )
            raise failed_try(unknown, policy) from None
        if isinstance(found.answer, Unknown):
            raise failed_try(OutcomeUnknown(found.answer.why), policy)
        return EffectAnswer(
            outcome=found.answer,
            source=AnswerSource.LOOKUP,
            payout_state=found.payout_state,
            authorization_state=found.authorization_state,
        )

    async def _call(self, plan: EffectPlan, call: AnyMoneyCall) -> Outcome:
        if self._collects(plan) and isinstance(call, CreatePayoutCall):
            return await collecting.create(self._tools, plan, call)
        if self._collects(plan) and isinstance(call, CancelPayoutCall):
            return await collecting.cancel(self._tools, plan, call)
        return await call_port(self._port(plan), call)

    async def _found(self, plan: EffectPlan) -> Found:
        if self._collects(plan):
            return await collecting.look_up(self._tools, plan)
        port = self._port(plan)
        answers = innermost(port)
        if isinstance(answers, ReadsEvents):
            return await told.look_up(self._tools, answers, plan)
        async with self._guard(plan, ProviderOperation.LOOKUP):
            return await port.lookup(
                operation=plan.call.operation,
                operation_id=plan.call.operation_id,
                effect_key=plan.call.effect_key,
                step=plan.step,
                amount=plan.call.amount,
                currency=plan.call.currency,
            )

    async def _lay_down(self, plan: EffectPlan, right_try: int, calls: list[CallRecord]) -> None:
        async with self._tools.store.work() as work:
            await journal.lay_right_down(
                work, journal.position(plan), current_run().run_id, right_try, calls
            )

    def _guard(
        self, plan: EffectPlan, operation: ProviderOperation
    ) -> AbstractAsyncContextManager[None]:
        policy = self._tools.providers.policies(plan.provider).breaker
        return self._tools.breakers.guard(plan.provider, operation, policy)

    def _collects(self, plan: EffectPlan) -> bool:
        return self._tools.providers.capabilities(plan.provider).batch_payouts

    def _port(self, plan: EffectPlan) -> ProviderPort:
        return self._tools.providers.port(plan.provider)


def _undoes(plan: EffectPlan) -> bool:
    return plan.step.endswith((".undo", ".orphan"))


def _not_told_yet(plan: EffectPlan, ledge: _Ledge) -> ApplicationError:
    """Come back once absence is final; where that is beyond this series, ask again meanwhile."""
    unknown = OutcomeUnknown("The provider knows nothing of it yet.")
    wait = ledge.right_ends_in + plan.terms.absent_is_final_after_seconds
    if wait > plan.lookup.schedule_to_close_seconds:
        return failed_try(unknown, plan.lookup)
    return try_again(unknown, wait + 0.05)
