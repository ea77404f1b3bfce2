"""Where the Temporal CLI comes from: PATH, the cache, the SDK's own download, or Go."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from recompense.stack.errors import OK, StackError

MODULE = Path(__file__).parent / "temporal_cli"
"""A Go module of our own that pins the CLI; its go.sum pins all that goes into the build."""

DOWNLOAD_STALL_SECONDS = 15.0
DOWNLOAD_SECONDS = 300.0
REPORT_EVERY_SECONDS = 10.0

Report = Callable[[str], None]


class Slow(Exception):
    """A step did not get on in the time it was given."""


def pinned_version() -> str:
    """The CLI's version, from go.mod: a binary that Go built calls itself 0.0.0-DEV."""
    found = re.search(
        r"github\.com/temporalio/cli v(\S+)", (MODULE / "go.mod").read_text(encoding="utf-8")
    )
    if found is None:
        raise StackError(f"{MODULE / 'go.mod'} does not require github.com/temporalio/cli")
    return found[1]


def cached_binary() -> Path:
    """Where the pinned CLI is kept, outside the tree, so that a second clone finds it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "recompense" / "temporal-cli" / pinned_version() / "temporal"


def find_temporal() -> Path | None:
    """A CLI that is here already: on PATH, else in the cache."""
    on_path = shutil.which("temporal")
    if on_path is not None:
        return Path(on_path)
    cached = cached_binary()
    return cached if cached.exists() else None


def ensure_temporal(report: Report) -> Path:
    """A CLI that is here already, or a new one in the cache; `report` gets lines for a person.

    Raises:
        StackError: it can neither be downloaded nor built; the message says what would help.
    """
    found = find_temporal()
    if found is not None:
        return found
    target = cached_binary()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_one_at_a_time(target.parent, report):
        if not target.exists():
            _fetch(target, report)
    return target


def _fetch(target: Path, report: Report) -> None:
    # On the target's file system, so that the last step is a rename: a killed build leaves nothing.
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as folder:
        new = _downloaded(Path(folder), report) or _built(Path(folder), report)
        new.chmod(0o755)
        new.rename(target)
    report(f"Temporal CLI {pinned_version()} is in {target.parent}")


@contextlib.contextmanager
def _only_one_at_a_time(folder: Path, report: Report) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is fetching the Temporal CLI: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _downloaded(folder: Path, report: Report) -> Path | None:
    """The SDK's own download, in a process that can be ended when it does not get on."""
    report("Temporal CLI: asking the SDK to download it")
    command = [
        sys.executable,
        "-m",
        "recompense.stack.temporal_download",
        str(folder),
        f"v{pinned_version()}",
    ]
    try:
        _run(command, folder, lambda _elapsed: None, stall_seconds=DOWNLOAD_STALL_SECONDS)
    except (Slow, subprocess.CalledProcessError):
        report("Temporal CLI: no download from here")
        return None
    return next((file for file in folder.iterdir() if os.access(file, os.X_OK)), None)


def _built(folder: Path, report: Report) -> Path:
    go = shutil.which("go")
    if go is None:
        raise StackError(
            "there is no Temporal CLI: none on PATH, no download from here, and no Go to build it. "
            "Install the Temporal CLI or Go 1.26, or name a running server with TEMPORAL_ADDRESS"
        )
    report(f"Temporal CLI: building {pinned_version()} with Go, once; some five minutes")
    new = folder / "temporal"
    command = [
        go,
        "build",
        "-C",
        str(MODULE),
        "-buildvcs=false",
        "-trimpath",
        "-ldflags=-s -w",
        "-o",
        str(new),
    ]
    command.append("github.com/temporalio/cli/cmd/temporal")
    try:
        _run(
            command,
            folder,
            lambda elapsed: report(f"Temporal CLI: building, {elapsed:.0f} s so far"),
        )
    except subprocess.CalledProcessError as error:
        raise StackError(f"the Temporal CLI could not be built:\n{error.stderr}") from error
    return new


def _run(
    command: list[str],
    folder: Path,
    tick: Callable[[float], None],
    *,
    stall_seconds: float | None = None,
) -> None:
    """Run a command and tell how long it takes.

    With `stall_seconds` it is ended when the folder does not grow for so long.
    """
    started = reported = grown = time.monotonic()
    size = 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module, or Go from PATH
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        try:
            while process.poll() is None:
                time.sleep(0.2)
                now, before, size = time.monotonic(), size, _size(folder)
                grown = now if size > before else grown
                if stall_seconds and (
                    now - grown > stall_seconds or now - started > DOWNLOAD_SECONDS
                ):
                    raise Slow
                if now - reported > REPORT_EVERY_SECONDS:
                    reported = now
                    tick(now - started)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            output.seek(0)
            raise subprocess.CalledProcessError(
                process.returncode, command, stderr=output.read()[-4000:]
            )


def _size(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def main() -> int:
    """See that there is a CLI unless a server is named, telling a person how it goes."""
    if os.environ.get("TEMPORAL_ADDRESS"):
        return OK
    try:
        ensure_temporal(_tell)
    except StackError as error:
        _tell(str(error))
        return error.exit_status
    return OK


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
