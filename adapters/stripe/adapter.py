"""Stripe behind the provider port: ask the client, translate the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from adapters.stripe.amounts import NotExpressible
from adapters.stripe.asked import Asked, target_of
from adapters.stripe.client import StripeClient
from adapters.stripe.config import PayoutWay, StripeConfig
from adapters.stripe.fetching import report_chunks
from adapters.stripe.lookups import Lookups
from adapters.stripe.report import settlement_lines
from adapters.stripe.translate import RefusedHere, found_object, outcome_of, read_object
from adapters.stripe.webhooks import verified_event
from adapters.transport import ObservedTransport
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    Absent,
    AnyMoneyCall,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Declined,
    Found,
    Outcome,
    ProviderEvent,
    ProviderOperation,
    RefundCall,
    VoidCall,
)
from recompense.contracts.settlement import SettlementLine
from recompense.domain.failures import OutcomeUnknown

_NOT_TAKEN = "Stripe cannot express this amount of this currency; nothing was sent."
_BEFORE = "The provider has done this before, under another effect key."


class StripeAdapter:
    """Implements `ProviderPort`."""

    def __init__(
        self, config: StripeConfig, policies: ProviderPolicies, transport: ObservedTransport
    ) -> None:
        self._client = StripeClient(config, policies, transport)
        self._lookups = Lookups(self._client, config)
        self._config = config
        self._policies = policies
        self._webhook_secrets = [
            secret.get_secret_value().encode() for secret in config.webhook_secrets
        ]

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        """Make and confirm a PaymentIntent that is captured later."""
        return await self._move_money(call)

    async def capture(self, call: CaptureCall) -> Outcome:
        """Capture a part of a PaymentIntent; without multicapture the rest is released."""
        return await self._move_money(call)

    async def void(self, call: VoidCall) -> Outcome:
        """Cancel a PaymentIntent."""
        return await self._take_back(call, "already_voided")

    async def refund(self, call: RefundCall) -> Outcome:
        """Refund a part of a payment; Stripe refunds payments, not single captures."""
        return await self._move_money(call)

    async def create_payout(self, call: CreatePayoutCall) -> Outcome:
        """Send a payout, `Pending` until the bank has it; or a transfer, which is there at once."""
        return await self._move_money(call)

    async def cancel_payout(self, call: CancelPayoutCall) -> Outcome:
        """Cancel a payout that is still pending. A transfer never is."""
        if self._config.payouts is PayoutWay.TRANSFERS:
            message = "A transfer has arrived as soon as it is made."
            return Declined(code="payout_not_cancelable", message=message)
        return await self._take_back(call, "already_canceled")

    async def lookup(
        self,
        *,
        operation: ProviderOperation,
        operation_id: str,
        effect_key: str,
        step: str,
        amount: int | None = None,
        currency: str | None = None,
    ) -> Found:
        """Find the one effect that was made under this key, which names its step already."""
        asked = self._asked(operation, operation_id, effect_key, amount, currency, None)
        raw = await self._lookups.find(asked)
        return Found(answer=Absent()) if raw is None else found_object(raw, asked)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Verify a delivery."""
        return verified_event(
            headers,
            body,
            secrets=self._webhook_secrets,
            tolerance_seconds=self._config.webhook_tolerance_seconds,
            now=datetime.now(UTC),
        )

    def fetch_settlement_report(self, report_date: date) -> AsyncIterator[bytes]:
        """Stream the balance transactions of a UTC day as lines of JSON."""
        cap_seconds = self._retry_after_cap_seconds(ProviderOperation.REPORT)
        return report_chunks(self._client, report_date, cap_seconds, now=datetime.now(UTC))

    def read_settlement_report(
        self, chunks: Iterable[bytes], report_date: date
    ) -> Iterator[SettlementLine]:
        """Read a fetched report. Raises `ReportRefused`."""
        return settlement_lines(chunks, report_date)

    async def aclose(self) -> None:
        """Nothing to close: the transport belongs to whoever made it."""

    async def _move_money(self, call: AnyMoneyCall) -> Outcome:
        asked = self._asked_by(call)
        try:
            return await self._client.move_money(call, partial(outcome_of, asked=asked))
        except NotExpressible:
            return Declined(code="amount_not_expressible", message=_NOT_TAKEN)
        except RefusedHere as refused:
            return await self._what_was_done(call, asked, refused.refusal)

    async def _take_back(self, call: VoidCall | CancelPayoutCall, done_already: str) -> Outcome:
        """Read, mark, cancel: what was canceled under another key is not taken for this one's."""
        asked = self._asked_by(call)
        raw = await self._client.read_target(call, partial(read_object, asked=asked))
        if raw is None:
            message = "The provider knows no such object."
            return Declined(code="provider_object_not_found", message=message)
        if raw.get("status") == "canceled":
            answer = _said(raw, asked)
            return answer or Declined(code=done_already, message=_BEFORE, provider_code="canceled")
        marked = await self._client.mark(call, partial(read_object, asked=asked))
        if marked is None or not asked.is_about(marked.get("metadata")):
            raise OutcomeUnknown("the provider did not take the mark of the cancellation")
        return await self._move_money(call)

    async def _what_was_done(self, call: AnyMoneyCall, asked: Asked, refusal: Declined) -> Outcome:
        """This effect was made before, and its key has been forgotten; or nothing was done now."""
        if isinstance(call, RefundCall):
            raw = await self._lookups.refund_of(asked)
        else:
            raw = await self._client.read_target(call, partial(read_object, asked=asked))
        return refusal if raw is None else _said(raw, asked) or refusal

    def _asked_by(self, call: AnyMoneyCall) -> Asked:
        return self._asked(
            call.operation,
            call.operation_id,
            call.effect_key,
            call.amount,
            call.currency,
            target_of(call),
        )

    def _asked(
        self,
        operation: ProviderOperation,
        operation_id: str,
        effect_key: str,
        amount: int | None,
        currency: str | None,
        target: str | None,
    ) -> Asked:
        return Asked(
            operation,
            operation_id,
            effect_key,
            amount,
            currency,
            target,
            several_captures=self._config.multiple_capture,
            retry_after_cap_seconds=self._retry_after_cap_seconds(operation),
        )

    def _retry_after_cap_seconds(self, operation: ProviderOperation) -> float:
        return self._policies.calls[operation].retry_after_cap_seconds


def _said(raw: dict[str, Any], asked: Asked) -> Outcome | None:
    """What an object says of an effect; None when it shows nothing of it."""
    if not asked.is_about(raw.get("metadata")):
        return None
    answer = found_object(raw, asked).answer
    return None if isinstance(answer, Absent) else answer
