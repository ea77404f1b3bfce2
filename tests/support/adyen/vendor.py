"""What the stand-in of Adyen knows: payments, transfers, effects, keys, and what it has to tell.

Modifications and transfers are taken at once and processed on their own; what became of them is
told by notification only.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.support.adyen import signing
from tests.support.adyen.signing import ACCOUNT, Sent

UNNAMED_CARD = "UNNAMED000000001"
"""Challenged like the other; Adyen's own name of the payment comes only with its notification."""

DECLINED_CARD, POOR_CARD, CHALLENGED_CARD = (
    "DECLINEDCARD0001",
    "POORCARD00000001",
    "CHALLENGED000001",
)
CLOSED_ACCOUNT, RETURNING_ACCOUNT = "SECLOSED00000001", "SERETURNING00001"


@dataclass
class Payment:
    """A payment; amounts in Adyen's minor units."""

    psp: str
    reference: str
    amount: int
    currency: str
    authorised: bool = False
    decided: bool = False
    captured: int = 0
    cancelled: int = 0
    refunded: int = 0

    def returned(self, *, succeed: bool) -> str:
        """What its payer brings back to the shop's page; it decides nothing yet."""
        return f"{'good' if succeed else 'bad'}!{self.psp}"

    @property
    def left(self) -> int:
        """What can still be captured or cancelled."""
        return self.amount - self.captured - self.cancelled if self.authorised else 0


@dataclass(frozen=True)
class Made:
    """An effect: money that was moved, under the reference that the call had."""

    operation: str
    reference: str
    amount: int
    currency: str


@dataclass
class Fault:
    """A fault of one operation; `reference` None: of any."""

    operation: str
    name: str
    times: int
    reference: str | None
    delay_seconds: float
    fired: int = 0


@dataclass
class Vendor:
    """The whole state, under one lock. `names_the_payment`: notifications of modifications carry
    the payment's reference, as on some accounts.
    """

    names_the_payment: bool = False
    payments: dict[str, Payment] = field(default_factory=dict)
    transfers: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    answers: dict[str, tuple[int, dict[str, Any]] | None] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    outbox: list[Sent] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _prefix: str = field(default_factory=lambda: uuid4().hex[:7].upper())

    def new_psp(self) -> str:
        """A reference of sixteen letters and digits, of this stand-in alone.

        The letter before the number keeps it from passing for a card number by chance.
        """
        return f"{self._prefix}K{next(self._numbers):08d}"

    def fault(self, operation: str, reference: str) -> Fault | None:
        """The next armed fault that this call meets."""
        for fault in self.faults:
            wanted = fault.reference is None or reference.startswith(f"{fault.reference}/")
            if fault.operation == operation and wanted and fault.times != 0:
                fault.times -= 1
                fault.fired += 1
                return fault
        return None

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something when it is due, or at once for zero seconds."""
        if seconds <= 0:
            act()
        else:
            self._due.append((time.monotonic() + seconds, act))

    def tick(self, *, everything: bool = False) -> None:
        """Do what is due."""
        with self.lock:
            now = time.monotonic()
            due = [entry for entry in self._due if everything or entry[0] <= now]
            self._due = [entry for entry in self._due if entry not in due]
            for _, act in due:
                act()

    def tell(
        self, code: str, psp: str, reference: str, amount: tuple[int, str], **more: Any
    ) -> None:
        """Queue a standard notification of one item."""
        self.outbox.append(signing.standard(signing.item(code, psp, reference, amount, **more)))

    def authorise(self, payment: Payment, *, succeed: bool) -> None:
        """Decide a payment, and tell."""
        payment.authorised, payment.decided = succeed, True
        if succeed:
            self._note("authorize", payment.reference, payment.amount, payment.currency)
        amount = (payment.amount, payment.currency)
        self.tell("AUTHORISATION", payment.psp, payment.reference, amount, success=succeed)

    def reference_of(self, details: dict[str, str]) -> str:
        """Our reference of the payment that this was brought back from."""
        payment = self._returning(details)
        return payment.reference if payment is not None else ""

    def brought_back(self, details: dict[str, str]) -> Payment | None:
        """Decide a payment by what its payer brought back, and tell; once. None: it is of no
        payment.
        """
        payment = self._returning(details)
        if payment is not None and not payment.decided:
            self.authorise(payment, succeed=details["redirectResult"].startswith("good!"))
        return payment

    def _returning(self, details: dict[str, str]) -> Payment | None:
        word, _, psp = details.get("redirectResult", "").partition("!")
        return self.payments.get(psp.partition("!")[0]) if word in ("good", "bad") else None

    def modify(self, kind: str, payment: Payment, psp: str, reference: str, value: int) -> None:
        """Process a capture, a void or a refund, and tell what became of it."""
        code = {"capture": "CAPTURE", "refund": "REFUND"}.get(kind, "CANCELLATION")
        amount = payment.left if kind == "void" else value
        bound = payment.captured - payment.refunded if kind == "refund" else payment.left
        works = 0 < amount <= bound
        if works:
            self._moved(kind, payment, amount)
            self._note(kind, reference, amount, payment.currency)
        told = (value or amount, payment.currency)
        named = payment.reference if self.names_the_payment else reference
        self.named[reference] = named
        self.tell(code, psp, named, told, success=works, original=payment.psp)

    def cancel_by_reference(self, of: str, psp: str, reference: str) -> None:
        """Cancel the payment that was asked for under our reference, and tell."""
        found = [one for one in self.payments.values() if one.reference == of and one.left]
        amount = (found[0].left, found[0].currency) if found else (0, "EUR")
        if found:
            self._moved("void", found[0], amount[0])
            self._note("void", reference, *amount)
        self.tell("TECHNICAL_CANCEL", psp, reference, amount, success=bool(found))

    def _moved(self, kind: str, payment: Payment, amount: int) -> None:
        if kind == "capture":
            payment.captured += amount
        elif kind == "void":
            payment.cancelled += amount
        else:
            payment.refunded += amount

    def take_back(self, code: str, of: str) -> None:
        """Tell that what was done has failed after all: `CAPTURE_FAILED` and the like. `of` begins
        the reference of what was made.
        """
        with self.lock:
            made = next(one for one in self.made if one.reference.startswith(of))
            psp = self.psp_of(made.reference)
            self.tell(code, psp, self.named[made.reference], (made.amount, made.currency))

    def psp_of(self, reference: str) -> str:
        """Adyen's own name of what was asked under a reference."""
        answers = [answer for answer in self.answers.values() if answer is not None]
        return next(
            str(body["pspReference"]) for _, body in answers if body.get("reference") == reference
        )

    def transfer(self, transfer_id: str, body: dict[str, Any], delay_seconds: float) -> None:
        """Carry a transfer through its statuses."""
        amount = (int(body["amount"]["value"]), str(body["amount"]["currency"]))
        account = body["counterparty"]["transferInstrumentId"]
        reference = body["reference"]
        self.transfers[reference] = transfer_id

        def told(status: str, reason: str = "approved") -> None:
            self.outbox.append(
                signing.transfer(transfer_id, reference, status, amount, reason=reason)
            )

        def book() -> None:
            if account == CLOSED_ACCOUNT:
                return told("refused", "counterpartyAccountClosed")
            self._note("create_payout", reference, *amount)
            told("booked")
            if account == RETURNING_ACCOUNT:
                self.later(0.2, lambda: told("returned", "refusedByCounterpartyBank"))
            return None

        told("received")
        self.later(delay_seconds, book)

    def _note(self, operation: str, reference: str, amount: int, currency: str) -> None:
        self.made.append(Made(operation, reference, amount, currency))

    def report(self) -> str:
        """A settlement detail report of all captures and refunds, without fees."""
        columns = [
            *("Company Account", "Merchant Account", "Psp Reference", "Merchant Reference"),
            *("Payment Method", "Creation Date", "TimeZone", "Type", "Modification Reference"),
            *("Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)", "Exchange Rate"),
            *("Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)"),
            *("Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant"),
            *("Modification Merchant Reference", "Batch Number"),
        ]
        lines = [",".join(columns)]
        for made in self.made:
            if made.operation not in ("capture", "refund"):
                continue
            text = f"{made.amount // 100}.{made.amount % 100:02d}"
            debit, credit = ("", text) if made.operation == "capture" else (text, "")
            kind = "Settled" if made.operation == "capture" else "Refunded"
            row = ["TestCompany", ACCOUNT, "P1", "", "visa", "2024-02-29 10:00:00", "UTC", kind]
            row += [self.psp_of(made.reference), made.currency, debit, credit, "1", made.currency]
            row += [debit, credit, "", "", "", "", "visacredit", made.reference, "1"]
            lines.append(",".join(row))
        return "\n".join(lines) + "\n"
