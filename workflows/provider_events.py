"""Apply what a provider told us: pull, apply, and wake the saga that waits."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

from recompense.contracts import activities
from recompense.contracts.sagas import ProviderEventInput
from recompense.contracts.starting import TASK_TIMEOUT, event_workflow_id
from recompense.contracts.steps import (
    ActionCompleted,
    ApplyEvent,
    CompleteAction,
    EffectAnswer,
    EffectPlan,
    EventApplied,
    PageRequest,
    ProviderWord,
    SettleOrphan,
)
from workflows.policies import IN_HOUSE, provider_call

RELAY_PAGE = 100
_NOT_YET = ActionCompleted(detail="the provider could not say yet; the relay brings it back")


@workflow.defn(name="ApplyProviderEvent")
class ApplyProviderEvent:
    """One stored webhook.

    It is a hint: what counts is what the provider answers when it is asked now.
    """

    @workflow.run
    async def run(self, event: ProviderEventInput) -> str:
        """Apply the event.

        Returns what it did; an event that cannot be applied yet is relayed again later.
        """
        target = await workflow.execute_local_activity(
            activities.load_provider_event, event, **IN_HOUSE
        )
        if target.effect is None:
            return "nothing of ours, or applied before"
        if target.completes:
            completed = await self._complete(event, target.effect)
        else:
            completed = await self._pull(target.effect)
        answer = completed.answer
        if answer is None:
            return completed.detail
        applied: EventApplied = await workflow.execute_local_activity(
            activities.apply_provider_event,
            ApplyEvent(
                provider=event.provider,
                event_id=event.event_id,
                effect=target.effect,
                answer=answer,
            ),
            **IN_HOUSE,
        )
        if applied.signal is not None and applied.word is not None:
            await self._tell(applied.signal, applied.word)
        if applied.orphan_undo is not None:
            await self._undo(applied.orphan_undo)
        return applied.detail

    async def _pull(self, effect: EffectPlan) -> ActionCompleted:
        try:
            answer = await workflow.execute_activity(
                activities.provider_pull,
                effect,
                summary=f"pull the present state of {effect.step}",
                **provider_call(effect.provider, effect.lookup),
            )
        except ActivityError:
            return _NOT_YET
        return ActionCompleted(answer=answer)

    async def _complete(self, event: ProviderEventInput, effect: EffectPlan) -> ActionCompleted:
        """Hand the provider what the payer brought back: this may authorize, so the answer is
        applied like any other.
        """
        try:
            return await workflow.execute_activity(
                activities.provider_complete_action,
                CompleteAction(event_id=event.event_id, effect=effect),
                summary="hand over what the payer brought back",
                **provider_call(effect.provider, effect.policy),
            )
        except ActivityError:
            return _NOT_YET

    async def _tell(self, saga_id: str, word: ProviderWord) -> None:
        saga = workflow.get_external_workflow_handle(saga_id)
        try:
            await saga.signal("provider_word", word)
        except FailureError:
            # The saga has ended meanwhile: the journal has the word, and whoever replays it reads
            # it there.
            workflow.logger.info("the saga does not run any more", extra={"saga": saga_id})

    async def _undo(self, undo: EffectPlan) -> None:
        try:
            answer: EffectAnswer | None = await workflow.execute_activity(
                activities.MONEY_CALLS[undo.call.operation],
                undo,
                summary="take back an effect that nobody waits for",
                **provider_call(undo.provider, undo.policy),
            )
        except ActivityError:
            answer = None
        await workflow.execute_local_activity(
            activities.settle_orphan, SettleOrphan(effect=undo, answer=answer), **IN_HOUSE
        )


@workflow.defn(name="RelayProviderEvents")
class RelayProviderEvents:
    """Scheduled: start what was stored and not applied, so that nothing is lost between the two."""

    @workflow.run
    async def run(self) -> int:
        """Relay one page, oldest first. Returns how many it started."""
        events = await workflow.execute_local_activity(
            activities.unapplied_events, PageRequest(page_size=RELAY_PAGE), **IN_HOUSE
        )
        await start_applying(events)
        return len(events)


async def start_applying(events: Sequence[ProviderEventInput]) -> None:
    """Start a workflow for each stored event."""
    for event in events:
        await start_applying_one(event)


async def start_applying_one(
    event: ProviderEventInput,
) -> workflow.ChildWorkflowHandle[ApplyProviderEvent, str] | None:
    """Start the workflow of a stored event. None: it runs already, and that one does the work."""
    try:
        return await workflow.start_child_workflow(
            ApplyProviderEvent.run,
            event,
            id=event_workflow_id(event),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            task_timeout=TASK_TIMEOUT,
            static_summary=f"Apply an event of {event.provider}",
        )
    except FailureError:
        return None
