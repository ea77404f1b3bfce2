"""The bank rail behind the provider port: payouts leave in files, and the truth comes back in
files.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from adapters.sepa import dry_run, inbound, mailbox, pain001, report
from adapters.sepa.config import Party, SepaConfig
from adapters.sepa.destinations import Destinations
from adapters.sepa.folder import FolderMailbox
from adapters.sepa.identifiers import end_to_end_id, file_name, message_id
from adapters.sepa.translate import found_in
from adapters.sepa.xml import MOST_BYTES
from adapters.transport import ObservedTransport
from recompense.contracts.batches import (
    BankFile,
    BankNews,
    BatchItem,
    BatchReceipt,
    PayoutBatch,
)
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    Absent,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Declined,
    Found,
    Outcome,
    Pending,
    ProviderEvent,
    ProviderOperation,
    RefundCall,
    VoidCall,
    WebhookRefused,
)
from recompense.contracts.settlement import SettlementLine
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable

_CURRENCY = "EUR"
_LARGEST_AMOUNT = 99_999_999_999
"""In cents; EPC132-08, 2.7.1: 999,999,999.99 EUR at the most."""
_REPORT_COMES_WITHIN = timedelta(days=10)


class SepaAdapter:
    """Implements `ProviderPort`, `BatchPayouts`, `BankFiles`, `DryRuns` and `ReadsEvents`."""

    def __init__(
        self, config: SepaConfig, policies: ProviderPolicies, _transport: ObservedTransport
    ) -> None:
        self.config = config
        self._destinations = Destinations(config)
        self._mailbox: mailbox.Mailbox
        if config.folder is not None:
            self._mailbox = FolderMailbox(config.folder)
        elif config.sftp is not None:
            # Its library takes 15 MB of every process that imports it.
            from adapters.sepa.sftp import SftpMailbox

            self._mailbox = SftpMailbox(config.sftp, policies.calls[ProviderOperation.REPORT])

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        """A bank rail takes no cards."""
        return _not_offered(call.operation)

    async def capture(self, call: CaptureCall) -> Outcome:
        """A bank rail takes no cards."""
        return _not_offered(call.operation)

    async def void(self, call: VoidCall) -> Outcome:
        """A bank rail takes no cards."""
        return _not_offered(call.operation)

    async def refund(self, call: RefundCall) -> Outcome:
        """A bank rail takes no cards."""
        return _not_offered(call.operation)

    async def create_payout(self, call: CreatePayoutCall) -> Outcome:
        """Say under which reference the next file can carry this instruction, or why none can.

        Nothing leaves here: `submit_batch` delivers.
        """
        if call.currency != _CURRENCY:
            return _refused("currency_not_supported", "SEPA carries euros only.")
        if call.amount > _LARGEST_AMOUNT:
            return _refused("amount_not_supported", "SEPA carries 999,999,999.99 EUR at most.")
        if call.token not in self._destinations.known():
            return _refused("destination_unknown", "No bank account stands behind this token.")
        return Pending(reference=end_to_end_id(call.effect_key))

    async def cancel_payout(self, call: CancelPayoutCall) -> Outcome:
        """What is in a file cannot be taken back."""
        return _refused("payout_not_cancelable", "The payout is in a file of the bank already.")

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
        """A bank cannot be asked for one payment: its files are what is known."""
        raise OutcomeUnknown("a bank tells of a payout by its files alone")

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
        """What the bank's files say about one payout."""
        news = [
            BankNews.model_validate(event.payload)
            for event in events
            if event.effect_key == effect_key
        ]
        if not news:
            return Found(answer=Absent())
        return found_in(news, reference=end_to_end_id(effect_key), amount=amount, currency=currency)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """A bank sends no webhooks."""
        raise WebhookRefused("webhook_signature_missing", "A bank sends files, no webhooks.")

    def batch_reference(self, batch_id: str) -> str:
        """The MsgId of the batch's file."""
        return message_id(batch_id)

    async def submit_batch(self, batch: PayoutBatch) -> BatchReceipt:
        """Write the file, hold it against its schema, and deliver it once."""
        known = self._destinations.known()
        transfers = tuple(
            pain001.Transfer(end_to_end_id(item.effect_key), item.amount, _payee(item, known))
            for item in batch.items
        )
        initiation = pain001.Initiation(message_id(batch.batch_id), batch.closed_at, transfers)
        content = pain001.written(initiation, self.config)
        name = file_name(batch.batch_id)
        async with self._mailbox.opened() as files:
            sha256 = await mailbox.deliver(files, name, content, draft=secrets.token_hex(8))
        outcomes: Mapping[str, Outcome] = {
            item.effect_key: Pending(reference=end_to_end_id(item.effect_key))
            for item in batch.items
        }
        return BatchReceipt(file_name=name, sha256=sha256, outcomes=outcomes)

    async def try_mailbox(self) -> str:
        """Take a file through the mailbox's own directories."""
        async with self._mailbox.opened() as files:
            return await dry_run.through(files, f"check-{secrets.token_hex(8)}")

    def dry_file(self, at: datetime) -> str:
        """One cent to each destination, in memory."""
        return dry_run.file(self._destinations.known(), self.config, at)

    async def list_bank_files(self) -> tuple[BankFile, ...]:
        """The files in `in` that have come to rest."""
        async with self._mailbox.opened() as files:
            return await mailbox.waiting(files, self.config.quiet_seconds, datetime.now(UTC))

    async def fetch_bank_file(self, name: str) -> bytes:
        """One file of `in`."""
        async with self._mailbox.opened() as files:
            return await mailbox.fetched(files, f"in/{name}", MOST_BYTES)

    async def archive_bank_file(self, name: str, sha256: str) -> None:
        """Move a file to `archive`."""
        async with self._mailbox.opened() as files:
            await mailbox.put_aside(files, name, sha256, datetime.now(UTC))

    def read_bank_file(self, content: bytes) -> tuple[BankNews, ...]:
        """What a `pain.002`, `camt.053` or `camt.054` says."""
        return inbound.news_in(content, self.config.debtor.iban)

    async def fetch_settlement_report(self, report_date: date) -> AsyncIterator[bytes]:
        """Our account's `camt.053` of a date, wherever it lies by now.

        Raises `ProviderUnavailable` while there is none, `OutcomeUnknown` where there are several.
        """
        found: set[bytes] = set()
        async with self._mailbox.opened() as files:
            for path in await _candidates(files, report_date):
                content = await mailbox.fetched(files, path, MOST_BYTES)
                if report.is_statement_of(content, report_date, self.config.debtor.iban):
                    found.add(content)
        if not found:
            raise ProviderUnavailable("there is no statement of this date yet")
        if len(found) > 1:
            raise OutcomeUnknown("there are several statements of this date")
        yield found.pop()

    def read_settlement_report(
        self, chunks: Iterable[bytes], report_date: date
    ) -> Iterator[SettlementLine]:
        """The lines of a statement. Raises `ReportRefused`."""
        return report.lines(chunks, report_date, self.config.debtor.iban)

    async def aclose(self) -> None:
        """Nothing to close: each piece of work opens its own connection."""


def _payee(item: BatchItem, known: Mapping[str, Party]) -> Party:
    payee = known.get(item.token)
    if payee is None or item.currency != _CURRENCY:
        # It was there when the instruction was taken: nothing of the batch goes out until it is
        # there again.
        raise ProviderUnavailable("a destination of this batch is not configured any more")
    return payee


async def _candidates(files: mailbox.Files, report_date: date) -> list[str]:
    """Files that may hold a date's statement: what waits, and what came in the days after it."""
    last = report_date + _REPORT_COMES_WITHIN
    waiting = [f"in/{entry.name}" for entry in await files.entries("in")]
    days = (report_date.isoformat(), last.isoformat())
    kept = [entry.name for entry in await files.entries("archive")]
    return waiting + [f"archive/{name}" for name in sorted(kept) if days[0] <= name[:10] <= days[1]]


def _refused(code: str, message: str) -> Declined:
    return Declined(code=code, message=message)


def _not_offered(operation: ProviderOperation) -> Declined:
    return _refused("operation_not_offered", f"A bank rail cannot {operation}.")
