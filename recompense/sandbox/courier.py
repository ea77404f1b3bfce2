"""Sends what is due: ripened objects become events, events become signed HTTP requests."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sqlite3
import time
from collections.abc import Callable

import httpx

from recompense.sandbox.lifecycle import Lifecycle
from recompense.sandbox.options import Options
from recompense.sandbox.outbox import Mode, Outbox
from recompense.sandbox.store import Store

_DELIVERY_TIMEOUT_SECONDS = 5.0
_DELIVERIES_AT_ONCE = 16
_LONGEST_SLEEP_SECONDS = 1.0


def signature(secrets: tuple[str, ...], timestamp: int, body: bytes) -> str:
    """`t=<unix time>,v1=<hex>` with one `v1` for each live secret: HMAC-SHA256 over `<unix
    time>.<body>`.
    """
    signed = f"{timestamp}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={mark}" for mark in marks)])


class Courier:
    """Two loops that sleep until something is due. `wake()` shortens the sleep."""

    def __init__(
        self, store: Store, options: Options, lifecycle: Lifecycle, outbox: Outbox
    ) -> None:
        self._store = store
        self._options = options
        self._lifecycle = lifecycle
        self._outbox = outbox
        self._woken = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Something new may be due soon."""
        self._woken.set()

    async def run(self) -> None:
        """Ripen and deliver until cancelled."""
        limits = httpx.Limits(max_connections=_DELIVERIES_AT_ONCE)
        timeout = httpx.Timeout(_DELIVERY_TIMEOUT_SECONDS)
        async with httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as client:
            try:
                while True:
                    self._woken.clear()
                    with self._store.transaction():
                        self._lifecycle.ripen()
                    self._start_due_deliveries(client)
                    await self._sleep()
            finally:
                for task in self._under_way.values():
                    task.cancel()

    def _start_due_deliveries(self, client: httpx.AsyncClient) -> None:
        if not self._options.webhook_url:
            return
        for event in self._outbox.due():
            if len(self._under_way) >= _DELIVERIES_AT_ONCE:
                return
            if event["seq"] not in self._under_way:
                task = asyncio.create_task(self._deliver(client, event))
                self._under_way[event["seq"]] = task
                task.add_done_callback(self._forgetting(event["seq"]))

    def _forgetting(self, seq: int) -> Callable[[asyncio.Task[None]], None]:
        def forget(_task: asyncio.Task[None]) -> None:
            self._under_way.pop(seq, None)
            self.wake()

        return forget

    async def _deliver(self, client: httpx.AsyncClient, event: sqlite3.Row) -> None:
        body = event["body"].encode()
        sent_at = time.time()
        forged = event["mode"] == Mode.FORGE
        secrets = ("a secret that nobody shared",) if forged else self._options.webhook_secrets
        headers = {
            "content-type": "application/json",
            "sandbox-event-id": event["event_id"],
            "sandbox-signature": signature(secrets, int(sent_at), body),
        }
        try:
            answer = await client.post(self._options.webhook_url, content=body, headers=headers)
            status_code: int | None = answer.status_code
        except httpx.HTTPError:
            status_code = None
        self._outbox.record(event, sent_at, status_code, headers)

    async def _sleep(self) -> None:
        # Deliveries under way keep their event due; the one that ends wakes this loop.
        due_at = self._lifecycle.next_due()
        if not self._under_way and self._options.webhook_url:
            event_due = self._outbox.next_due()
            due_at = min(
                (moment for moment in (due_at, event_due) if moment is not None), default=None
            )
        pause = _LONGEST_SLEEP_SECONDS if due_at is None else max(due_at - time.time(), 0)
        try:
            async with asyncio.timeout(min(pause, _LONGEST_SLEEP_SECONDS)):
                await self._woken.wait()
        except TimeoutError:
            return
