"""The repair of a break, fed by hand: which step follows which word, cancel and answer.

The rows are played here; that they decide so is what `tests/database/test_breaks.py` shows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand

from recompense.contracts.reconciliation import BreakAction, BreakKind, BreakResolution, BreakView
from recompense.contracts.repairs import (
    AdmitRepair,
    RepairAnswered,
    RepairInput,
    RepairStage,
    RepairStands,
    RepairWord,
)
from recompense.contracts.sagas import ProviderEventInput, Refusal
from tests.simulation.instances import Instance, decoded, payload

NOW = datetime(2026, 11, 28, tzinfo=UTC)
GIVEN = RepairInput(break_id="brk_1", provider="sandbox", kind=BreakKind.STATE_MISMATCH)
EVENT = ProviderEventInput(provider="sandbox", event_id="settlement-brk_1")
ASKING = "child provider-event/sandbox/settlement-brk_1"
DONE, CANCELED = "complete_workflow_execution", "cancel_workflow_execution"


class Row:
    """A break's row: a `write_off` takes two people, a `post` waits until `told`."""

    def __init__(self, *, told: bool = True, word: RepairWord | None = None) -> None:
        self.told, self.word = told, word
        self.first: str | None = None
        self.resolution: BreakResolution | None = None

    def look(self, refusal: str | None = None) -> RepairStands:
        stage = self._stage()
        return RepairStands(
            stage=stage,
            word=self.word,
            shown=_view(self.resolution),
            event=EVENT if stage is RepairStage.LOOK_UP else None,
            refusal=None if refusal is None else Refusal(code=refusal, message=refusal),
        )

    def _stage(self) -> RepairStage:
        if self.resolution is not None:
            return RepairStage.RESOLVED
        if self.word is None:
            return RepairStage.UNASKED
        if self.word.action is BreakAction.WRITE_OFF and self.first == self.word.actor:
            return RepairStage.APPROVAL
        waits = self.word.action is BreakAction.POST and not self.told
        return RepairStage.LOOK_UP if waits else RepairStage.BOOK

    def admit(self, word: RepairWord) -> RepairStands:
        if self.resolution is not None:
            return self.look("break_not_open")
        if word.action is BreakAction.REVERSE:
            return self.look("break_action_unfit")
        self.word, self.first = word, self.first or word.actor
        return self.look()

    def book(self) -> RepairStands:
        assert self.word is not None
        self.resolution = BreakResolution(
            action=self.word.action, actor=self.word.actor, reason="because", at=NOW
        )
        return self.look()

    def withdraw(self) -> RepairStands:
        self.word = self.first = None
        return self.look()


class Story:
    """One run: jobs in, and what it did and answered."""

    def __init__(self, row: Row) -> None:
        self.row, self.now = row, NOW
        self.did: list[str] = []
        self.answers: dict[str, str] = {}
        self._timers: dict[int, timedelta] = {}
        self._children: list[int] = []
        self._instance = Instance("RepairBreak", GIVEN.workflow_id, "run", NOW)
        start = WorkflowActivationJob()
        start.initialize_workflow.workflow_type = "RepairBreak"
        start.initialize_workflow.workflow_id = GIVEN.workflow_id
        start.initialize_workflow.arguments.append(payload(GIVEN))
        self._jobs = [start]

    def ask(self, action: str, actor: str = "finance") -> Story:
        """A person's word comes; its key is the action's name and the person's."""
        word = _word(action, actor)
        job = WorkflowActivationJob()
        job.do_update.id = job.do_update.protocol_instance_id = word.key
        job.do_update.name = "repair"
        job.do_update.run_validator = True
        job.do_update.input.append(payload(word))
        self._jobs.append(job)
        return self

    def cancel(self) -> Story:
        """Somebody cancels it."""
        job = WorkflowActivationJob()
        job.cancel_workflow.reason = "a mistake"
        self._jobs.append(job)
        return self

    def sleep_over(self) -> Story:
        """Its timer fires."""
        job = WorkflowActivationJob()
        job.fire_timer.seq, pause = self._timers.popitem()
        self.now += pause
        self._jobs.append(job)
        return self

    def say(self, *, told: bool) -> Story:
        """The provider was asked, and could say or not."""
        self.row.told = told
        job = WorkflowActivationJob()
        job.resolve_child_workflow_execution.seq = self._children.pop()
        result = job.resolve_child_workflow_execution.result.completed.result
        result.CopyFrom(payload("asked"))
        self._jobs.append(job)
        return self

    def go(self) -> Story:
        """Run until it waits or has ended."""
        while self._jobs:
            jobs, self._jobs = self._jobs, []
            for command in self._instance.activate(jobs, self.now, replaying=False):
                self._obey(command)
        return self

    def _obey(self, command: WorkflowCommand) -> None:
        kind = str(command.WhichOneof("variant"))
        of_kind: Any = getattr(command, kind)
        job = WorkflowActivationJob()
        if kind == "schedule_local_activity":
            self.did.append(of_kind.activity_type)
            job.resolve_activity.seq, job.resolve_activity.is_local = of_kind.seq, True
            result = job.resolve_activity.result.completed.result
            result.CopyFrom(payload(self._step(of_kind)))
            self._jobs.append(job)
        elif kind == "start_child_workflow_execution":
            self.did.append(f"child {of_kind.workflow_id}")
            job.resolve_child_workflow_execution_start.seq = of_kind.seq
            job.resolve_child_workflow_execution_start.succeeded.run_id = "child"
            self._children.append(of_kind.seq)
            self._jobs.append(job)
        elif kind == "start_timer":
            self._timers[of_kind.seq] = of_kind.start_to_fire_timeout.ToTimedelta()
            self.did.append(f"pause {self._timers[of_kind.seq]}")
        elif kind == "cancel_timer":
            del self._timers[of_kind.seq]
        elif kind == "update_response":
            self._hear(of_kind)
        else:
            self.did.append(kind)

    def _step(self, ordered: Any) -> RepairStands:
        if ordered.activity_type == "repair.admit":
            (admit,) = decoded(ordered.arguments, [AdmitRepair])
            return self.row.admit(admit.word)
        steps: dict[str, Callable[[], RepairStands]] = {
            "repair.look": self.row.look,
            "repair.book": self.row.book,
            "repair.withdraw": self.row.withdraw,
        }
        return steps[ordered.activity_type]()

    def _hear(self, response: Any) -> None:
        if response.WhichOneof("response") == "completed":
            (said,) = decoded([response.completed], [RepairAnswered])
            told = said.shown.status if said.refusal is None else said.refusal.code
            self.answers[response.protocol_instance_id] = told


def _word(action: str, actor: str) -> RepairWord:
    key = f"{action} by {actor}"
    return RepairWord(key=key, action=BreakAction(action), actor=actor, reason="because")


def _view(resolution: BreakResolution | None) -> BreakView:
    return BreakView(
        id=GIVEN.break_id,
        kind=GIVEN.kind,
        status="open" if resolution is None else "resolved",
        provider=GIVEN.provider,
        date=date(2026, 11, 24),
        operation_id=None,
        payment_id=None,
        currency="EUR",
        expected=None,
        found=None,
        proposal=BreakAction.POST,
        assignee=None,
        created_at=NOW,
        resolution=resolution,
    )


def test_word_that_waits_for_nobody_is_booked_before_the_next_is_looked_at() -> None:
    story = Story(Row()).ask("post").ask("accept", "chief").ask("write_off", "third").go()
    assert story.answers == {
        "post by finance": "resolved",
        "accept by chief": "break_not_open",
        "write_off by third": "break_not_open",
    }
    assert story.did == [
        *("repair.look", "repair.admit", "repair.book"),
        *("repair.admit", "repair.admit", DONE),
    ]


def test_refused_word_ends_a_run_that_has_nothing_else_to_do() -> None:
    story = Story(Row()).ask("reverse").go()
    assert story.answers == {"reverse by finance": "break_action_unfit"}
    assert story.did == ["repair.look", "repair.admit", DONE]


def test_second_person_is_waited_for() -> None:
    story = Story(Row()).ask("write_off").go().sleep_over().go()
    assert story.answers == {"write_off by finance": "open"}
    assert story.did[2:] == ["pause 1:00:00", "repair.look", "pause 1:00:00"]
    story.ask("write_off", "chief").go()
    assert story.answers["write_off by chief"] == "resolved"
    assert story.did[5:] == ["repair.look", "repair.admit", "repair.book", DONE]


@pytest.mark.parametrize(
    ("action", "told", "answer"),
    [
        ("write_off", True, "open"),
        ("post", True, "break_repair_withdrawn"),
        ("post", False, "break_repair_withdrawn"),
    ],
)
def test_cancel_before_the_booking_withdraws(action: str, answer: str, *, told: bool) -> None:
    story = Story(Row(told=told)).ask(action).cancel().go()
    assert story.did[-2:] == ["repair.withdraw", CANCELED]
    assert story.row.word is None
    assert story.answers == {f"{action} by finance": answer}


def test_cancel_while_the_provider_is_asked_withdraws() -> None:
    story = Story(Row(told=False)).ask("post").go()
    assert (story.did[-1], story.answers) == (ASKING, {})
    story.cancel().go()
    assert story.did[-2:] == ["repair.withdraw", CANCELED]
    assert story.answers == {"post by finance": "break_repair_withdrawn"}


def test_nothing_is_booked_before_the_provider_has_said_something() -> None:
    story = Story(Row(told=False)).ask("post").go()
    assert story.did == ["repair.look", "repair.admit", ASKING]
    story.say(told=True).go()
    assert story.did[3:] == ["repair.look", "repair.book", DONE]
    assert story.answers == {"post by finance": "resolved"}


def test_provider_that_could_not_say_is_asked_again_after_growing_pauses() -> None:
    story = Story(Row(told=False)).ask("post").go().say(told=False).go()
    assert story.answers == {"post by finance": "open"}
    attention = "upsert_workflow_search_attributes"
    assert story.did[3:] == ["repair.look", attention, "pause 0:00:10"]
    story.sleep_over().go().say(told=False).go()
    assert story.did[6:] == ["repair.look", ASKING, "repair.look", "pause 0:00:20"]
    story.sleep_over().go().say(told=True).go()
    assert story.did[10:] == [
        *("repair.look", ASKING, "repair.look", "repair.book"),
        *(attention, DONE),
    ]


def test_another_action_takes_the_place_of_a_look_up() -> None:
    story = Story(Row(told=False)).ask("post").go().ask("accept", "chief").go()
    assert story.answers == {
        "post by finance": "break_repair_withdrawn",
        "accept by chief": "resolved",
    }
    assert story.did[-1] == DONE


def test_run_without_a_word_carries_on_what_stands_on_the_row() -> None:
    left = Row(word=_word("post", "first"))
    assert Story(left).go().did == ["repair.look", "repair.book", DONE]


def test_word_takes_the_place_of_what_a_terminated_run_has_left() -> None:
    left = Row(word=_word("post", "first"))
    story = Story(left).ask("accept").go()
    assert story.answers == {"accept by finance": "resolved"}
    assert story.row.resolution is not None
    assert story.row.resolution.action == "accept"
