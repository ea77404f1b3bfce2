"""Where the Temporal CLI comes from, in which order, and what is said when it cannot be had."""

from __future__ import annotations

import multiprocessing
import os
import stat
import sys
from pathlib import Path

import pytest

from recompense.stack import temporal_binary
from recompense.stack.errors import StackError
from recompense.stack.temporal_binary import (
    cached_binary,
    ensure_temporal,
    find_temporal,
    pinned_version,
)

FAKE_GO = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
sleep "${FAKE_GO_SECONDS:-0}"
echo built >> "$FAKE_GO_LOG"
echo '#!/bin/sh' > "$2"
exit "${FAKE_GO_STATUS:-0}"
"""


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a Temporal CLI and without a network; a shell script still runs."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GO_LOG", str(tmp_path / "builds"))
    monkeypatch.setattr(temporal_binary, "_downloaded", lambda _folder, _report: None)
    return tmp_path


def test_the_version_comes_from_the_go_module() -> None:
    assert pinned_version().split(".")[0].isdigit()
    assert "replace" in (temporal_binary.MODULE / "go.mod").read_text()
    assert (temporal_binary.MODULE / "go.sum").exists()


def test_a_program_on_path_wins_over_the_cache(machine: Path) -> None:
    program(cached_binary())
    on_path = program(machine / "bin" / "temporal")
    assert find_temporal() == on_path


def test_the_cache_is_used_when_path_has_none(machine: Path) -> None:
    cached = program(cached_binary())
    assert cached.is_relative_to(machine / "cache")
    assert pinned_version() in cached.parts
    assert ensure_temporal(lambda _line: None) == cached


def test_without_a_cache_directory_it_lies_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cached_binary().is_relative_to("/home/someone/.cache/recompense")


def test_a_build_ends_up_in_the_cache_and_is_not_done_twice(machine: Path) -> None:
    program(machine / "bin" / "go", FAKE_GO)
    lines: list[str] = []
    built = ensure_temporal(lines.append)
    assert built == cached_binary()
    assert built.stat().st_mode & stat.S_IXUSR
    assert any("building" in line for line in lines)
    assert ensure_temporal(lines.append) == built
    assert (machine / "builds").read_text() == "built\n"


def test_a_failed_build_says_why_and_leaves_nothing(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(machine / "bin" / "go", "#!/bin/sh\necho no such module >&2\nexit 1\n")
    with pytest.raises(StackError, match="no such module"):
        ensure_temporal(lambda _line: None)
    assert [file.name for file in cached_binary().parent.iterdir()] == [".lock"]


def test_without_go_the_message_names_every_way_out(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine / "bin"))
    with pytest.raises(StackError) as caught:
        ensure_temporal(lambda _line: None)
    for way in ("PATH", "Go", "TEMPORAL_ADDRESS"):
        assert way in str(caught.value)


def test_two_at_once_build_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(machine / "bin" / "go", FAKE_GO)
    monkeypatch.setenv("FAKE_GO_SECONDS", "1")
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=ensure_temporal, args=(_say_nothing,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (machine / "builds").read_text() == "built\n"


def _say_nothing(_line: str) -> None:
    """A report that nobody reads."""


def test_a_download_that_does_not_get_on_is_ended(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(temporal_binary, "DOWNLOAD_STALL_SECONDS", 0.5)
    pid_file = machine / "pid"
    hanging = program(machine / "hang", f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 600\n")
    monkeypatch.setattr(sys, "executable", str(hanging))
    lines: list[str] = []
    assert temporal_binary._downloaded(machine, lines.append) is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_named_server_needs_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    assert temporal_binary.main() == 0
    assert not cached_binary().parent.exists()
