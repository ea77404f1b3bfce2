"""The load: closed loops, interleaved rounds, and what is counted in them."""

from __future__ import annotations

import asyncio
import os

import pytest

from benchmarks import rounds
from benchmarks.load import Cell, closed_loop
from benchmarks.parts.profile import summary
from benchmarks.rounds import interleaved, order


async def test_every_caller_waits_for_its_answer_before_it_asks_again() -> None:
    under_way, most = 0, 0

    async def ask() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    cell = await closed_loop(ask, 4, 0.05, {"load": [os.getpid()]})
    assert most == 4
    assert under_way == 0
    assert cell.in_flight == 4
    assert cell.latencies
    assert cell.cpu.keys() == {"load"}


async def test_first_answers_are_not_measured() -> None:
    answers = iter([0.0])

    async def ask() -> None:
        if next(answers, None) is None:
            await asyncio.sleep(0.2)

    cell = await closed_loop(ask, 1, 0.05, {})
    assert cell.latencies == []


async def test_wrong_outcome_ends_the_measurement() -> None:
    async def ask() -> None:
        raise RuntimeError("declined")

    with pytest.raises(ExceptionGroup):
        await closed_loop(ask, 2, 10, {})


async def test_single_failure_is_measured_again_and_a_second_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "PAUSE_SECONDS", 0.0)
    failures = iter([True, False])

    async def ask() -> None:
        await asyncio.sleep(0.001)
        if next(failures, False):
            raise RuntimeError("starved")

    told: list[str] = []
    cell = await rounds.patiently(ask, 1, 0.02, {}, told.append)
    assert cell.latencies
    assert "starved" in told[0]
    failures = iter([True, True])
    with pytest.raises(ExceptionGroup):
        await rounds.patiently(ask, 1, 0.02, {}, told.append)


def test_rate_and_cpu_are_of_what_ended_in_the_time_measured() -> None:
    cell = Cell(2, 4.0, [0.1] * 8, {"API": 0.02, "worker": 0.06})
    assert cell.rate == 2
    assert cell.cpu_each("API", "worker") == pytest.approx(10)


def test_each_subject_comes_first_once() -> None:
    assert [order("abc", turn)[0] for turn in range(4)] == ["a", "b", "c", "a"]


async def test_rounds_measure_every_subject_at_every_level() -> None:
    async def ask() -> None:
        await asyncio.sleep(0)

    told: list[str] = []
    cells = await interleaved(
        {"a": ask, "b": ask}, (1, 2), rounds=2, seconds=0.001, groups={}, told=told.append
    )
    assert {key: len(found) for key, found in cells.items()} == {
        ("a", 1): 2,
        ("b", 1): 2,
        ("a", 2): 2,
        ("b", 2): 2,
    }
    assert [line.partition(": ")[2][0] for line in told] == list("ababbaba")


def test_profile_counts_where_samples_end_and_what_they_pass() -> None:
    stacks = [
        "run (asyncio/base.py:10);encode (anywhere/site-packages/json/codec.py:5) 3",
        "run (asyncio/base.py:10);run (asyncio/base.py:11) 1",
    ]
    lines = summary(stacks).splitlines()
    ended, passed = (
        lines.index("ended in (% of samples)"),
        lines.index("passed through (% of samples)"),
    )
    assert lines[0].startswith("4 samples")
    assert "  75.0  json" in lines
    assert lines[ended + 1] == "  75.0  encode (json/codec.py)"
    assert lines[passed + 1] == " 100.0  run (asyncio/base.py)"
