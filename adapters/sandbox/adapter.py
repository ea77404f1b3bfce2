"""The sandbox behind the provider port: ask the client, translate the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial

from adapters.sandbox.client import SandboxClient
from adapters.sandbox.config import SandboxConfig
from adapters.sandbox.report import read_report
from adapters.sandbox.translate import AlreadyDone, Asked, check_report, found_in, outcome_of
from adapters.sandbox.webhooks import verified_event
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
from recompense.contracts.settlement import ReportEnd, SettlementLine
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable


class SandboxAdapter:
    """Implements `ProviderPort`."""

    def __init__(
        self, config: SandboxConfig, policies: ProviderPolicies, transport: ObservedTransport
    ) -> None:
        self._client = SandboxClient(config, policies, transport)
        self._policies = policies
        self._webhook_secrets = [
            secret.get_secret_value().encode() for secret in config.webhook_secrets
        ]
        self._webhook_tolerance_seconds = config.webhook_tolerance_seconds

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        """Authorize a card token."""
        return await self._move_money(call)

    async def capture(self, call: CaptureCall) -> Outcome:
        """Capture a part of an authorization."""
        return await self._move_money(call)

    async def void(self, call: VoidCall) -> Outcome:
        """Void what is left of an authorization."""
        return await self._move_money(call)

    async def refund(self, call: RefundCall) -> Outcome:
        """Refund a part of what was captured."""
        return await self._move_money(call)

    async def create_payout(self, call: CreatePayoutCall) -> Outcome:
        """Send a payout: `Pending` until it arrives; a look-up's `payout_state` tells more."""
        return await self._move_money(call)

    async def cancel_payout(self, call: CancelPayoutCall) -> Outcome:
        """Take a payout back that is not paid yet."""
        return await self._move_money(call)

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
        asked = Asked(
            operation,
            operation_id,
            effect_key,
            amount,
            currency,
            self._retry_after_cap_seconds(ProviderOperation.LOOKUP),
        )
        return await self._client.look_up(operation_id, effect_key, partial(found_in, asked=asked))

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Verify a delivery."""
        return verified_event(
            headers,
            body,
            secrets=self._webhook_secrets,
            tolerance_seconds=self._webhook_tolerance_seconds,
            now=datetime.now(UTC),
        )

    def fetch_settlement_report(self, report_date: date) -> AsyncIterator[bytes]:
        """Stream the CSV report of a date."""
        cap_seconds = self._retry_after_cap_seconds(ProviderOperation.REPORT)
        return self._client.download_report(
            report_date, partial(check_report, retry_after_cap_seconds=cap_seconds)
        )

    def read_settlement_report(
        self, chunks: Iterable[bytes], report_date: date
    ) -> Iterator[SettlementLine | ReportEnd]:
        """Read the CSV report of a date."""
        return read_report(chunks, report_date)

    async def aclose(self) -> None:
        """Nothing to close: the transport belongs to whoever made it."""

    async def _move_money(self, call: AnyMoneyCall) -> Outcome:
        asked = Asked.by(call.operation, call, self._retry_after_cap_seconds(call.operation))
        try:
            return await self._client.move_money(call, partial(outcome_of, asked=asked))
        except AlreadyDone as done:
            return await self._what_was_done(call, done)

    async def _what_was_done(self, call: AnyMoneyCall, done: AlreadyDone) -> Outcome:
        """This effect made it, and its key has been forgotten; or another one did, and this one
        made nothing.
        """
        try:
            found = await self.lookup(
                operation=call.operation,
                operation_id=call.operation_id,
                effect_key=call.effect_key,
                step=call.operation,
                amount=call.amount,
                currency=call.currency,
            )
        except ProviderUnavailable as failure:
            # The look-up was not sent; the call that it asks about was.
            raise OutcomeUnknown(str(failure)) from failure
        if not isinstance(found.answer, Absent):
            return found.answer
        message = "The provider has done this before, under another effect key."
        return Declined(code=done.vendor_code, message=message, provider_code=done.vendor_code)

    def _retry_after_cap_seconds(self, operation: ProviderOperation) -> float:
        return self._policies.calls[operation].retry_after_cap_seconds
