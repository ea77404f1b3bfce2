"""Answers as Stripe documents them, for tests that need no server."""

from __future__ import annotations

import json
from typing import Any

import httpx

from adapters.stripe.asked import Asked, marker
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import ProviderOperation

OPERATION_IDS = {
    ProviderOperation.AUTHORIZE: "pay_1",
    ProviderOperation.CAPTURE: "cap_1",
    ProviderOperation.VOID: "pay_1",
    ProviderOperation.REFUND: "ref_1",
    ProviderOperation.CREATE_PAYOUT: "po_1",
    ProviderOperation.CANCEL_PAYOUT: "po_1",
}


def asked(operation: ProviderOperation = ProviderOperation.AUTHORIZE, **changes: Any) -> Asked:
    """What each operation's first attempt asks for: 10 euros."""
    operation_id = OPERATION_IDS[operation]
    parts: dict[str, Any] = {
        "operation": operation,
        "operation_id": operation_id,
        "effect_key": f"{operation_id}:{operation}:1",
        "amount": 1_000,
        "currency": "EUR",
        "target": None,
        "several_captures": False,
        "retry_after_cap_seconds": 30,
        **changes,
    }
    return Asked(**parts)


def metadata(operation: ProviderOperation) -> dict[str, str]:
    """What an operation's object says of it."""
    operation_id = OPERATION_IDS[operation]
    key = f"{operation_id}:{operation}:1"
    return {"operation_id": operation_id, marker(operation, operation_id, key): key}


def intent(
    operation: ProviderOperation = ProviderOperation.AUTHORIZE, **changes: Any
) -> dict[str, Any]:
    """A PaymentIntent that an operation made or changed."""
    status = {
        ProviderOperation.CAPTURE: "succeeded",
        ProviderOperation.VOID: "canceled",
    }.get(operation, "requires_capture")
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1_000,
        "amount_received": 1_000 if operation is ProviderOperation.CAPTURE else 0,
        "currency": "eur",
        "status": status,
        "metadata": metadata(operation),
        "latest_charge": "ch_1",
        "last_payment_error": None,
        "next_action": None,
        "cancellation_reason": None,
        **changes,
    }


def charge(**changes: Any) -> dict[str, Any]:
    """An expanded charge."""
    return {
        "id": "ch_1",
        "object": "charge",
        "status": "succeeded",
        "captured": False,
        "payment_method_details": {"card": {"capture_before": 1_796_000_000}},
        **changes,
    }


def refund(**changes: Any) -> dict[str, Any]:
    """A refund."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 1_000,
        "currency": "eur",
        "status": "succeeded",
        "payment_intent": "pi_1",
        "metadata": metadata(ProviderOperation.REFUND),
        **changes,
    }


def payout(
    operation: ProviderOperation = ProviderOperation.CREATE_PAYOUT, **changes: Any
) -> dict[str, Any]:
    """A payout that an operation made or changed."""
    return {
        "id": "po_1",
        "object": "payout",
        "amount": 1_000,
        "currency": "eur",
        "status": "paid" if operation is ProviderOperation.CREATE_PAYOUT else "canceled",
        "failure_code": None,
        "failure_balance_transaction": None,
        "metadata": metadata(operation),
        **changes,
    }


def transfer(**changes: Any) -> dict[str, Any]:
    """A transfer to a connected account."""
    return {
        "id": "tr_1",
        "object": "transfer",
        "amount": 1_000,
        "amount_reversed": 0,
        "currency": "eur",
        "metadata": metadata(ProviderOperation.CREATE_PAYOUT),
        **changes,
    }


def made_by(operation: ProviderOperation, **changes: Any) -> dict[str, Any]:
    """The object that an operation made or changed, as it stands when all went well."""
    if operation is ProviderOperation.REFUND:
        return refund(**changes)
    if operation in (ProviderOperation.CREATE_PAYOUT, ProviderOperation.CANCEL_PAYOUT):
        return payout(operation, **changes)
    return intent(operation, **changes)


def error(**members: Any) -> dict[str, Any]:
    """A refusal."""
    return {"error": {"message": "No.", **members}}


def answer(status: int, body: object, **headers: str) -> ProviderAnswer:
    """An answer with a JSON body, or with the bytes that are given."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ProviderAnswer(status, httpx.Headers(headers), raw)
