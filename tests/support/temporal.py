"""A real Temporal dev server for tests, set up as the embedded stack sets it up."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recompense.contracts import search_attributes
from recompense.stack.temporal_binary import find_temporal
from tests.support.sandbox import free_port

START_SECONDS = 30.0


@contextmanager
def running_temporal(directory: Path) -> Iterator[str]:
    """Run a dev server without UI on a free port; yields its address."""
    port = free_port()
    command = [
        str(find_temporal()),
        "server",
        "start-dev",
        "--headless",
        "--ip",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "error",
    ]
    for key in search_attributes.ALL:
        kind = "Bool" if key is search_attributes.NEEDS_ATTENTION else "Keyword"
        command += ["--search-attribute", f"{key.name}={kind}"]
    for setting in (
        "history.transferProcessorMaxPollRPS=5000",
        "history.timerProcessorMaxPollRPS=500",
        "history.visibilityProcessorMaxPollRPS=500",
        "matching.numTaskqueueReadPartitions=1",
        "matching.numTaskqueueWritePartitions=1",
    ):
        command += ["--dynamic-config-value", setting]
    log = (directory / "temporal.log").open("wb")
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_it_listens(server, port)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)
        log.close()


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the Temporal dev server ended with {server.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the Temporal dev server does not answer")
