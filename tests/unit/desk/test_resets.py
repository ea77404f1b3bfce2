"""Where a run is reset to, on lists of events as Temporal records them."""

from __future__ import annotations

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from recompense.desk.resets import pending_point, start_point

STARTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
TASK = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
TASK_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
UPDATE = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
MARKER = EventType.EVENT_TYPE_MARKER_RECORDED
CALL = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
CALL_STARTED = EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
CALL_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TERMINATED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED

BEGUN = [STARTED, TASK, TASK_STARTED, TASK_COMPLETED, UPDATE, MARKER]
"""Events 1 to 6 of every saga: its first task has admitted it."""


def history(
    *kinds: EventType.ValueType, failure: WorkflowTaskFailedCause.ValueType | None = None
) -> list[HistoryEvent]:
    """Events with ascending ids; each call names the task that was the last to end before it."""
    events: list[HistoryEvent] = []
    ended = 0
    for event_id, kind in enumerate(kinds, start=1):
        event = HistoryEvent(event_id=event_id, event_type=kind)
        if kind == TASK_COMPLETED:
            ended = event_id
        if kind == CALL:
            event.activity_task_scheduled_event_attributes.workflow_task_completed_event_id = ended
        if kind == TASK_FAILED and failure is not None:
            event.workflow_task_failed_event_attributes.cause = failure
        events.append(event)
    return events


def test_start_over_resets_to_the_first_task_that_completed() -> None:
    tasks = [TASK, TASK_STARTED, TASK_COMPLETED]
    assert start_point(history(*BEGUN, CALL, CALL_STARTED, CALL_COMPLETED, *tasks)) == 4


def test_start_over_skips_a_first_task_that_failed() -> None:
    failed = [TASK, TASK_STARTED, TASK_FAILED]
    events = history(STARTED, *failed, TASK, TASK_STARTED, TASK_COMPLETED, UPDATE)
    assert start_point(events) == 7


def test_start_over_takes_a_failed_task_when_none_has_completed() -> None:
    assert start_point(history(STARTED, TASK, TASK_STARTED, TASK_FAILED)) == 4


def test_run_that_no_worker_has_taken_has_no_point() -> None:
    events = history(STARTED, TASK, TERMINATED)
    assert start_point(events) is None
    assert pending_point(events) is None


def test_pending_call_is_made_again_by_the_task_that_scheduled_it() -> None:
    look_up = [TASK, TASK_STARTED, TASK_COMPLETED, CALL, CALL_STARTED]
    events = history(*BEGUN, CALL, CALL_STARTED, CALL_COMPLETED, *look_up, TERMINATED)
    assert pending_point(events) == 12


def test_wait_after_the_last_call_goes_back_to_that_call() -> None:
    told = [TASK, TASK_STARTED, TASK_COMPLETED, MARKER]
    events = history(*BEGUN, CALL, CALL_STARTED, CALL_COMPLETED, *told, TERMINATED)
    assert pending_point(events) == 4


def test_without_a_call_everything_runs_again() -> None:
    assert pending_point(history(*BEGUN, TERMINATED)) == 4


def test_history_that_does_not_fit_the_code_starts_over() -> None:
    later = [TASK, TASK_STARTED, TASK_COMPLETED, CALL, CALL_STARTED, CALL_COMPLETED]
    stuck = [TASK, TASK_STARTED, TASK_FAILED]
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
    assert pending_point(history(*BEGUN, *later, *stuck, failure=cause)) == 4
    error = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
    assert pending_point(history(*BEGUN, *later, *stuck, failure=error)) == 9
