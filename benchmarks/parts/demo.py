"""`make demo` from a warm cache: how long until the first payment has its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.bench import Bench
from benchmarks.lab import ROOT, free_stack
from recompense.stack.files import StackFile, StackPaths

PATIENCE_SECONDS = 120


async def measure(bench: Bench) -> None:
    """Seconds from the command to the tour's first payment. The rest of the tour is for tests."""
    bench.told("a fresh stack, and the tour up to its first payment")
    with tempfile.TemporaryDirectory(prefix="recompense-bench-") as folder:
        data_dir = Path(folder) / "data"
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            ROOT / "scripts" / "demo",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=free_stack(data_dir),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await _first_payment(data_dir)
                bench.note("demo.first_payment", time.monotonic() - begun)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            # It takes its stack down.
            await process.wait()


async def _first_payment(data_dir: Path) -> None:
    """Wait until a payment that the tour has asked for is no longer processing."""
    while (stack := StackFile.read(StackPaths(data_dir).stack_file)) is None:
        await asyncio.sleep(0.05)
    headers = {"Authorization": f"Bearer {stack.tokens.admin}"}
    async with httpx.AsyncClient(trust_env=False, timeout=5, headers=headers) as http:
        while True:
            answer = await http.get(f"{stack.api_url}/v1/payments")
            found = answer.json()["data"] if answer.is_success else []
            if any(payment["status"] != "processing" for payment in found):
                return
            await asyncio.sleep(0.05)
