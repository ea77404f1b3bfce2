"""Stripe, stood in for by localstripe: an implementation of its API by others.

What it is known to get wrong is a strict expected failure, with the reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from adapters.stripe.asked import marker
from recompense.contracts.provider import CreatePayoutCall, MoneyCall, ProviderOperation
from tests.conformance.targets import Delivery, Effect, Meaning, StandIn, Target
from tests.support.localstripe import API_KEY, Localstripe, running_localstripe

WEBHOOK_SECRET = "whsec_of_these_tests"
RETURN_URL = "https://shop.example/paid"
_ALWAYS_AUTHENTICATES = "4000002760003184"
_MARK = re.compile(r"/v1/(payment_intents|payouts)/[^/?]+")
_KINDS = {ProviderOperation.REFUND: "refunds", ProviderOperation.CREATE_PAYOUT: "payouts"}
_IGNORES_KEYS = "localstripe ignores Idempotency-Key: a key that is sent again makes another effect"
_AFTER = ("timeout_after", "reset_after", "error_after", "malformed")
_MADE_ANEW = ("authorize", "refund", "create_payout")
_KEY_SENT_AGAIN = (
    "effect_key_with_another_amount_is_a_mismatch",
    *(f"same_effect_key_again_is_one_effect:{made}" for made in _MADE_ANEW),
    *(f"same_effect_key_at_once_is_one_effect:{made}" for made in _MADE_ANEW),
    *(f"fault_on_every_try_never_doubles_the_effect:{fault}" for fault in _AFTER),
    *(f"fault_made_on_the_socket_leaves_the_effect_or_none:{fault}" for fault in _AFTER),
    *(
        f"lost_answer_is_unknown_and_lookup_finds_the_truth:{fault}-{made}"
        for fault in _AFTER
        for made in _MADE_ANEW
    ),
)
"""Cases that send a key again. What is captured or canceled twice localstripe refuses, so captures
and voids hold without keys.
"""


class StripeTarget(Target):
    """localstripe. What moves money later is set by its own update of objects."""

    name = "stripe"
    tokens = {  # noqa: RUF012 - never changed
        Meaning.GOOD: "pm_card_visa",
        Meaning.DECLINED: "pm_card_chargeCustomerFail",
        Meaning.GOOD_ACCOUNT: "ba_good",
        Meaning.CLOSED_ACCOUNT: "ba_closed",
        Meaning.RETURNED_ACCOUNT: "ba_returned",
    }
    late = frozenset({ProviderOperation.CREATE_PAYOUT})
    not_applicable = {  # noqa: RUF012 - never changed
        "settlement_report_is_streamed_*": "every day that is over has a report; tested alone",
        "answer_cut_at_any_byte_*": f"{_IGNORES_KEYS}, here a thousand of them",
    }
    known_faults = {  # noqa: RUF012 - never changed
        "refund_above_the_captured_amount_is_declined": "localstripe refunds more than was taken",
        "provider_in_order_passes_every_check": _IGNORES_KEYS,
        **dict.fromkeys(_KEY_SENT_AGAIN, _IGNORES_KEYS),
    }

    def __init__(self, vendor: Localstripe) -> None:
        super().__init__()
        self.vendor = vendor
        self.base_url = vendor.base_url
        self.tokens = {**self.tokens, Meaning.ACTION: vendor.card(_ALWAYS_AUTHENTICATES)}

    def config(self, base_url: str | None = None) -> dict[str, Any]:
        """An account without search, which localstripe lacks."""
        return {
            "base_url": base_url or self.vendor.base_url,
            "api_key": API_KEY,
            "webhook_secrets": [WEBHOOK_SECRET],
            "return_url": RETURN_URL,
            "search_available": False,
        }

    def moves_money(self, method: str, path: str) -> bool:
        """A cancellation's mark, an update of the object, moves nothing."""
        return method != "GET" and _MARK.fullmatch(path) is None

    def effects(self, call: MoneyCall) -> list[Effect]:
        """As its objects tell."""
        operation = ProviderOperation(getattr(call, "operation"))  # noqa: B009 - every call has one
        name = marker(operation, call.operation_id, call.effect_key)
        return [
            Effect(units, made["currency"].upper())
            for made in self.vendor.all(_KINDS.get(operation, "payment_intents"))
            if made["metadata"].get(name) == call.effect_key
            and (units := _moved(operation, made)) > 0
        ]

    def act(self, redirect_url: str, *, succeed: bool) -> None:
        """End localstripe's own authentication, with the key that a browser has."""
        answer = {"key": "pk_test_of_these_tests", "success": "true" if succeed else "false"}
        httpx.post(redirect_url, data=answer, trust_env=False).raise_for_status()

    def settle(self, call: MoneyCall) -> None:
        """Let a payout arrive, fail, or come back, by the account it goes to. All else is final at
        once.
        """
        if not isinstance(call, CreatePayoutCall):
            return
        end = {
            "ba_closed": {"status": "failed", "failure_code": "account_closed"},
            "ba_returned": {"status": "failed", "failure_balance_transaction": "txn_back"},
        }.get(call.token, {"status": "paid"})
        for payout in self.vendor.all("payouts"):
            if payout["metadata"].get("effect_key") == call.effect_key:
                self.vendor.change("payouts", payout["id"], end)

    def delivery(
        self,
        *,
        event_id: str,
        reference: str,
        at: datetime,
        secret: str | None = None,
        body: bytes | None = None,
    ) -> Delivery:
        """An event about a paid payout."""
        payout = {
            "id": f"po_{reference}",
            "object": "payout",
            "amount": 1_000,
            "currency": "eur",
            "status": "paid",
            "metadata": {"operation_id": reference, "effect_key": f"{reference}:payout:1"},
        }
        event = {
            "id": event_id,
            "object": "event",
            "type": "payout.paid",
            "created": int(at.timestamp()),
            "data": {"object": payout},
        }
        sent = json.dumps(event).encode() if body is None else body
        moment = int(at.timestamp())
        key = (secret or WEBHOOK_SECRET).encode()
        mark = hmac.new(key, f"{moment}.".encode() + sent, hashlib.sha256).hexdigest()
        return Delivery({"stripe-signature": f"t={moment},v1={mark}"}, sent)


def _moved(operation: ProviderOperation, made: dict[str, Any]) -> int:
    """The units that an object says were moved."""
    units: int = made["amount"]
    charge = made.get("latest_charge")
    held = units if charge and charge["status"] == "succeeded" else 0
    if operation is ProviderOperation.AUTHORIZE:
        return held
    if operation is ProviderOperation.CAPTURE:
        received: int = made["amount_received"]
        return received
    if operation is ProviderOperation.VOID:
        return held if made["status"] == "canceled" else 0
    return units


@contextlib.contextmanager
def _stripe(_directory: Path) -> Iterator[Target]:
    with running_localstripe() as vendor:
        yield StripeTarget(vendor)


TARGETS: dict[str, StandIn] = {"stripe": _stripe}
