"""The command sequence of each recorded history: what a workflow did, in order, without any value.

`python -m tests.replay.fingerprints` writes them anew, after histories were recorded.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.replay.record import HISTORIES

FINGERPRINTS = Path(__file__).parent / "fingerprints.json"

_COMMANDS = {
    "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED": "activity",
    "EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED": "cancel activity",
    "EVENT_TYPE_TIMER_STARTED": "timer",
    "EVENT_TYPE_TIMER_CANCELED": "cancel timer",
    "EVENT_TYPE_MARKER_RECORDED": "marker",
    "EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED": "child",
    "EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED": "signal",
    "EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES": "search attributes",
    "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED": "update accepted",
    "EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED": "update completed",
    "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED": "complete",
    "EVENT_TYPE_WORKFLOW_EXECUTION_FAILED": "fail",
    "EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED": "cancel",
    "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW": "continue as new",
}


def fingerprint(history: dict[str, Any]) -> list[str]:
    """The commands of a history in order; activities, children and local activities by type."""
    return [
        " ".join(filter(None, (_COMMANDS[event["eventType"]], _type_of(event))))
        for event in history["events"]
        if event["eventType"] in _COMMANDS
    ]


def recorded() -> dict[str, list[str]]:
    """The fingerprint of each recorded history."""
    return {
        file.stem: fingerprint(json.loads(file.read_text(encoding="utf-8")))
        for file in sorted(HISTORIES.glob("*.json"))
    }


def committed() -> dict[str, list[str]]:
    """The fingerprints as they were last agreed on."""
    found: dict[str, list[str]] = json.loads(FINGERPRINTS.read_text(encoding="utf-8"))
    return found


def _type_of(event: dict[str, Any]) -> str:
    for name, attributes in event.items():
        if not name.endswith("EventAttributes"):
            continue
        for kind in ("activityType", "workflowType"):
            if kind in attributes:
                return str(attributes[kind]["name"])
        if name == "markerRecordedEventAttributes":
            return _local_activity(attributes)
    return ""


def _local_activity(marker: dict[str, Any]) -> str:
    """A local activity's type stands in the data of its marker."""
    name = str(marker["markerName"])
    if name != "core_local_activity":
        return name
    (payload,) = marker["details"]["data"]["payloads"]
    return str(json.loads(base64.b64decode(payload["data"]))["activity_type"])


if __name__ == "__main__":
    FINGERPRINTS.write_text(json.dumps(recorded(), indent=1) + "\n", encoding="utf-8")
