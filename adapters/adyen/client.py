"""The only file that speaks to Adyen: its addresses, its headers, its request bodies."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any, TypeVar

from pydantic import SecretStr

from adapters.adyen.amounts import to_adyen
from adapters.adyen.config import AdyenConfig
from adapters.adyen.references import effect_key_in, reference_of
from adapters.transport import ObservedTransport, ProviderAnswer, ProviderRequest
from recompense.contracts.payer_actions import CompleteCall
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    AuthorizeCall,
    CaptureCall,
    CreatePayoutCall,
    MoneyCall,
    ProviderOperation,
    RefundCall,
    VoidCall,
)

_Read = TypeVar("_Read")
Payment = AuthorizeCall | CaptureCall | VoidCall | RefundCall
BETWEEN_IDS = ":"


class AdyenClient:
    """Requests out, raw answers to `read`."""

    def __init__(
        self, config: AdyenConfig, policies: ProviderPolicies, transport: ObservedTransport
    ) -> None:
        self._config = config
        self._policies = policies
        self._transport = transport

    async def pay(self, call: Payment, read: Callable[[ProviderAnswer], _Read]) -> _Read:
        """Make a Checkout call under its effect key, not after its send right has passed."""
        path, body = self._path_and_body(call)
        url = f"{_address(self._config.base_url)}{path}"
        return await self._post(call, url, self._config.api_key, body, read)

    async def details(self, call: CompleteCall, read: Callable[[ProviderAnswer], _Read]) -> _Read:
        """Hand over what the payer brought back, not after its send right has passed."""
        request = self._request(
            call.operation,
            "POST",
            f"{_address(self._config.base_url)}/payments/details",
            headers=_headers(self._config.api_key, call.idempotency_key),
            json={"details": dict(call.parameters)},
            effect_key=call.effect_key,
            send_by=call.send_by,
        )
        return await self._transport.call(request, read)

    async def transfer(
        self, call: CreatePayoutCall, read: Callable[[ProviderAnswer], _Read]
    ) -> _Read:
        """Send a bank transfer under its effect key, not after its send right has passed."""
        url = f"{_address(self._config.transfers_url)}/transfers"
        body = {
            "amount": _amount(call),
            "balanceAccountId": self._config.balance_account,
            "category": "bank",
            "counterparty": {"transferInstrumentId": call.token},
            "priority": self._config.transfer_priority,
            "reference": reference_of(call.effect_key),
        }
        key = self._config.transfers_api_key or self._config.api_key
        return await self._post(call, url, key, body, read)

    def download_report(
        self, report_date: date, check: Callable[[ProviderAnswer], None]
    ) -> AsyncIterator[bytes]:
        """Stream the settlement detail report of a date."""
        pattern = self._config.report_url or ""
        password = self._config.report_password
        user = f"{self._config.report_user}:{password.get_secret_value() if password else ''}"
        request = self._request(
            ProviderOperation.REPORT,
            "GET",
            pattern.replace("{date}", f"{report_date:%Y_%m_%d}"),
            headers={"authorization": f"Basic {base64.b64encode(user.encode()).decode()}"},
        )
        return self._transport.stream(request, check)

    def _path_and_body(self, call: Payment) -> tuple[str, dict[str, Any]]:
        common = {
            "merchantAccount": self._config.merchant_account,
            "reference": reference_of(call.effect_key),
        }
        match call:
            case AuthorizeCall():
                return "/payments", {**common, **self._payment(call)}
            case CaptureCall():
                path = f"/payments/{call.authorization_reference}/captures"
                return path, {**common, "amount": _amount(call)}
            case VoidCall() if effect_key_in(call.authorization_reference) is not None:
                # Adyen has not named the payment yet: our own reference stands for it.
                return "/cancels", {**common, "paymentReference": call.authorization_reference}
            case VoidCall():
                return f"/payments/{call.authorization_reference}/cancels", common
            case RefundCall():
                path = f"/payments/{call.authorization_reference}/refunds"
                return path, {**common, "amount": _amount(call)}

    def _payment(self, call: AuthorizeCall) -> dict[str, Any]:
        stored, _, shopper = call.token.partition(BETWEEN_IDS)
        return {
            "amount": _amount(call),
            "paymentMethod": {"type": "scheme", "storedPaymentMethodId": stored},
            "shopperReference": shopper,
            "shopperInteraction": self._config.shopper_interaction,
            "recurringProcessingModel": "CardOnFile",
            "channel": "Web",
            "returnUrl": str(self._config.return_url),
            # The books decide when to capture, whatever the account's own setting is.
            "additionalData": {"manualCapture": "true"},
        }

    async def _post(
        self,
        call: Payment | CreatePayoutCall,
        url: str,
        key: SecretStr,
        body: dict[str, Any],
        read: Callable[[ProviderAnswer], _Read],
    ) -> _Read:
        request = self._request(
            call.operation,
            "POST",
            url,
            headers=_headers(key, call.effect_key),
            json=body,
            effect_key=call.effect_key,
            send_by=call.send_by,
        )
        return await self._transport.call(request, read)

    def _request(
        self,
        operation: ProviderOperation,
        method: str,
        url: str,
        **parts: Any,  # noqa: ANN401 - ProviderRequest types them
    ) -> ProviderRequest:
        return ProviderRequest(
            provider="adyen",
            operation=operation,
            method=method,
            url=url,
            policy=self._policies.calls[operation],
            **parts,
        )


def _headers(key: SecretStr, idempotency_key: str) -> dict[str, str]:
    return {"x-api-key": key.get_secret_value(), "idempotency-key": idempotency_key}


def _address(url: object) -> str:
    return str(url).rstrip("/")


def _amount(call: MoneyCall) -> dict[str, Any]:
    return {"value": to_adyen(call.amount, call.currency), "currency": call.currency}
