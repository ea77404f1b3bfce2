"""Repair a break: take a person's word, wait for whoever has to say something first, book it.

The row decides and the workflow asks it: whatever is killed, reset or terminated, what was asked
stands there until it is booked or taken back, and it is booked once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from recompense.contracts import reconciliation_activities as steps
from recompense.contracts import search_attributes
from recompense.contracts.repairs import (
    AdmitRepair,
    RepairAnswered,
    RepairInput,
    RepairRef,
    RepairStage,
    RepairStands,
    RepairWord,
    WithdrawRepair,
)
from recompense.contracts.sagas import Refusal
from workflows.policies import IN_HOUSE
from workflows.provider_events import start_applying_one

LOOK_AGAIN_AFTER = timedelta(hours=1)
"""How long a repair that waits for a second person sleeps before it looks where it stands: a later
report may close the break.
"""

ASK_AGAIN_AFTER = timedelta(seconds=10)
"""The first pause before a provider that could not say is asked again; each is twice the one before
it, up to `LOOK_AGAIN_AFTER`.
"""

_NOT_BOOKED = frozenset({RepairStage.APPROVAL, RepairStage.LOOK_UP, RepairStage.BOOK})

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@workflow.defn(name="RepairBreak")
class RepairBreak:
    """admit (withdraw), [a second person | the provider's word], book.

    Canceled before it is booked, it is withdrawn: the break is open again. After that it stands.
    """

    @workflow.init
    def __init__(self, given: RepairInput) -> None:
        self._given = given
        self._ref = RepairRef(break_id=given.break_id)
        self._words: list[RepairWord] = []
        self._asked: list[str] = []
        self._answers: dict[str, RepairAnswered] = {}
        self._canceled = False
        self._broken = False
        self._pause = ASK_AGAIN_AFTER

    @workflow.run
    async def run(self, given: RepairInput) -> str:
        """Carry out what people ask for until nothing is left to do. Returns how it ended."""
        life = asyncio.create_task(self._live())
        while True:
            try:
                return await asyncio.shield(life)
            except asyncio.CancelledError:
                # As in `Saga.carry`: only a cancel from the server has a reason.
                if life.done() or workflow.cancellation_reason() is None:
                    raise
                self._canceled = True
            except ActivityError:
                self._broken = True
                await workflow.wait_condition(workflow.all_handlers_finished)
                raise

    @workflow.update(name="repair", description="Say how the break is to be repaired")
    async def repair(self, word: RepairWord) -> RepairAnswered:
        """Take a person's word, and wait until it is booked, refused, or waits for somebody."""
        self._words.append(word)
        await workflow.wait_condition(lambda: word.key in self._answers or self._broken)
        if word.key not in self._answers:
            raise ApplicationError("The repair could not be made.", type="RepairFailed")
        return self._answers[word.key]

    async def _live(self) -> str:
        stands = await _step(steps.look_at_repair, self._ref)
        while True:
            self._answer(stands)
            own = stands.key in self._asked
            if self._canceled and stands.stage in _NOT_BOOKED:
                stands = await self._withdraw()
            elif stands.stage is RepairStage.BOOK and (own or not self._words):
                self._say("booking", stands.word)
                stands = await _step(steps.book_repair, self._ref)
            elif self._words:
                stands = await self._admit(self._words.pop(0))
            elif stands.stage is RepairStage.APPROVAL:
                self._say("waiting for a second person", stands.word)
                stands = await self._sleep(LOOK_AGAIN_AFTER)
            elif stands.stage is RepairStage.LOOK_UP:
                stands = await self._look_up(stands)
            elif await self._is_quiet():
                return await self._end(stands)

    async def _admit(self, word: RepairWord) -> RepairStands:
        self._say("deciding whether it may go on", word)
        stands = await _step(
            steps.admit_repair, AdmitRepair(break_id=self._given.break_id, word=word)
        )
        if stands.refusal is None:
            self._asked.append(word.key)
        else:
            self._answers[word.key] = RepairAnswered(refusal=stands.refusal)
        return stands

    async def _withdraw(self) -> RepairStands:
        reason = workflow.cancellation_reason() or "The repair was canceled."
        return await _step(
            steps.withdraw_repair, WithdrawRepair(break_id=self._given.break_id, reason=reason)
        )

    async def _look_up(self, stands: RepairStands) -> RepairStands:
        """Have the effect pulled, and the saga told that waits for it."""
        self._say(f"asking {self._given.provider} what became of the effect", stands.word)
        if stands.event is not None:
            applying = await start_applying_one(stands.event)
            if applying is not None:
                # What it says stands in the rows, a failure of its own included.
                applying.add_done_callback(lambda one: one.cancelled() or one.exception())
                await workflow.wait_condition(lambda: applying.done() or self._is_called())
        told = await _step(steps.look_at_repair, self._ref)
        if told.stage is not RepairStage.LOOK_UP or self._is_called():
            return told
        return await self._not_told(told)

    async def _not_told(self, stands: RepairStands) -> RepairStands:
        """The provider could not say yet: callers go, and it is asked again after a pause."""
        for key in self._asked:
            self._answers[key] = RepairAnswered(shown=stands.shown)
        self._asked.clear()
        self._ask_for_attention(needed=True)
        self._say(
            f"{self._given.provider} could not say what became of the effect: it is asked again in"
            f" {self._pause}. Another action takes the place of this one",
            stands.word,
        )
        pause, self._pause = self._pause, min(self._pause * 2, LOOK_AGAIN_AFTER)
        return await self._sleep(pause)

    async def _sleep(self, pause: timedelta) -> RepairStands:
        is_long = workflow.info().is_continue_as_new_suggested()
        if is_long and await self._is_quiet() and not self._canceled:
            workflow.continue_as_new(self._given)
        await self._wait(pause)
        return await _step(steps.look_at_repair, self._ref)

    async def _wait(self, pause: timedelta) -> None:
        try:
            await workflow.wait_condition(self._is_called, timeout=pause)
        except TimeoutError:
            return

    def _is_called(self) -> bool:
        return bool(self._words) or self._canceled

    async def _is_quiet(self) -> bool:
        """Whether every caller has gone and none has come."""
        await workflow.wait_condition(lambda: bool(self._words) or workflow.all_handlers_finished())
        return not self._words

    def _answer(self, stands: RepairStands) -> None:
        """Answer the callers whose word is carried out, waits for a person, or stands no more."""
        known = stands.stage in {RepairStage.APPROVAL, RepairStage.RESOLVED}
        for key in [key for key in self._asked if known or key != stands.key]:
            mine = key == stands.key
            self._answers[key] = (
                RepairAnswered(shown=stands.shown) if mine else RepairAnswered(refusal=_withdrawn())
            )
            self._asked.remove(key)

    async def _end(self, stands: RepairStands) -> str:
        self._ask_for_attention(needed=False)
        ended = _ended(stands)
        self._say(ended, stands.word)
        if self._canceled and stands.stage is RepairStage.UNASKED:
            raise asyncio.CancelledError
        return ended

    def _ask_for_attention(self, *, needed: bool) -> None:
        shown = workflow.info().typed_search_attributes.get(search_attributes.NEEDS_ATTENTION)
        if bool(shown) is not needed:
            workflow.upsert_search_attributes([search_attributes.NEEDS_ATTENTION.value_set(needed)])

    def _say(self, doing: str, word: RepairWord | None) -> None:
        """Say in plain words what the repair is doing, and for whom: shown in the Temporal UI, at
        no cost in history.
        """
        lines = [f"**{doing[:1].upper()}{doing[1:]}**", ""]
        if word is not None:
            lines.append(f"- {word.actor} asks for `{word.action.value}`: {word.reason}")
        lines.append(
            f"- Break `{self._given.break_id}`: `recompense breaks show` tells its figures"
        )
        workflow.set_current_details("\n".join(lines))


async def _step(stub: Callable[[_In], Awaitable[_Out]], argument: _In) -> _Out:
    """Run one of the repair's in-house steps: one transaction."""
    return await workflow.execute_local_activity(stub, argument, **IN_HOUSE)


def _withdrawn() -> Refusal:
    return Refusal(
        code="break_repair_withdrawn",
        message="The repair was taken back before it was booked: see how the break stands.",
    )


def _ended(stands: RepairStands) -> str:
    resolution = stands.shown.resolution
    if resolution is not None:
        return f"resolved: {resolution.action} by {resolution.actor}"
    if stands.refusal is not None:
        return f"refused: {stands.refusal.message} The break is open"
    return "the break is open, and nothing is asked for"
