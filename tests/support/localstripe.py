"""localstripe in a process of its own, on a free port, for any tier that needs it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.sandbox import free_port

API_KEY = "sk_test_of_these_tests"
_START_TIMEOUT_SECONDS = 30
_STOP_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Localstripe:
    """A running localstripe, asked by its own API."""

    base_url: str
    process: subprocess.Popen[bytes]
    http: httpx.Client

    def all(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind (`payment_intents`), newest first."""
        answer = self.http.get(f"/v1/{kind}", params={"limit": "100000"}).raise_for_status()
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    def change(self, kind: str, name: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Change an object, as only a stand-in lets one."""
        answer = self.http.post(f"/v1/{kind}/{name}", data=dict(form)).raise_for_status()
        changed: dict[str, Any] = answer.json()
        return changed

    def card(self, number: str) -> str:
        """Make a payment method of a card number that Stripe has for tests; its id."""
        card = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
        form = {"type": "card", **{f"card[{name}]": text for name, text in card.items()}}
        answer = self.http.post("/v1/payment_methods", data=form).raise_for_status()
        method: str = answer.json()["id"]
        return method

    def send_webhooks_to(self, url: str, secret: str) -> None:
        """Tell it where events go, and what signs them."""
        hook = {"url": url, "secret": secret}
        self.http.post("/_config/webhooks/tests", json=hook).raise_for_status()


@contextlib.contextmanager
def running_localstripe(port: int | None = None) -> Iterator[Localstripe]:
    """Start it and stop it afterwards. It keeps everything in its memory."""
    chosen = port or free_port()
    command = [sys.executable, "-m", "tests.support.localstripe_process", str(chosen)]
    base_url = f"http://127.0.0.1:{chosen}"
    headers = {"authorization": f"Bearer {API_KEY}"}
    with (
        subprocess.Popen(command) as process,
        httpx.Client(base_url=base_url, headers=headers, trust_env=False, timeout=10) as http,
    ):
        try:
            _wait_until_it_serves(process, http)
            yield Localstripe(base_url, process, http)
        finally:
            _stop(process)


def _wait_until_it_serves(process: subprocess.Popen[bytes], http: httpx.Client) -> None:
    give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise RuntimeError(f"localstripe ended with status {process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            if http.get("/v1/balance").is_success:
                return
        time.sleep(0.05)
    raise RuntimeError("localstripe does not serve")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
