"""A key's replay is made once, wherever whoever asked for it dies."""

from __future__ import annotations

from typing import Any

import pytest

from recompense.desk import SagaDesk
from recompense.desk import replay as module
from recompense.desk.models import ShownState
from recompense.desk.replay import ReplayAction, ReplayReport, replay
from tests.live.test_replay import UI, compensated_capture, effect_keys, in_state
from tests.support.platform import Platform

KEY = "replay-of-the-test"


class Died(Exception):
    """The process that replays is gone."""


async def replayed(platform: Platform, saga_id: str) -> ReplayReport:
    return await replay(
        platform.client,
        platform.database,
        saga_id,
        actor="ops-anna",
        reason="the provider is back",
        key=KEY,
    )


@pytest.mark.parametrize("was_made", [False, True])
async def test_replay_goes_on_where_its_process_died(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, *, was_made: bool
) -> None:
    desk = SagaDesk(platform.database, platform.client, ui_url=UI)
    capture = await compensated_capture(platform)
    saga_id = capture.ref().saga_id
    carry_on = module._carry_on
    runs: set[str] = set()

    async def dies(*arguments: Any) -> str:
        if was_made:
            runs.add(await carry_on(*arguments))
        raise Died

    monkeypatch.setattr(module, "_carry_on", dies)
    with pytest.raises(Died):
        await replayed(platform, saga_id)
    monkeypatch.undo()
    reports = [await replayed(platform, saga_id) for _ in range(2)]
    assert reports[0] == reports[1]
    assert (reports[0].action, reports[0].attempt) == (ReplayAction.RESET, 2)
    assert runs == ({reports[0].to_run} if was_made else set())
    shown = await in_state(desk, capture, ShownState.DONE)
    assert (shown.attempt, shown.run_id) == (2, reports[0].to_run)
    assert await replayed(platform, saga_id) == reports[0]
    assert effect_keys(platform, capture) == [f"{capture.capture_id}:capture:2"]
    audited = await platform.rows("SELECT details FROM audit_log WHERE action = 'saga_replay'")
    assert [one["details"]["key"] for one in audited] == [KEY]
