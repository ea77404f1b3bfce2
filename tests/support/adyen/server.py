"""The stand-in of Adyen over HTTP, in this process, on 127.0.0.1.

Each request and each answer is held against Adyen's API description where it is at hand; what does
not fit is kept in `violations` and refused, as Adyen would.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.support.adyen.description import Description, NotAtHand, description, notification_faults
from tests.support.adyen.signing import ACCOUNT, HMAC_KEY, TRANSFER_HMAC_KEY, Sent
from tests.support.adyen.vendor import (
    CHALLENGED_CARD,
    DECLINED_CARD,
    POOR_CARD,
    UNNAMED_CARD,
    Fault,
    Payment,
    Vendor,
)

API_KEY = "AQE-test-key"
_MODIFICATION = re.compile(r"/checkout/v71/payments/([A-Za-z0-9]+)/(captures|cancels|refunds)")
_KINDS = {"captures": "capture", "cancels": "void", "refunds": "refund"}
_SCHEMAS = {
    "authorize": ("checkout", "PaymentRequest", "PaymentResponse"),
    "details": ("checkout", "PaymentDetailsRequest", "PaymentDetailsResponse"),
    "capture": ("checkout", "PaymentCaptureRequest", "PaymentCaptureResponse"),
    "void": ("checkout", "PaymentCancelRequest", "PaymentCancelResponse"),
    "refund": ("checkout", "PaymentRefundRequest", "PaymentRefundResponse"),
    "void by reference": (
        "checkout",
        "StandalonePaymentCancelRequest",
        "StandalonePaymentCancelResponse",
    ),
    "create_payout": ("transfers", "TransferInfo", "Transfer"),
}
_TICK_SECONDS = 0.02
Answer = tuple[int, dict[str, Any]]


@dataclass
class Adyen:
    """A running stand-in. `webhook_url` None: what it has to tell is kept in `sent`."""

    base_url: str
    vendor: Vendor
    described: Description | None
    webhook_url: str | None = None
    duplicate: bool = False
    sent: list[Sent] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)

    def config(self, base_url: str | None = None) -> dict[str, Any]:
        """The adapter's configuration."""
        checkout = base_url or f"{self.base_url}/checkout/v71"
        root = checkout.removesuffix("/checkout/v71")
        return {
            "base_url": checkout,
            "api_key": API_KEY,
            "merchant_account": ACCOUNT,
            "return_url": "https://shop.example/returned",
            "hmac_keys": ["00" * 32, HMAC_KEY],
            "transfers_url": f"{root}/btl/v4",
            "balance_account": "BA00000000000000000000001",
            "transfer_hmac_keys": [TRANSFER_HMAC_KEY],
            "report_url": f"{root}/reports/settlement_detail_report_{{date}}.csv",
            "report_user": "report@Company.Test",
            "report_password": "secret",
        }

    def told(self) -> list[Sent]:
        """Everything that it has told or has to tell, once all that is owed was processed."""
        self.vendor.tick()
        with self.vendor.lock:
            return [*self.sent, *self.vendor.outbox]

    def deliver(self) -> None:
        """Send what is queued; what is not taken stays queued, as with Adyen."""
        self.vendor.tick()
        with self.vendor.lock:
            queued, self.vendor.outbox = self.vendor.outbox, []
        for sent in queued:
            self._check(sent)
            for _ in range(2 if self.duplicate else 1):
                self._post(sent)

    def _post(self, sent: Sent) -> None:
        if self.webhook_url is not None:
            try:
                answer = httpx.post(
                    self.webhook_url, content=sent.body, headers=sent.headers, trust_env=False
                )
            except httpx.HTTPError:
                self.vendor.outbox.append(sent)
                return
            self.statuses.append((answer.status_code, answer.text))
            if answer.status_code >= 300:
                self.vendor.outbox.append(sent)
                return
        self.sent.append(sent)

    def _check(self, sent: Sent) -> None:
        body = json.loads(sent.body)
        if "notificationItems" in body:
            self.vendor.violations += notification_faults(body)
        elif self.described is not None:
            self.vendor.violations += self.described.faults(
                "transfer notifications", "TransferNotificationRequest", body
            )

    def answer(self, path: str, key: str | None, body: dict[str, Any]) -> Answer:
        """Answer a POST: the stored answer for a key that was used, else a new one."""
        kind, payment = self._kind(path)
        if kind is None or key is None:
            return _error(400, "validation", "000")
        if self.described is not None:
            document, request, _ = _SCHEMAS[kind]
            faults = self.described.faults(document, request, body)
            if faults:
                self.vendor.violations += faults
                return _error(422, "validation", "130")
        fault = self._begin(kind, key, body)
        if isinstance(fault, tuple):
            return fault
        if fault is not None and fault.name == "slow":
            time.sleep(fault.delay_seconds)
        with self.vendor.lock:
            answer = self._made(kind, payment, body, fault)
            self.vendor.answers[key] = answer
        self._check_answer(kind, answer, fault)
        return answer

    def _kind(self, path: str) -> tuple[str | None, str | None]:
        if path == "/checkout/v71/payments":
            return "authorize", None
        if path == "/checkout/v71/payments/details":
            return "details", None
        if path == "/checkout/v71/cancels":
            return "void by reference", None
        if path == "/btl/v4/transfers":
            return "create_payout", None
        found = _MODIFICATION.fullmatch(path)
        return (_KINDS[found[2]], found[1]) if found else (None, None)

    def _begin(self, kind: str, key: str, body: dict[str, Any]) -> Answer | Fault | None:
        with self.vendor.lock:
            if key in self.vendor.answers:
                return self.vendor.answers[key] or _error(422, "validation", "704")
            self.vendor.answers[key] = None
            reference = body.get("reference") or self.vendor.reference_of(body["details"])
            return self.vendor.fault(kind, reference)

    def _check_answer(self, kind: str, answer: Answer, fault: Fault | None) -> None:
        strange = fault is not None and fault.name == "unknown_status"
        if self.described is None or answer[0] >= 400 or strange:
            return
        document, _, response = _SCHEMAS[kind]
        self.vendor.violations += self.described.faults(document, response, answer[1])

    def _made(
        self, kind: str, payment: str | None, body: dict[str, Any], fault: Fault | None
    ) -> Answer:
        if kind == "authorize":
            return self._pay(body, fault)
        if kind == "details":
            return self._details(body["details"])
        if kind == "create_payout":
            return self._transfer(body, fault)
        if kind == "void by reference":
            return self._cancel(body)
        known = self.vendor.payments.get(payment or "")
        if known is None:
            return _error(422, "validation", "167")
        return self._modify(kind, known, body, fault)

    def _pay(self, body: dict[str, Any], fault: Fault | None) -> Answer:
        vendor, amount = self.vendor, body["amount"]
        payment = Payment(vendor.new_psp(), body["reference"], amount["value"], amount["currency"])
        vendor.payments[payment.psp] = payment
        card = body["paymentMethod"]["storedPaymentMethodId"]
        told = {
            "pspReference": payment.psp,
            "merchantReference": payment.reference,
            "amount": amount,
        }
        name = fault.name if fault else None
        if card in (CHALLENGED_CARD, UNNAMED_CARD):
            url = f"{self.base_url}/challenge/{payment.psp}"
            action = {
                "type": "redirect",
                "url": url,
                "method": "GET",
                "paymentMethodType": "scheme",
            }
            if card == UNNAMED_CARD:
                del told["pspReference"]
            return 200, {**told, "resultCode": "RedirectShopper", "action": action}
        reasons = {DECLINED_CARD: "2", POOR_CARD: "12"}
        reasons |= {"decline": "2", "insufficient_funds": "12"}
        reason = reasons.get(card) or reasons.get(name or "")
        if reason is not None:
            vendor.authorise(payment, succeed=False)
            return 200, {**told, "resultCode": "Refused", "refusalReasonCode": reason}
        delay = fault.delay_seconds if fault and name == "pending" else 0
        vendor.later(delay, lambda: vendor.authorise(payment, succeed=True))
        result = {"pending": "Received", "unknown_status": "Meditating"}.get(
            name or "", "Authorised"
        )
        return 200, {**told, "resultCode": result}

    def _details(self, details: dict[str, str]) -> Answer:
        """Decide the payment whose payer brought this back, once: later ones find it decided."""
        payment = self.vendor.brought_back(details)
        if payment is None:
            return _error(422, "validation", "14_012")
        told: dict[str, Any] = {
            "pspReference": payment.psp,
            "merchantReference": payment.reference,
            "amount": {"value": payment.amount, "currency": payment.currency},
        }
        if payment.authorised:
            return 200, {**told, "resultCode": "Authorised"}
        return 200, {**told, "resultCode": "Refused", "refusalReasonCode": "11"}

    def _modify(
        self, kind: str, payment: Payment, body: dict[str, Any], fault: Fault | None
    ) -> Answer:
        psp, reference = self.vendor.new_psp(), body["reference"]
        value = body.get("amount", {}).get("value", 0)
        delay = fault.delay_seconds if fault and fault.name == "pending" else 0
        self.vendor.later(delay, lambda: self.vendor.modify(kind, payment, psp, reference, value))
        strange = fault is not None and fault.name == "unknown_status"
        answer = {
            "status": "meditating" if strange else "received",
            "merchantAccount": body["merchantAccount"],
            "paymentPspReference": payment.psp,
            "pspReference": psp,
            "reference": reference,
        }
        if "amount" in body:
            answer["amount"] = body["amount"]
        return 201, answer

    def _cancel(self, body: dict[str, Any]) -> Answer:
        psp, of, reference = self.vendor.new_psp(), body["paymentReference"], body["reference"]
        self.vendor.cancel_by_reference(of, psp, reference)
        return 201, {
            "status": "received",
            "merchantAccount": body["merchantAccount"],
            "paymentReference": of,
            "pspReference": psp,
            "reference": reference,
        }

    def _transfer(self, body: dict[str, Any], fault: Fault | None) -> Answer:
        transfer_id = self.vendor.new_psp()
        delay = fault.delay_seconds if fault and fault.name == "pending" else 0
        self.vendor.transfer(transfer_id, body, delay)
        strange = fault is not None and fault.name == "unknown_status"
        return 202, {
            "id": transfer_id,
            "amount": body["amount"],
            "category": "bank",
            "counterparty": {"transferInstrumentId": body["counterparty"]["transferInstrumentId"]},
            "direction": "outgoing",
            "reference": body["reference"],
            "status": "meditating" if strange else "received",
        }

    def act(self, url: str, *, succeed: bool) -> None:
        """Do what the payer does on the page that a redirect names."""
        payment = self.vendor.payments[url.rpartition("/")[2]]
        with self.vendor.lock:
            self.vendor.authorise(payment, succeed=succeed)


def _error(status: int, kind: str, code: str) -> Answer:
    """In the shape of both APIs' errors."""
    body: dict[str, Any] = {"status": status, "errorCode": code, "errorType": kind}
    return status, {**body, "type": kind, "title": "refused", "detail": "?", "message": "?"}


def _handler(live: Adyen) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("x-api-key") != API_KEY:
                return self._send(*_error(401, "security", "000"))
            status, body = live.answer(
                self.path, self.headers.get("idempotency-key"), json.loads(raw)
            )
            return self._send(status, body)

        def do_GET(self) -> None:
            report = live.vendor.report() if "_2024_02_29" in self.path else None
            if report is None:
                return self._send(404, {})
            return self._write(200, report.encode(), "text/csv")

        def _send(self, status: int, body: dict[str, Any]) -> None:
            self._write(status, json.dumps(body).encode(), "application/json")

        def _write(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    return Handler


def described_if_at_hand() -> Description | None:
    """Adyen's API description; without it the stand-in checks the notifications alone."""
    try:
        return description()
    except NotAtHand:
        return None


@contextlib.contextmanager
def running_adyen(
    *, webhook_url: str | None = None, names_the_payment: bool = False
) -> Iterator[Adyen]:
    """Serve on a free port of 127.0.0.1. Ends in an error when a request, an answer or a
    notification did not fit Adyen's description.
    """
    vendor = Vendor(names_the_payment=names_the_payment)
    live = Adyen("", vendor, described_if_at_hand(), webhook_url)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(live))
    server.daemon_threads = True
    live.base_url = f"http://127.0.0.1:{server.server_port}"
    ended = threading.Event()

    def courier() -> None:
        while not ended.wait(_TICK_SECONDS):
            live.deliver()

    threads = [
        threading.Thread(target=server.serve_forever, daemon=True),
        threading.Thread(target=courier, daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield live
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
    assert not vendor.violations, vendor.violations
