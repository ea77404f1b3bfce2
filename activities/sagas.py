"""The steps that all sagas share: compensate, close, park and resolve."""

from __future__ import annotations

from temporalio import activity

from activities.boundary import try_again
from activities.collecting import take_out
from activities.orphans import undo_call, undo_step
from activities.payouts import CANCEL_STEP
from activities.plans import grant, plan, plan_of_row
from activities.standing import forget
from activities.toolbox import Toolbox, current_run
from recompense.contracts.port_extras import CompletesActions, innermost
from recompense.contracts.provider import Absent, Approved, ProviderOperation
from recompense.contracts.sagas import Resolution, ResolveDecision, SagaRef, Verdict
from recompense.contracts.steps import (
    AnswerSource,
    BeginCompensation,
    CloseAttempt,
    CompensationPlan,
    EffectAnswer,
    EffectPlan,
    ForgetOrphans,
    Park,
    Recorded,
    RecordEffect,
    Resolve,
    Resolved,
    UndoCause,
    is_undone,
)
from recompense.contracts.views import PaymentView
from recompense.domain.effects import AttemptState
from recompense.domain.failures import InvariantBroken, OutcomeUnknown
from recompense.domain.states import SagaState
from recompense.persistence import journal, outbox
from recompense.persistence.operations import (
    decision_of,
    end_attempt,
    locked,
    move_attempt,
    set_saga_state,
    stand,
)
from recompense.persistence.saga_tables import JournalRow, Operation
from recompense.persistence.work import Work

_STANDING = frozenset({"approved", "pending", "requires_action"})


class SagaActivities:
    """What every saga may have to do."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="saga.compensate")
    async def compensate(self, begin: BeginCompensation) -> CompensationPlan:
        """Move the attempt to `compensating`; journal and grant what has to be undone at the
        provider.

        Raises `InvariantBroken` when an effect of the attempt is unknown: nothing is taken back
        blind; and `OutcomeUnknown` while what its payer brought back may be on its way.
        """
        async with self._tools.store.work() as work:
            standing = await stand(work, begin.saga, current_run(), step_attempt=begin.attempt)
            operation = standing.operation
            if standing.verdict in {Verdict.START_OVER, Verdict.SUPERSEDED}:
                return CompensationPlan(verdict=standing.verdict, cause=begin.cause)
            if operation.attempt_state == AttemptState.RECORDED:
                return CompensationPlan(
                    verdict=Verdict.PROCEED, nothing_to_do=True, cause=begin.cause
                )
            cause = await self._begin(work, operation, begin)
            left = await self._further_calls_end_in(work, begin)
            if left == 0:
                undo = await self._undo(work, begin)
                return CompensationPlan(verdict=Verdict.PROCEED, cause=cause, undo=undo)
        # `compensating` is written, so no other call begins; what this one makes is undone with it.
        raise try_again(OutcomeUnknown("A call about the effect may be under way."), left)

    async def _further_calls_end_in(self, work: Work, begin: BeginCompensation) -> float:
        """How long to wait until nothing more can be sent about the attempt's effects."""
        left = 0.0
        for row in await work.forward_effects(begin.saga.saga_id, begin.attempt):
            ends_in = await journal.further_call_ends_in(work, row)
            skew = self._tools.providers.policies(row.provider).clock_skew_seconds
            left = max(left, ends_in + skew if ends_in else 0.0)
        return left

    async def _begin(self, work: Work, operation: Operation, begin: BeginCompensation) -> UndoCause:
        attempt = await decision_of(work, begin.saga, begin.attempt)
        if operation.attempt_state == AttemptState.COMPENSATING:
            return UndoCause.model_validate((attempt.report or {})["cause"])
        move_attempt(operation, AttemptState.COMPENSATING)
        set_saga_state(work, operation, SagaState.COMPENSATING)
        attempt.report = {"cause": begin.cause.model_dump(mode="json")}
        return begin.cause

    async def _undo(self, work: Work, begin: BeginCompensation) -> EffectPlan | None:
        rows = await work.forward_effects(begin.saga.saga_id, begin.attempt)
        if any(row.step == CANCEL_STEP and row.outcome_kind == "approved" for row in rows):
            return None
        # A cancel that nobody can tell of takes nothing from its payout: when that one provably
        # never happened, there is nothing left to find out.
        for row in (row for row in rows if row.step != CANCEL_STEP):
            if row.outcome_kind is None and row.first_sent_at is not None:
                raise InvariantBroken(
                    f"{row.step} of {row.saga_id} is unknown: nothing is taken back"
                )
            if row.outcome_kind in _STANDING and not await self._awaits_its_call(work, row):
                return await self._undo_of(work, begin.saga, row)
        return None

    async def _awaits_its_call(self, work: Work, row: JournalRow) -> bool:
        """Whether the provider never decided: it waits to be handed the payer's word, nobody ever
        did, and for this attempt nobody will.
        """
        port = innermost(self._tools.providers.port(row.provider))
        handed_over = await journal.had_further_call(work, row)
        waits = row.outcome_kind == "requires_action" and isinstance(port, CompletesActions)
        return waits and not handed_over

    async def _undo_of(self, work: Work, saga: SagaRef, row: JournalRow) -> EffectPlan | None:
        step, leg = undo_step(row.step), 1
        made = await work.newest_leg(row.saga_id, step, row.attempt)
        if made is not None and not _was_in_vain(made):
            return plan_of_row(self._tools, saga, made, current_run())
        if made is not None:
            # The key of an undo that was refused or given up is spent: another try is a leg of its
            # own.
            leg = made.leg + 1
        call = undo_call(row, str((row.outcome or {})["reference"]), step, leg)
        if call is None:
            return None
        now = await work.now()
        right = grant(self._tools, row.provider, current_run(), now)
        undo = plan(self._tools, saga, step, row.attempt, row.provider, call, right, leg=leg)
        journal.intend(work, undo)
        return undo

    @activity.defn(name="saga.record_undo")
    async def record_undo(self, record: RecordEffect) -> Recorded[PaymentView]:
        """Write the outcome of a compensation at the provider into the journal."""
        async with self._tools.store.work() as work:
            await locked(work, record.saga.saga_id)
            where = journal.Position(record.saga.saga_id, record.step, record.attempt, record.leg)
            row = await journal.require(work, where)
            agrees = journal.write_outcome(work, row, record.answer)
            row.booked = row.final
            return Recorded(verdict=Verdict.PROCEED if agrees else Verdict.CONFLICT)

    @activity.defn(name="saga.close")
    async def close(self, close: CloseAttempt) -> None:
        """Close a fully compensated attempt and keep its report."""
        async with self._tools.store.work() as work:
            operation = await locked(work, close.saga.saga_id)
            if (
                operation.attempt != close.attempt
                or operation.attempt_state != AttemptState.COMPENSATING
            ):
                return
            move_attempt(operation, AttemptState.CLOSED)
            cause = close.report.cause
            set_saga_state(work, operation, SagaState.FAILED if cause.red else SagaState.DONE)
            operation.failure = cause.model_dump(
                mode="json", include={"code", "message", "provider_code"}
            )
            report = close.report.model_dump(mode="json")
            await end_attempt(work, close.saga, close.attempt, report)

    @activity.defn(name="saga.park")
    async def park(self, park: Park) -> EffectAnswer | None:
        """Say in the database that the saga waits for a person, and what it asks; or answer what is
        known already.
        """
        async with self._tools.store.work() as work:
            operation = await locked(work, park.saga.saga_id)
            if park.unless_known:
                # A reset to right before the question of a saga that was resolved: a person has
                # answered, and the ended operation must not show as parked again.
                where = journal.Position(park.saga.saga_id, park.step, park.attempt, park.leg)
                row = await journal.require(work, where)
                if row.final:
                    return journal.known_answer(row)
            if operation.saga_state == SagaState.PARKED and operation.question == park.question:
                return None
            set_saga_state(work, operation, SagaState.PARKED, park.question)
            await work.show_attention(park.saga)
            _tell(work, "saga.parked", park.saga, question=park.question, step=park.step)
            return None

    @activity.defn(name="saga.resolve")
    async def resolve(self, resolve: Resolve) -> Resolved:
        """Audit a person's answer and apply it to the journal."""
        async with self._tools.store.work() as work:
            standing = await stand(work, resolve.saga, current_run(), step_attempt=resolve.attempt)
            where = journal.Position(
                resolve.saga.saga_id, resolve.step, resolve.attempt, resolve.leg
            )
            row = await journal.require(work, where)
            given = await self._believed(work, row, resolve.resolution)
            if given is not None:
                # What became known meanwhile wins over what a person believed: the row says which.
                journal.write_outcome(work, row, given)
            if standing.operation.saga_state == SagaState.PARKED:
                _audit(work, resolve)
                compensating = standing.operation.attempt_state == AttemptState.COMPENSATING
                set_saga_state(
                    work,
                    standing.operation,
                    SagaState.COMPENSATING if compensating else SagaState.RUNNING,
                )
                await work.show_attention(resolve.saga)
            answer = journal.known_answer(row) if row.final else None
            return Resolved(verdict=standing.verdict, answer=answer)

    async def _believed(
        self, work: Work, row: JournalRow, resolution: Resolution
    ) -> EffectAnswer | None:
        """What a person's answer makes the outcome. None: it leaves it open, as "retry" does."""
        given = _answer_of(resolution)
        if resolution.decision is not ResolveDecision.FAILED or not self._collects(row):
            return given
        return given if await take_out(work, row) else None

    def _collects(self, row: JournalRow) -> bool:
        pays = journal.call_of(row).operation is ProviderOperation.CREATE_PAYOUT
        return pays and self._tools.providers.capabilities(row.provider).batch_payouts

    @activity.defn(name="saga.forget_orphans")
    async def forget_orphans(self, told: ForgetOrphans) -> None:
        """Write that the parked orphans of a saga were undone at the provider."""
        async with self._tools.store.work() as work:
            await locked(work, told.saga.saga_id)
            for orphan in await work.parked_orphans(told.saga.saga_id):
                await forget(work, told.saga, orphan, actor=told.actor, reason=told.reason)


def _answer_of(resolution: Resolution) -> EffectAnswer | None:
    match resolution.decision:
        case ResolveDecision.RETRY:
            return None
        case ResolveDecision.SUCCEEDED:
            reference = resolution.provider_reference or "not-given"
            return EffectAnswer(outcome=Approved(reference=reference), source=AnswerSource.PERSON)
        case ResolveDecision.FAILED:
            return EffectAnswer(outcome=Absent(), source=AnswerSource.PERSON)


def _audit(work: Work, resolve: Resolve) -> None:
    resolution = resolve.resolution
    outbox.audit(
        work,
        actor=resolution.actor,
        action=f"resolve_{resolution.decision}",
        target=resolve.saga.saga_id,
        reason=resolution.reason,
        step=resolve.step,
        attempt=resolve.attempt,
        provider_reference=resolution.provider_reference,
        run_id=current_run().run_id,
    )
    _tell(
        work,
        "saga.resolved",
        resolve.saga,
        decision=resolution.decision,
        actor=resolution.actor,
        reason=resolution.reason,
    )


def _tell(work: Work, event_type: str, saga: SagaRef, **words: str) -> None:
    outbox.emit(
        work,
        event_type,
        {"object": "saga", "workflow_id": saga.saga_id, "operation_id": saga.operation_id, **words},
        merchant_id=saga.merchant_id,
        payment_id=saga.payment_id,
    )


def _was_in_vain(undo: JournalRow) -> bool:
    known = journal.known_answer(undo)
    return undo.final and known is not None and not is_undone(known)
