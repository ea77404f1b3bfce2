"""Plain words for the people who read sagas in the Temporal UI: set once at the start, never
parsed.
"""

from __future__ import annotations

from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    RefundInput,
    VoidInput,
)
from recompense.domain.money import formatted

AnySagaInput = AuthorizeInput | CaptureInput | VoidInput | RefundInput | PayoutInput

ORPHAN_QUESTION = (
    "An effect stands at the provider that was taken back here, or the provider took one back"
    " that is booked here. Answer succeeded to keep it, or failed once both sides agree."
)
"""What a person is asked about a saga that has ended otherwise than at the provider."""


def summary(saga: AnySagaInput) -> str:
    """One line: what this saga is to do."""
    match saga:
        case AuthorizeInput():
            verb = "Take" if saga.capture_method == "automatic" else "Authorize"
            return f"{verb} {formatted(saga.amount, saga.currency)} for {saga.merchant_id}"
        case CaptureInput():
            what = f"{saga.amount} minor units" if saga.amount else "all that is left"
            return f"Capture {what} of {saga.payment_id}"
        case VoidInput():
            why = "its time has run out" if saga.cause == "expiry" else "it was asked"
            return f"Void the rest of {saga.payment_id}: {why}"
        case RefundInput():
            what = f"{saga.amount} minor units" if saga.amount else "all that was captured"
            return f"Refund {what} of {saga.payment_id}"
        case PayoutInput():
            return f"Pay {formatted(saga.amount, saga.currency)} out to {saga.merchant_id}"


def details(saga: AnySagaInput) -> str:
    """A few lines of Markdown: the ids that a person looks for, and who asked."""
    ref = saga.ref()
    lines = [f"**{summary(saga)}**", "", f"- Operation: `{ref.operation_id}`"]
    if ref.payment_id is not None:
        lines.append(f"- Payment: `{ref.payment_id}`")
    lines += [f"- Merchant: `{ref.merchant_id}`", f"- Asked by: `{saga.requested_by}`"]
    if isinstance(saga, VoidInput | RefundInput) and saga.reason:
        lines.append(f"- Reason: {saga.reason}")
    return "\n".join(lines)
