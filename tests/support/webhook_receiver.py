"""A place for webhooks to arrive: it keeps what it got and answers as it is told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Delivery:
    """One delivery as it arrived."""

    headers: dict[str, str]
    body: bytes


@dataclass
class WebhookReceiver:
    """`statuses` are used up one by one, then every delivery is answered with 200; none is answered
    while `gate` is closed.
    """

    url: str
    deliveries: list[Delivery] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def wait_for(
        self, enough: Callable[[list[Delivery]], bool], *, give_up_after_seconds: float = 20
    ) -> list[Delivery]:
        """Wait until what has arrived is enough. Raises `TimeoutError` when it never is."""
        give_up_at = time.monotonic() + give_up_after_seconds
        while time.monotonic() < give_up_at:
            arrived = list(self.deliveries)
            if enough(arrived):
                return arrived
            time.sleep(0.02)
        raise TimeoutError(f"only {len(self.deliveries)} webhooks arrived")


@contextlib.contextmanager
def receiving_webhooks() -> Iterator[WebhookReceiver]:
    """Listen on a free port of 127.0.0.1."""
    receiver = WebhookReceiver(url="")
    receiver.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.deliveries.append(Delivery(headers, body))
            receiver.gate.wait()
            with contextlib.suppress(ConnectionError):
                self.answer()

        def answer(self) -> None:
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/webhooks/sandbox"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
