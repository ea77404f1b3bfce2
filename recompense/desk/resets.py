"""Where a run is reset to.

Legal points are the ends of workflow tasks; what a task decided is decided again.
"""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

_TASK_ENDED = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    }
)


def start_point(events: Sequence[HistoryEvent]) -> int | None:
    """The event from which everything runs again: the end of the first workflow task. None: no
    worker has ever taken one, so there is nothing to reset.
    """
    completed = _first(events, frozenset({EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED}))
    return completed if completed is not None else _first(events, _TASK_ENDED)


def pending_point(events: Sequence[HistoryEvent]) -> int | None:
    """The event from which the last provider step runs again: the end of the task that asked for
    it.

    What was decided before it stays in the new run's history (an approval among it). Without such a
    step, and where the history does not fit the code any more, everything runs again.
    """
    if _does_not_fit_the_code(events):
        return start_point(events)
    for event in reversed(events):
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            attributes = event.activity_task_scheduled_event_attributes
            return attributes.workflow_task_completed_event_id
    return start_point(events)


def _does_not_fit_the_code(events: Sequence[HistoryEvent]) -> bool:
    failures = [e for e in events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
    if not failures:
        return False
    cause = failures[-1].workflow_task_failed_event_attributes.cause
    return cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR


def _first(events: Sequence[HistoryEvent], kinds: frozenset[EventType.ValueType]) -> int | None:
    return next((event.event_id for event in events if event.event_type in kinds), None)
