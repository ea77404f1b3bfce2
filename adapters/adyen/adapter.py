"""Adyen behind the provider port: ask the client, translate the answer, fold the notifications."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial

from adapters.adyen import told
from adapters.adyen.amounts import is_expressible
from adapters.adyen.client import BETWEEN_IDS, AdyenClient, Payment
from adapters.adyen.config import AdyenConfig
from adapters.adyen.references import reference_of
from adapters.adyen.report import settlement_lines
from adapters.adyen.translate import (
    Asked,
    check_report,
    completion_outcome,
    modification_outcome,
    payment_outcome,
    transfer_outcome,
)
from adapters.adyen.webhooks import key_bytes, verified_events
from adapters.transport import ObservedTransport
from recompense.contracts.payer_actions import CompleteCall
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
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
    Unknown,
    VoidCall,
    WebhookRefused,
)
from recompense.contracts.settlement import SettlementLine
from recompense.domain.failures import ProviderUnavailable


class AdyenAdapter:
    """Implements `ProviderPort`, `CompletesActions`, `ReadsEvents` and `ReceivesBatches`."""

    def __init__(
        self, config: AdyenConfig, policies: ProviderPolicies, transport: ObservedTransport
    ) -> None:
        self._client = AdyenClient(config, policies, transport)
        self._policies = policies
        self._config = config
        self._keys = [key_bytes(key.get_secret_value()) for key in config.hmac_keys]
        self._transfer_keys = [
            key_bytes(key.get_secret_value()) for key in config.transfer_hmac_keys
        ]

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        """Authorize a stored payment method: the token is `<stored id>:<shopper reference>`."""
        if not all(call.token.partition(BETWEEN_IDS)):
            return _refused("invalid_token", "The token names no shopper.")
        if not is_expressible(call.amount, call.currency):
            return _NOT_EXPRESSIBLE
        return await self._client.pay(call, partial(payment_outcome, asked=self._asked(call)))

    async def complete_action(self, call: CompleteCall) -> Outcome | None:
        """Hand Adyen what the payer brought back: only then it decides."""
        asked = self._asked(call)
        return await self._client.details(call, partial(completion_outcome, asked=asked))

    async def capture(self, call: CaptureCall) -> Outcome:
        """Capture a part of an authorization. `Pending`: the notification tells the rest."""
        return await self._modify(call, call.authorization_reference)

    async def void(self, call: VoidCall) -> Outcome:
        """Void what is left of an authorization. `Pending`: the notification tells the rest."""
        return await self._modify(call, call.authorization_reference)

    async def refund(self, call: RefundCall) -> Outcome:
        """Refund a part of what was captured. `Pending`: the notification tells the rest."""
        return await self._modify(call, call.authorization_reference)

    async def create_payout(self, call: CreatePayoutCall) -> Outcome:
        """Send a bank transfer to a transfer instrument. `Pending` until it is booked."""
        if self._config.transfers_url is None or self._config.balance_account is None:
            return _refused("payouts_not_configured", "There is no balance account to pay from.")
        if not is_expressible(call.amount, call.currency):
            return _NOT_EXPRESSIBLE
        return await self._client.transfer(call, partial(transfer_outcome, asked=self._asked(call)))

    async def cancel_payout(self, call: CancelPayoutCall) -> Outcome:
        """A transfer that was taken is not taken back: nothing is called."""
        return _refused("payout_not_cancelable", "A transfer that was sent cannot be taken back.")

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
        """Adyen answers no such question: `found_in_events` does."""
        return Found(answer=Unknown(why="Adyen tells of an effect by notification only"))

    def found_in_events(
        self,
        *,
        operation: ProviderOperation,
        effect_key: str,
        reference: str | None,
        amount: int | None,
        currency: str | None,
        events: Sequence[ProviderEvent],
    ) -> Found:
        """What the stored notifications say about one effect.

        A modification's notification names it by our key or, on some accounts, by the payment's;
        then Adyen's own reference from the answer to the call tells which it is.
        """
        about = told.about(events, effect_key, reference)
        return told.found_in(about, operation, amount, currency)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Verify a delivery of one item."""
        events = self.verify_webhooks(headers, body)
        if len(events) != 1:
            raise WebhookRefused("webhook_malformed", "The delivery holds several items.")
        return events[0]

    def verify_webhooks(self, headers: Mapping[str, str], body: bytes) -> tuple[ProviderEvent, ...]:
        """Verify a delivery and all of its items."""
        return verified_events(
            headers,
            body,
            merchant_account=self._config.merchant_account,
            keys=self._keys,
            transfer_keys=self._transfer_keys,
        )

    def fetch_settlement_report(self, report_date: date) -> AsyncIterator[bytes]:
        """Stream the settlement detail report of a date."""
        if self._config.report_url is None or self._config.report_user is None:
            raise ProviderUnavailable("no report user is configured")
        cap_seconds = self._policies.calls[ProviderOperation.REPORT].retry_after_cap_seconds
        return self._client.download_report(
            report_date, partial(check_report, retry_after_cap_seconds=cap_seconds)
        )

    def read_settlement_report(
        self, chunks: Iterable[bytes], report_date: date
    ) -> Iterator[SettlementLine]:
        """Read a settlement detail report in our words. Raises `ReportRefused`."""
        return settlement_lines(chunks, self._config.merchant_account)

    async def aclose(self) -> None:
        """Nothing to close: the transport belongs to whoever made it."""

    async def _modify(self, call: Payment, payment: str) -> Outcome:
        if not is_expressible(call.amount, call.currency):
            return _NOT_EXPRESSIBLE
        asked = self._asked(call, payment)
        return await self._client.pay(call, partial(modification_outcome, asked=asked))

    def _asked(
        self, call: Payment | CreatePayoutCall | CompleteCall, payment: str | None = None
    ) -> Asked:
        return Asked(
            reference=reference_of(call.effect_key),
            amount=call.amount,
            currency=call.currency,
            merchant_account=self._config.merchant_account,
            payment=payment,
            retry_after_cap_seconds=self._policies.calls[call.operation].retry_after_cap_seconds,
        )


def _refused(code: str, message: str) -> Declined:
    return Declined(code=code, message=message)


_NOT_EXPRESSIBLE = _refused("amount_not_expressible", "Adyen does not count so small a part of it.")
"""Nothing is rounded: it is refused before anything is sent."""
