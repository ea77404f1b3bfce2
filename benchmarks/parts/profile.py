"""Where the time goes: samples of the API and of a worker under load, by py-spy."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import open_lab
from benchmarks.load import closed_loop
from benchmarks.results import ROOT
from benchmarks.rounds import warm_up
from benchmarks.subjects import platform_ask

IN_FLIGHT = 8
SECONDS = 8
LINES = 45
PY_SPY = Path(sys.executable).with_name("py-spy")
_PLACE = re.compile(r"^(?P<function>.+) \((?P<file>[^:]+?)(?::\d+)?\)$")


async def measure(bench: Bench) -> None:
    """Keep for each process what it was seen doing, as text beside the result."""
    bench.told("starting the stack")
    async with open_lab() as lab, async_client(lab.stack.api_url) as api:
        ask = platform_ask([api], lab.stack.tokens.backend)
        await warm_up({"platform": ask}, bench.told)
        bench.told("sampling")
        pids = {"api": lab.stack.pids.api[0], "worker": lab.stack.pids.workers[0]}
        raw = {name: lab.log(f"profile-{name}") for name in pids}
        samplers = [asyncio.create_task(_sample(pid, raw[name])) for name, pid in pids.items()]
        await closed_loop(ask, IN_FLIGHT, SECONDS + 1, {})
        await asyncio.gather(*samplers)
        for name, file in raw.items():
            text = summary(file.read_text(encoding="utf-8").splitlines())
            kept = bench.result.beside(f"profile-{name}.txt")
            kept.write_text(text, encoding="utf-8")


async def _sample(pid: int, file: Path) -> None:
    """Raises `RuntimeError` with py-spy's words when it may not look into the process."""
    command = [str(PY_SPY), "record", "--pid", str(pid), "--duration", str(SECONDS)]
    # Only the thread that holds the GIL is at work: the others wait, and would fill the page.
    command += ["--gil", "--rate", "200", "--format", "raw", "--output", str(file)]
    sampler = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, words = await sampler.communicate()
    if sampler.returncode != 0:
        raise RuntimeError(f"py-spy: {words.decode(errors='replace').strip()}")


def summary(stacks: Iterable[str]) -> str:
    """Where samples ended, and what they passed through, by function, in percent of all samples.

    `stacks` are py-spy's raw lines: frames from the outermost, then how often they were seen.
    """
    ended: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        names = [_short(frame) for frame in frames.split(";") if frame]
        if not names:
            continue
        ended[names[-1]] += int(count)
        packages[_package(names[-1])] += int(count)
        for name in set(names):
            passed[name] += int(count)
    total = max(1, ended.total())
    return "\n".join(
        (
            f"{total} samples of Python at work",
            "",
            "ended in, by package (% of samples)",
            *_lines(packages, total),
            "",
            "ended in (% of samples)",
            *_lines(ended, total),
            "",
            "passed through (% of samples)",
            *_lines(passed, total),
            "",
        )
    )


def _lines(found: Counter[str], total: int) -> list[str]:
    return [f"{100 * count / total:6.1f}  {name}" for name, count in found.most_common(LINES)]


def _package(name: str) -> str:
    """The first folder of a short name."""
    return name.rpartition("(")[2].rstrip(")").partition("/")[0].removesuffix(".py")


def _short(frame: str) -> str:
    """Function and file, from the package on: where it lies on this machine is no news."""
    matched = _PLACE.match(frame)
    if matched is None:
        return frame
    file = matched["file"].rpartition("site-packages/")[2].removeprefix(f"{ROOT}/")
    return f"{matched['function']} ({'/'.join(file.split('/')[-4:]).lstrip('/')})"
