"""What a payer brought back, handed to the provider: a call that may authorize, so it is made only
while the saga still waits for the payer.

The stored event is its intent. The effect's row lends it a send right, and a key derived from the
effect's makes every try of it the same call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from temporalio import activity

from activities.boundary import failed_try, try_again
from activities.calls import recorded_calls
from activities.toolbox import Toolbox, current_run
from recompense.contracts.payer_actions import CompleteCall, parameters_in
from recompense.contracts.port_extras import CompletesActions, innermost
from recompense.contracts.provider import (
    CallRecord,
    Outcome,
    Unknown,
)
from recompense.contracts.steps import (
    ActionCompleted,
    CompleteAction,
    EffectAnswer,
    EffectPlan,
)
from recompense.domain.effects import AttemptState, further_key
from recompense.domain.failures import InvariantBroken, OutcomeUnknown, ProviderUnavailable
from recompense.persistence import journal
from recompense.persistence.operations import locked
from recompense.persistence.saga_tables import (
    JournalRow,
    Operation,
    ProviderEventRow,
)

_NOBODY_WAITS = ActionCompleted(detail="nobody waits for the payer any more")
_NOT_TAKEN = ActionCompleted(detail="the provider took none of it")


@dataclass(frozen=True)
class _Leave:
    """Leave to make the call once, under a send right of this try's own."""

    call: CompleteCall
    right_try: int


class CompletionActivities:
    """The call that hands a payer's word over."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="provider.complete_action")
    async def complete(self, complete: CompleteAction) -> ActionCompleted:
        """Hand over what the payer brought back, if the saga of the present attempt still waits.

        Raises `OutcomeUnknown` or `ProviderUnavailable` as a try of the authorization would: the
        next try makes the same call, and a notification may tell meanwhile.
        """
        plan = complete.effect
        with recorded_calls() as calls:
            leave = await self._leave(complete)
            if leave is None:
                return _NOBODY_WAITS
            try:
                outcome = await self._call(plan, leave.call)
            except (ProviderUnavailable, OutcomeUnknown) as failure:
                await self._lay_down(plan, leave, calls)
                raise failed_try(failure, plan.policy) from None
            await self._lay_down(plan, leave, calls)
        if outcome is None:
            await self._ignore(complete, _NOT_TAKEN.detail)
            return _NOT_TAKEN
        if isinstance(outcome, Unknown):
            raise failed_try(OutcomeUnknown(outcome.why), plan.policy)
        return ActionCompleted(answer=EffectAnswer(outcome=outcome))

    async def _leave(self, complete: CompleteAction) -> _Leave | None:
        """Decide under the operation's lock. None: nobody waits, and nothing is sent."""
        plan, run_id = complete.effect, current_run().run_id
        async with self._tools.store.work() as work:
            operation = await locked(work, plan.saga.saga_id)
            row = await journal.require(work, journal.position(plan))
            if not _waits(operation, row):
                await work.mark_event(
                    plan.provider, complete.event_id, "ignored", _NOBODY_WAITS.detail
                )
                return None
            left = await journal.further_call_ends_in(work, row)
            if left > 0:
                after = left + plan.terms.clock_skew_seconds
                raise try_again(OutcomeUnknown("Another call may be under way."), after)
            stored = await work.get(ProviderEventRow, (plan.provider, complete.event_id))
            if stored is None:
                raise InvariantBroken(f"{complete.event_id} was never stored")
            send_by = await journal.take_further_right(
                work, row, run_id, plan.terms.send_right_seconds
            )
            return _Leave(_call_of(plan, stored, send_by), row.right_try)

    async def _call(self, plan: EffectPlan, call: CompleteCall) -> Outcome | None:
        port = innermost(self._tools.providers.port(plan.provider))
        if not isinstance(port, CompletesActions):
            raise InvariantBroken(f"{plan.provider} is not handed what a payer brings back")
        policy = self._tools.providers.policies(plan.provider).breaker
        async with self._tools.breakers.guard(plan.provider, call.operation, policy):
            return await port.complete_action(call)

    async def _lay_down(self, plan: EffectPlan, leave: _Leave, calls: list[CallRecord]) -> None:
        async with self._tools.store.work() as work:
            await journal.lay_right_down(
                work, journal.position(plan), current_run().run_id, leave.right_try, calls
            )

    async def _ignore(self, complete: CompleteAction, why: str) -> None:
        async with self._tools.store.work() as work:
            await work.mark_event(complete.effect.provider, complete.event_id, "ignored", why)


def _waits(operation: Operation, row: JournalRow) -> bool:
    present = operation.attempt == row.attempt and operation.attempt_state == AttemptState.OPEN
    return present and row.outcome_kind == "requires_action"


def _call_of(plan: EffectPlan, stored: ProviderEventRow, send_by: datetime) -> CompleteCall:
    call = plan.call
    return CompleteCall(
        operation_id=call.operation_id,
        effect_key=call.effect_key,
        amount=call.amount,
        currency=call.currency,
        send_by=send_by,
        idempotency_key=further_key(call.effect_key, stored.event_id),
        parameters=parameters_in(stored.payload),
    )
