"""`kill -9` of one of two processes with payments under way: how many are left without an outcome.

Nothing starts the killed process again: what it had begun is either taken up by the others, or
waits for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import psycopg

from benchmarks.bench import Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import Lab, controls, open_lab
from benchmarks.load import Ask
from benchmarks.sandbox import Sandbox
from benchmarks.subjects import WrongOutcome, subjects

PAYMENTS = 24
PROVIDER_DELAY_MS = 700
WAIT_SECONDS = 20
OUTCOMES = "SELECT count(*) FILTER (WHERE status = 'authorized'), count(*) FROM payments"

Victim = Callable[[Lab], int]


async def measure(bench: Bench) -> None:
    """Payments that nobody has decided twenty seconds after the kill, of ours and of the peer's."""
    bench.told("starting the stack and the peer")
    async with (
        open_lab(restarts=False) as lab,
        controls(lab, "peer"),
        subjects(lab, "platform", "peer") as asks,
        async_client(lab.stack.sandbox_url) as http,
    ):
        sandbox = Sandbox(http)
        for name, url, victim in (
            ("platform", lab.superuser_url(), _a_worker),
            ("peer", lab.owner_url("peer"), _a_peer),
        ):
            await asyncio.gather(*(asks[name]() for _ in range(4)))
            bench.told(f"{name}: {PAYMENTS} payments, and one process killed")
            left = await _left_hanging(lab, sandbox, asks[name], url, victim)
            bench.note(f"hanging.{name}", left, f"of {PAYMENTS}")


def _a_worker(lab: Lab) -> int:
    return lab.stack.pids.workers[0]


def _a_peer(lab: Lab) -> int:
    return lab.controls["peer"][0]


async def _left_hanging(lab: Lab, sandbox: Sandbox, ask: Ask, url: str, victim: Victim) -> int:
    decided_before, _ = await asyncio.to_thread(_outcomes, url)
    async with sandbox.answering_after(PROVIDER_DELAY_MS):
        asked = [asyncio.ensure_future(ask()) for _ in range(PAYMENTS)]
        while await sandbox.calls() < PAYMENTS // 2:
            await asyncio.sleep(0.02)
        os.kill(victim(lab), signal.SIGKILL)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    _only_lost(answers)
    for _ in range(WAIT_SECONDS * 5):
        decided, begun = await asyncio.to_thread(_outcomes, url)
        if decided == begun:
            break
        await asyncio.sleep(0.2)
    return min(begun, decided_before + PAYMENTS) - decided


def _only_lost(answers: list[BaseException | None]) -> None:
    """A caller may lose its answer with the process, or be told to ask again; nothing else."""
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, WrongOutcome | OSError):
            if type(answer).__module__.startswith("httpx"):
                continue
            raise answer


def _outcomes(url: str) -> tuple[int, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(OUTCOMES).fetchone()
    return found or (0, 0)
