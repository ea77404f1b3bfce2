"""A sandbox provider in a process of its own, on a free port, for any tier that needs one."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_START_TIMEOUT_SECONDS = 30
_STOP_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: its address, its process, and the control surface in Python's words."""

    base_url: str
    webhook_secret: str
    process: subprocess.Popen[bytes]
    http: httpx.Client

    def arm(
        self,
        operation: str,
        fault: str,
        *,
        times: int = 1,
        reference: str | None = None,
        delay_ms: int | None = None,
    ) -> None:
        """Script a fault."""
        body: dict[str, Any] = {"operation": operation, "fault": fault, "times": times}
        if reference is not None:
            body["match"] = {"reference": reference}
        if delay_ms is not None:
            body["delay_ms"] = delay_ms
        self.http.post("/_control/faults", json=body).raise_for_status()

    def clear_faults(self) -> None:
        """Forget every fault."""
        self.http.delete("/_control/faults").raise_for_status()

    def faults(self) -> list[dict[str, Any]]:
        """The armed faults with their counts."""
        return self._data("/_control/faults")

    def fired(self) -> int:
        """How often the faults that are listed have fired, all together."""
        return sum(fault["fired"] for fault in self.faults())

    def effects(self, reference: str | None = None) -> list[dict[str, Any]]:
        """The money effects that were made, for one reference or all of them."""
        return self._data(
            "/_control/effects", {} if reference is None else {"reference": reference}
        )

    def webhooks(self) -> list[dict[str, Any]]:
        """The webhooks that were sent."""
        return self._data("/_control/webhooks")

    def webhook_mode(self, mode: str, delay_ms: int | None = None) -> None:
        """How webhooks are sent from now on."""
        body: dict[str, Any] = {"mode": mode}
        if delay_ms is not None:
            body["delay_ms"] = delay_ms
        self.http.post("/_control/webhooks", json=body).raise_for_status()

    def _data(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        answer = self.http.get(path, params=dict(query or {})).raise_for_status()
        data: list[dict[str, Any]] = answer.json()["data"]
        return data


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_sandbox(
    data_file: Path,
    *,
    port: int | None = None,
    webhook_url: str = "",
    webhook_secret: str = "a_test_secret",  # noqa: S107 - a test's own
    **options: str | float,
) -> Iterator[Sandbox]:
    """Start a sandbox and stop it afterwards.

    `options` are its command line by name: `pending_delay_ms=100` becomes `--pending-delay-ms 100`.
    """
    chosen = port or free_port()
    settings = {
        "port": chosen,
        "data_file": data_file,
        "webhook_url": webhook_url,
        "webhook_secret": webhook_secret,
        **options,
    }
    command = [sys.executable, "-m", "recompense.sandbox"]
    for name, value in settings.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    base_url = f"http://127.0.0.1:{chosen}"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RECOMPENSE_SANDBOX_")
    }
    with (
        subprocess.Popen(command, env=environment) as process,
        httpx.Client(base_url=base_url, trust_env=False, timeout=10) as http,
    ):
        try:
            _wait_until_healthy(process, http)
            yield Sandbox(base_url, webhook_secret, process, http)
        finally:
            _stop(process)


def _wait_until_healthy(process: subprocess.Popen[bytes], http: httpx.Client) -> None:
    give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise RuntimeError(f"the sandbox ended with status {process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            if http.get("/healthz").is_success:
                return
        time.sleep(0.05)
    raise RuntimeError("the sandbox did not become healthy")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
