"""A client of the platform that does the whole life of a payment, one operation at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from benchmarks.controls.call import CURRENCY, MERCHANT
from benchmarks.subjects import WrongOutcome, payment
from recompense.domain.ids import IdPrefix, new_id
from recompense.stack.files import StackFile

PATIENCE_SECONDS = 30


class Merchant:
    """The demo merchant, at one address of the API."""

    def __init__(self, http: httpx.AsyncClient, stack: StackFile) -> None:
        self._http = http
        self._tokens = stack.tokens

    async def post(
        self, path: str, body: dict[str, Any], *, token: str | None = None
    ) -> dict[str, Any]:
        """A new operation. Raises `WrongOutcome` for any answer but a success."""
        headers = {
            "Authorization": f"Bearer {token or self._tokens.backend}",
            "Idempotency-Key": new_id(IdPrefix.PAYMENT),
        }
        answer = await self._http.post(path, json=body, headers=headers)
        if not answer.is_success:
            raise WrongOutcome(f"{path}: {answer.status_code} {answer.text[:300]}")
        made: dict[str, Any] = answer.json()
        return made

    async def authorize(self) -> str:
        """Authorize a payment; its id."""
        return str((await self.post("/v1/payments", payment()))["id"])

    async def capture(self, payment_id: str, token: str | None = None) -> str:
        """Capture all of it; the capture's id."""
        made = await self.post(f"/v1/payments/{payment_id}/captures", {}, token=token)
        return _succeeded(made)

    async def refund(self, payment_id: str, amount: int) -> str:
        """Give back `amount` minor units; the refund's id."""
        return _succeeded(await self.post(f"/v1/payments/{payment_id}/refunds", {"amount": amount}))

    async def pay_out(self, amount: int) -> str:
        """Send `amount` minor units to the bank and wait until they are paid; the payout's id."""
        payout_id = await self.ask_for_payout(MERCHANT, amount)
        await self.until(f"/v1/payouts/{payout_id}", "paid", self._tokens.finance)
        return payout_id

    async def ask_for_payout(self, merchant: str, amount: int) -> str:
        """Ask for a payout of `amount` minor units and wait for the first word; its id."""
        body = {
            "merchant_id": merchant,
            "amount": amount,
            "currency": CURRENCY,
            "destination": {"type": "bank_token", "token": "tok_ok"},
        }
        made = await self.post("/v1/payouts", body, token=self._tokens.finance)
        return str(made["id"])

    async def found(self, merchant: str, balance: int) -> None:
        """Make a merchant with so much available, of which a person approves each payout."""
        admin = self._tokens.admin
        described = {
            "id": merchant,
            "name": "A merchant of the benchmarks",
            "country": "DE",
            "availability": {"rule": "on_capture"},
            "payout": {"approval_above": 0},
        }
        await self.post("/v1/merchants", described, token=admin)
        paid = await self.post("/v1/payments", payment(merchant) | {"amount": balance}, token=admin)
        await self.capture(paid["id"], admin)

    async def until(self, path: str, status: str, token: str | None = None) -> None:
        """Wait until what is at `path` has that status. Raises `TimeoutError`."""
        headers = {"Authorization": f"Bearer {token or self._tokens.backend}"}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._http.get(path, headers=headers)).json().get("status") != status:
                await asyncio.sleep(0.02)


def _succeeded(made: dict[str, Any]) -> str:
    if made["status"] != "succeeded":
        raise WrongOutcome(f"{made['id']}: {made['status']}")
    return str(made["id"])
