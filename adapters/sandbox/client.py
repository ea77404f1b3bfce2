"""The only file that speaks to the sandbox: its addresses, its headers, its request bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any, TypeVar

from adapters.sandbox.config import SandboxConfig
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

_Read = TypeVar("_Read")


class SandboxClient:
    """Requests out, raw answers to `read`."""

    def __init__(
        self, config: SandboxConfig, policies: ProviderPolicies, transport: ObservedTransport
    ) -> None:
        self._base_url = str(config.base_url).rstrip("/")
        self._policies = policies
        self._transport = transport
        self._headers = (
            {}
            if config.api_key is None
            else {"authorization": f"Bearer {config.api_key.get_secret_value()}"}
        )

    async def move_money(
        self, call: AnyMoneyCall, read: Callable[[ProviderAnswer], _Read]
    ) -> _Read:
        """Make a money call under its effect key, not after its send right has passed."""
        path, body = _path_and_body(call)
        request = self._request(
            call.operation,
            "POST",
            path,
            headers={**self._headers, "idempotency-key": call.effect_key},
            json={"reference": call.operation_id, **body},
            effect_key=call.effect_key,
            send_by=call.send_by,
        )
        return await self._transport.call(request, read)

    async def look_up(
        self, operation_id: str, effect_key: str, read: Callable[[ProviderAnswer], _Read]
    ) -> _Read:
        """Ask for what was made under our reference and effect key."""
        request = self._request(
            ProviderOperation.LOOKUP,
            "GET",
            "/v1/lookup",
            headers=self._headers,
            query={"reference": operation_id, "idempotency_key": effect_key},
            effect_key=effect_key,
        )
        return await self._transport.call(request, read)

    def download_report(
        self, report_date: date, check: Callable[[ProviderAnswer], None]
    ) -> AsyncIterator[bytes]:
        """Stream the settlement report of a date."""
        path = f"/v1/settlements/{report_date.isoformat()}"
        request = self._request(ProviderOperation.REPORT, "GET", path, headers=self._headers)
        return self._transport.stream(request, check)

    def _request(
        self,
        operation: ProviderOperation,
        method: str,
        path: str,
        **parts: Any,  # noqa: ANN401 - ProviderRequest types them
    ) -> ProviderRequest:
        return ProviderRequest(
            provider="sandbox",
            operation=operation,
            method=method,
            url=f"{self._base_url}{path}",
            policy=self._policies.calls[operation],
            **parts,
        )


def _path_and_body(call: AnyMoneyCall) -> tuple[str, dict[str, Any]]:
    match call:
        case AuthorizeCall():
            return "/v1/authorizations", {**_money(call), "token": call.token}
        case CaptureCall():
            path = f"/v1/authorizations/{call.authorization_reference}/captures"
            return path, {**_money(call), "final": call.final}
        case VoidCall():
            return f"/v1/authorizations/{call.authorization_reference}/voids", {}
        case RefundCall():
            target = call.capture_reference or call.authorization_reference
            return "/v1/refunds", {**_money(call), "target": target}
        case CreatePayoutCall():
            return "/v1/payouts", {**_money(call), "token": call.token}
        case CancelPayoutCall():
            return f"/v1/payouts/{call.payout_reference}/cancellations", {}


def _money(call: MoneyCall) -> dict[str, Any]:
    return {"amount": call.amount, "currency": call.currency}
