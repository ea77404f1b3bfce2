"""Recorded histories replay with today's workflow code.

When one does not: runs that are under way would be stuck at the next deployment. Keep the old order
of commands behind a patch (`workflows/versions.py`), or, before the first release only, record anew
with `python -m tests.replay.record`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recompense.ops.replay_check import check_histories, replayed
from tests.replay.fingerprints import committed, fingerprint, recorded
from tests.replay.record import HISTORIES
from tests.replay.stories import STORIES

WHAT_TO_DO = (
    "Runs that are under way replay what they have recorded, so a workflow may not change the order"
    " or the types of its commands. Put the new order behind a patch in workflows/versions.py and"
    " keep the old history beside a new one; or, where no run of the old code is under way anywhere"
    " (before the first release only), record anew: python -m tests.replay.record, then"
    " python -m tests.replay.fingerprints, and commit both with the reason."
)
RECORDED = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: str(file.stem))
async def test_recorded_history_fits_the_workflows(file: Path) -> None:
    assert await replayed([file]) == {str(file): ""}, WHAT_TO_DO


@pytest.mark.parametrize("name", sorted(recorded().keys() | committed().keys()))
def test_command_sequence_is_the_one_that_was_agreed_on(name: str) -> None:
    assert recorded().get(name) == committed().get(name), (
        f"The commands of {name} are not those of fingerprints.json. {WHAT_TO_DO}"
    )


def test_fingerprint_tells_another_order_and_another_activity() -> None:
    history = json.loads((HISTORIES / "captured_at_once.json").read_text(encoding="utf-8"))
    whole = fingerprint(history)
    assert "activity provider.authorize" in whole
    assert "marker authorization.admit" in whole
    history["events"].reverse()
    assert fingerprint(history) != whole


def test_every_story_is_recorded() -> None:
    assert {story.__name__ for story in STORIES} <= {file.stem for file in RECORDED}


async def test_history_of_other_commands_does_not_fit(tmp_path: Path) -> None:
    history = json.loads((HISTORIES / "authorized.json").read_text(encoding="utf-8"))
    (call,) = [e for e in history["events"] if "activityTaskScheduledEventAttributes" in e]
    call["activityTaskScheduledEventAttributes"]["activityType"]["name"] = "provider.void"
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(history), encoding="utf-8")
    (why,) = (await replayed([changed])).values()
    assert "provider.void" in why


def test_command_tells_what_does_not_fit_by_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_histories(HISTORIES, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["data"]) == len(RECORDED)
    assert all(one["fits"] for one in told["data"])
    history = json.loads((HISTORIES / "voided.json").read_text(encoding="utf-8"))
    history["events"] = [e for e in history["events"] if "markerRecordedEventAttributes" not in e]
    (tmp_path / "cut.json").write_text(json.dumps(history), encoding="utf-8")
    assert check_histories(tmp_path, as_json=True) == 1
