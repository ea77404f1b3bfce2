"""The network between the workers and each of the others falls silent for longer than any timeout
of a call, in the middle of a burst, and heals: nothing is lost, nothing doubled, nobody is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from recompense.stack.ports import ports_from_base
from tests.support import worker_hooks
from tests.support.burst import Burst
from tests.support.census import SOAK, count
from tests.support.silent_link import Loss, SilentLink, silent_links
from tests.support.stack import TestStack, free_port_base, stack_of_its_own
from tests.support.stack_books import assert_nothing_lost_or_doubled, quiet

SILENT_SECONDS = 10.0
"""Longer than a workflow task (3 s), than a try of a call (6 s), than a statement (1.5 s)."""

FAR = ("postgres", "temporal", "sandbox")
LOSSES: tuple[Loss, ...] = ("held", "dropped", "forgotten")
CASES: list[tuple[str, Loss]] = [(part, loss) for part in FAR for loss in LOSSES]
SMOKE: list[tuple[str, Loss]] = [("postgres", "dropped")]


@dataclass(frozen=True)
class FarStack:
    """A stack whose workers reach the other parts over links."""

    stack: TestStack
    links: dict[str, SilentLink]


@pytest.fixture(scope="module")
def far() -> Iterator[FarStack]:
    """One stack for all silences: what one has left behind must not hurt the next."""
    base = free_port_base()
    ports = [ports_from_base(base)[f"{part}_port"] for part in FAR]
    with silent_links(*ports) as links:
        hooks = worker_hooks.settings(
            far_ports={port: link.port for port, link in zip(ports, links, strict=True)}
        )
        with stack_of_its_own(hooks, port_base=base) as stack:
            stack.up()
            yield FarStack(stack, dict(zip(FAR, links, strict=True)))


@pytest.mark.parametrize(("part", "loss"), CASES if SOAK else SMOKE)
async def test_silent_network_loses_and_doubles_nothing(
    far: FarStack, part: str, loss: Loss
) -> None:
    link, before = far.links[part], far.links[part].withheld
    burst = Burst(far.stack, seed=100 + CASES.index((part, loss)))
    running = asyncio.create_task(burst.run())
    await burst.a_quarter_done(running)
    link.fall_silent(loss)
    await asyncio.sleep(SILENT_SECONDS)
    assert link.withheld > before, "nothing was sent into the silence: the case proves nothing"
    assert not running.done(), "the burst went on without the link: the case proves nothing"
    link.heal()
    await running
    assert burst.ended_well
    # A call whose time runs out in the silence, on its way to the provider or to the worker, may be
    # given up: taken back, and nobody is asked.
    given_up = ("done", "failed") if part in {"sandbox", "temporal"} else ("done",)
    await quiet(far.stack, ends=given_up)
    await assert_nothing_lost_or_doubled(far.stack, burst.acknowledged)
    count("cases by fault", f"silence between the workers and {part}, what was sent is {loss}")
