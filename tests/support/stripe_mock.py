"""Stripe's own stateless mock, which knows every parameter of its API: built with Go once, kept in
the cache, and run on 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.support.sandbox import free_port

MODULE = Path(__file__).parent / "stripe_mock_module"
"""A Go module that pins it; its go.sum pins all that goes into the build."""

_START_TIMEOUT_SECONDS = 30


def stripe_mock_binary() -> Path | None:
    """The program, from the cache or built now; None where it is not there and there is no Go."""
    target = _cached()
    if target.exists():
        return target
    go = shutil.which("go")
    if go is None:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(go, target)
    return target


@contextlib.contextmanager
def running_stripe_mock(binary: Path) -> Iterator[str]:
    """Serve on a free port; yields the base URL."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    # Without an address of ours it listens on every interface.
    command = [str(binary), "-http-addr", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_serves(process, base_url)
            yield base_url
        finally:
            process.terminate()


def _cached() -> Path:
    text = (MODULE / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"github\.com/stripe/stripe-mock v(\S+)", text)
    assert found is not None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "recompense" / "stripe-mock" / found[1] / "stripe-mock"


def _build(go: str, target: Path) -> None:
    # On the target's file system, so that the last step is a rename: a killed build leaves nothing.
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as folder:
        new = Path(folder) / "stripe-mock"
        command = [go, "build", "-C", str(MODULE), "-buildvcs=false", "-trimpath", "-o", str(new)]
        subprocess.run([*command, "github.com/stripe/stripe-mock"], check=True)
        new.rename(target)


def _wait_until_it_serves(process: subprocess.Popen[bytes], base_url: str) -> None:
    give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise RuntimeError(f"stripe-mock ended with status {process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            httpx.get(base_url, trust_env=False)
            return
        time.sleep(0.05)
    raise RuntimeError("stripe-mock does not serve")
