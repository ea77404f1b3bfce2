"""How the plan of an effect is made: the provider's policies, the effect key, and the first send
right.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from activities.routing import Route
from activities.toolbox import Toolbox
from recompense.contracts.provider import AnyMoneyCall, ProviderOperation
from recompense.contracts.sagas import SagaKind, SagaRef
from recompense.contracts.steps import EffectPlan, EffectTerms, SendRight
from recompense.persistence import journal
from recompense.persistence.operations import Run
from recompense.persistence.saga_tables import JournalRow, Operation


def grant(tools: Toolbox, provider: str, run: Run, now: datetime) -> SendRight:
    """Grant a run the first send right, from `now` by the database's clock."""
    seconds = tools.providers.policies(provider).send_right_seconds
    return SendRight(run_id=run.run_id, granted_at=now, send_by=now + timedelta(seconds=seconds))


def plan(
    tools: Toolbox,
    saga: SagaRef,
    step: str,
    attempt: int,
    provider: str,
    call: AnyMoneyCall,
    right: SendRight | None,
    *,
    leg: int = 1,
) -> EffectPlan:
    """Make the plan of one effect with the policies that are in force now."""
    policies = tools.providers.policies(provider)
    return EffectPlan(
        saga=saga,
        step=step,
        attempt=attempt,
        leg=leg,
        provider=provider,
        call=call,
        right=right,
        policy=policies.calls[call.operation],
        lookup=policies.calls[ProviderOperation.LOOKUP],
        pending=policies.pending[call.operation],
        terms=EffectTerms(
            send_right_seconds=policies.send_right_seconds,
            clock_skew_seconds=policies.clock_skew_seconds,
            absent_is_final_after_seconds=policies.absent_is_final_after_seconds,
            idempotency_window_seconds=policies.idempotency_window_seconds,
        ),
    )


def elsewhere(route: Route, leg: int) -> Route:
    """The providers that may still take over from this leg, counted from 1."""
    return route[leg:]


def saga_of(operation: Operation) -> SagaRef:
    """Name the operation of a row."""
    return SagaRef(
        saga_id=operation.saga_id,
        kind=SagaKind(operation.kind),
        operation_id=operation.operation_id,
        merchant_id=operation.merchant_id,
        payment_id=operation.payment_id,
    )


def plan_of_row(tools: Toolbox, saga: SagaRef, row: JournalRow, run: Run | None) -> EffectPlan:
    """The plan of a journaled effect, for a run that asks again.

    The first send right is handed out again only to the run that holds it: its grant may have
    committed and its answer been
    lost, and then nothing was scheduled yet. Any other run has to look up first.
    """
    holds = (
        run is not None
        and row.right_run_id == run.run_id
        and row.right_try == 1
        and row.outcome_kind is None
        and row.first_sent_at is not None
        and row.sendable_until is not None
    )
    right = (
        SendRight(run_id=run.run_id, granted_at=row.first_sent_at, send_by=row.sendable_until)
        if holds and run and row.first_sent_at and row.sendable_until
        else None
    )
    return plan(
        tools,
        saga,
        row.step,
        row.attempt,
        row.provider,
        journal.call_of(row),
        right,
        leg=row.leg,
    )
