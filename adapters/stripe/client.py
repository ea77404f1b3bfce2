"""The only file that speaks to Stripe: its addresses, its headers, its request bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from adapters.stripe.amounts import to_stripe
from adapters.stripe.asked import EFFECT_KEY, OPERATION_ID, marker, target_of
from adapters.stripe.config import PayoutWay, StripeConfig
from adapters.transport import ObservedTransport, ProviderAnswer, ProviderRequest
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    AnyMoneyCall,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    MoneyCall,
    ProviderOperation,
    RefundCall,
    VoidCall,
)

API_VERSION = "2025-03-31.basil"
"""Pinned: what an answer means does not change when the account's own version is raised."""

WITH_CHARGE = {"expand[]": "latest_charge"}

_FORM = "application/x-www-form-urlencoded"
_LONGEST_METADATA = 500
_OBJECTS = {ProviderOperation.CANCEL_PAYOUT: "payouts"}

_Read = TypeVar("_Read")


class StripeClient:
    """Requests out, raw answers to `read`."""

    def __init__(
        self, config: StripeConfig, policies: ProviderPolicies, transport: ObservedTransport
    ) -> None:
        self._base_url = str(config.base_url).rstrip("/")
        self._config = config
        self._policies = policies
        self._transport = transport
        self._headers = {
            "authorization": f"Bearer {config.api_key.get_secret_value()}",
            "stripe-version": API_VERSION,
        }

    async def move_money(
        self, call: AnyMoneyCall, read: Callable[[ProviderAnswer], _Read]
    ) -> _Read:
        """Make a money call under its effect key, not after its send right has passed.

        Raises `NotExpressible` before anything is sent.
        """
        path, form = path_and_form(call, self._config)
        return await self._post(call, path, form, call.effect_key, call.send_by, read)

    async def mark(self, call: AnyMoneyCall, read: Callable[[ProviderAnswer], _Read]) -> _Read:
        """Write a call's effect key to the object that it is about to change. Moves nothing.

        A cancellation takes no metadata, so its mark goes ahead of it. Stripe wants a key of its
        own for each request.
        """
        name = marker(call.operation, call.operation_id, call.effect_key)
        form = {f"metadata[{name}]": call.effect_key}
        key = f"{call.effect_key}:mark"
        return await self._post(call, _target_path(call), form, key, None, read)

    async def read_target(
        self, call: AnyMoneyCall, read: Callable[[ProviderAnswer], _Read]
    ) -> _Read:
        """Read the object that a call changes."""
        query = {} if call.operation is ProviderOperation.CANCEL_PAYOUT else WITH_CHARGE
        return await self._get(call.operation, _target_path(call), query, call.effect_key, read)

    async def look_up(
        self,
        path: str,
        query: Mapping[str, str],
        effect_key: str,
        read: Callable[[ProviderAnswer], _Read],
    ) -> _Read:
        """Make one read of a look-up."""
        return await self._get(ProviderOperation.LOOKUP, path, query, effect_key, read)

    async def report_page(
        self, query: Mapping[str, str], read: Callable[[ProviderAnswer], _Read]
    ) -> _Read:
        """Read one page of the balance's transactions."""
        path = "/v1/balance_transactions"
        return await self._get(ProviderOperation.REPORT, path, query, None, read)

    async def _post(
        self,
        call: AnyMoneyCall,
        path: str,
        form: Mapping[str, str],
        key: str,
        send_by: datetime | None,
        read: Callable[[ProviderAnswer], _Read],
    ) -> _Read:
        request = self._request(
            call.operation,
            "POST",
            path,
            headers={**self._headers, "content-type": _FORM, "idempotency-key": key},
            form=form,
            effect_key=call.effect_key,
            send_by=send_by,
        )
        return await self._transport.call(request, read)

    async def _get(
        self,
        operation: ProviderOperation,
        path: str,
        query: Mapping[str, str],
        effect_key: str | None,
        read: Callable[[ProviderAnswer], _Read],
    ) -> _Read:
        request = self._request(
            operation, "GET", path, headers=self._headers, query=query, effect_key=effect_key
        )
        return await self._transport.call(request, read)

    def _request(
        self,
        operation: ProviderOperation,
        method: str,
        path: str,
        **parts: Any,  # noqa: ANN401 - ProviderRequest types them
    ) -> ProviderRequest:
        return ProviderRequest(
            provider="stripe",
            operation=operation,
            method=method,
            url=f"{self._base_url}{path}",
            policy=self._policies.calls[operation],
            **parts,
        )


def path_and_form(call: AnyMoneyCall, config: StripeConfig) -> tuple[str, dict[str, str]]:
    """A money call in Stripe's words. Raises `NotExpressible`."""
    match call:
        case AuthorizeCall():
            return "/v1/payment_intents", _authorization(call, config)
        case CaptureCall():
            return f"{_target_path(call)}/capture", _capture(call, config)
        case VoidCall():
            return f"{_target_path(call)}/cancel", dict(WITH_CHARGE)
        case RefundCall():
            form = {"payment_intent": call.authorization_reference, **_units(call), **_ours(call)}
            if call.reason:
                form["metadata[reason]"] = call.reason[:_LONGEST_METADATA]
            return "/v1/refunds", form
        case CreatePayoutCall() if config.payouts is PayoutWay.TRANSFERS:
            group = {"transfer_group": call.operation_id, "destination": call.token}
            return "/v1/transfers", {**_money(call), **group, **_ours(call)}
        case CreatePayoutCall():
            money = _money(call, payout=True)
            return "/v1/payouts", {**money, "destination": call.token, **_ours(call)}
        case CancelPayoutCall():
            return f"{_target_path(call)}/cancel", {}


def _authorization(call: AuthorizeCall, config: StripeConfig) -> dict[str, str]:
    form = {
        **_money(call),
        "confirm": "true",
        "capture_method": "manual",
        "payment_method_types[]": "card",
        **_payment_method(call.token),
        **_ours(call),
        "metadata[merchant_id]": call.merchant_id,
        **WITH_CHARGE,
    }
    if call.description:
        form["description"] = call.description
    if config.return_url is not None:
        form["return_url"] = str(config.return_url)
    return form


def _payment_method(token: str) -> dict[str, str]:
    """A payment method by its id, or a card token in the form that Stripe takes it."""
    if not token.startswith("tok_"):
        return {"payment_method": token}
    return {"payment_method_data[type]": "card", "payment_method_data[card][token]": token}


def _capture(call: CaptureCall, config: StripeConfig) -> dict[str, str]:
    name = marker(call.operation, call.operation_id, call.effect_key)
    form = {
        "amount_to_capture": str(to_stripe(call.amount, call.currency)),
        f"metadata[{name}]": call.effect_key,
        **WITH_CHARGE,
    }
    if config.multiple_capture:
        form["final_capture"] = "true" if call.final else "false"
    return form


def _money(call: MoneyCall, *, payout: bool = False) -> dict[str, str]:
    return {**_units(call, payout=payout), "currency": call.currency.lower()}


def _units(call: MoneyCall, *, payout: bool = False) -> dict[str, str]:
    return {"amount": str(to_stripe(call.amount, call.currency, payout=payout))}


def _ours(call: MoneyCall) -> dict[str, str]:
    return {
        f"metadata[{OPERATION_ID}]": call.operation_id,
        f"metadata[{EFFECT_KEY}]": call.effect_key,
    }


def _target_path(call: AnyMoneyCall) -> str:
    objects = _OBJECTS.get(call.operation, "payment_intents")
    return f"/v1/{objects}/{target_of(call)}"
