"""`recompense verify`: what the watch would find now, and every payment against the ledger."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from recompense.ops.terminal import (
    NOT_IN_ORDER,
    NOT_REACHABLE,
    opened_database,
    print_json,
    print_table,
    run,
    say,
    settings_of,
    told_to_the_person,
)
from recompense.persistence.watch import Observation, observe, verify_payments, watches
from recompense.settings import Settings

_COLUMNS = ("watch", "asks", "found", "oldest", "result", "example")


def verify(data_dir: Path | None, *, as_json: bool) -> int:
    """Ask all watches and hold every payment against the ledger. Returns the exit status."""
    with told_to_the_person():
        settings = settings_of(data_dir)
    found = run(_observe_all(settings), settings)
    in_order = all(one.answered and not one.wrong for one in found)
    if as_json:
        print_json({"in_order": in_order, "watches": [_as_json(one) for one in found]})
    else:
        print_table(_COLUMNS, [_row(one) for one in found])
        say("Everything is in order." if in_order else "Not in order: see above.")
    return _status(found)


async def _observe_all(settings: Settings) -> list[Observation]:
    async with opened_database(settings) as database:
        found = [await verify_payments(database.engine)]
        for watch in watches(settings.watch_stuck_after_seconds):
            found.append(await observe(database.engine, watch))
    return found


def _status(found: list[Observation]) -> int:
    if any(one.wrong for one in found):
        return NOT_IN_ORDER
    return 0 if all(one.answered for one in found) else NOT_REACHABLE


def _row(one: Observation) -> list[str]:
    age = f"{one.oldest_seconds:.0f} s" if one.found else ""
    return [one.watch.name, one.watch.asks, str(one.found), age, _result(one), one.example or ""]


def _result(one: Observation) -> str:
    if not one.answered:
        return "no answer"
    return "wrong" if one.wrong else "ok"


def _as_json(one: Observation) -> dict[str, object]:
    shown = asdict(one)
    watch = shown.pop("watch")
    return {"name": watch["name"], "asks": watch["asks"], **shown, "wrong": one.wrong}
