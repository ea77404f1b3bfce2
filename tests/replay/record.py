"""Record histories: `python -m tests.replay.record` records each story, or those that are named.

Record anew before a release. After it, the old files stay beside the new ones: runs that began then
are still under way.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from recompense.persistence.migrations import upgrade
from tests.replay.stories import STORIES
from tests.support.bank import Bank
from tests.support.platform import Platform, ProviderSetup, reached, running_platform
from tests.support.postgres import shared_server
from tests.support.sandbox import running_sandbox
from tests.support.temporal import running_temporal

HISTORIES = Path(__file__).parent / "histories"

_PRIVATE = frozenset({"identity", "stackTrace", "binaryChecksum"})
"""What names the machine that recorded: it is no part of what a replay reads."""


async def record(platform: Platform, names: Collection[str]) -> None:
    """Run stories, one after the other, and write their histories; no names: all of them."""
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_build_object('approval_above', 500)"
    )
    HISTORIES.mkdir(exist_ok=True)
    for story in STORIES:
        if names and story.__name__ not in names:
            continue
        workflow_id = await story(platform)
        platform.sandbox.clear_faults()
        history = await platform.client.get_workflow_handle(workflow_id).fetch_history()
        events = without_private(history.to_json_dict())
        path = HISTORIES / f"{story.__name__}.json"
        path.write_text(json.dumps(events, indent=1) + "\n", encoding="utf-8")


def without_private(value: object) -> object:
    """The same document without what names the machine that recorded it."""
    if isinstance(value, dict):
        return {k: without_private(v) for k, v in value.items() if k not in _PRIVATE}
    if isinstance(value, list):
        return [without_private(one) for one in value]
    # A sticky task queue is named for its worker's process and host.
    return re.sub(r"^\d+@.*", "worker", value) if isinstance(value, str) else value


async def main() -> None:
    """Start the parts, record, stop them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # A cluster is made by a user of its own, who cannot enter a private folder of ours.
        cluster = Path(tempfile.gettempdir()) / f"recompense-recording-{os.getpid()}"
        with (
            shared_server(cluster) as postgres,
            running_temporal(root) as temporal,
            running_sandbox(
                root / "sandbox.sqlite3", webhook_url="http://127.0.0.1:9/", pending_delay_ms=300
            ) as sandbox,
            running_sandbox(root / "spare.sqlite3", webhook_url="http://127.0.0.1:9/") as spare,
        ):
            await asyncio.to_thread(upgrade, postgres.url())
            beside = {
                "sepa": ProviderSetup(Bank(root / "bank").config, {}),
                "spare": ProviderSetup(reached(spare), {}, adapter="sandbox"),
            }
            async with running_platform(
                temporal, postgres.url(), sandbox, beside=beside
            ) as platform:
                await record(platform, sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(main())
