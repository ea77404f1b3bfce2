"""A bank rail's clockwork: close the window and deliver its file; read what the bank has left."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError

from recompense.contracts import activities, search_attributes
from recompense.contracts.bank_rail import (
    BatchSubmitted,
    ClosedWindow,
    CloseWindow,
    FilesRead,
    PayoutWindow,
    ReadFiles,
    SubmitBatch,
)
from recompense.domain.money import formatted
from workflows.failures import reason
from workflows.policies import bank_files_call
from workflows.provider_events import start_applying

SCHEDULED_AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
TRY_AGAIN_AFTER = timedelta(minutes=1)


@workflow.defn(name="SubmitPayoutBatch")
class SubmitPayoutBatch:
    """One window. Its name is the moment it was scheduled for, so a reset closes no other one.

    A file that cannot be delivered is tried until it can: what is in a closed window is neither
    dropped nor sent twice.
    """

    @workflow.run
    async def run(self, window: PayoutWindow) -> str:
        """Close the window and deliver its file. Returns what was sent."""
        closed: ClosedWindow = await workflow.execute_activity(
            activities.close_payout_window,
            CloseWindow(provider=window.provider, closes_at=_moment()),
            summary="close the window",
            **bank_files_call(window.provider),
        )
        if closed.batch_id is None:
            return "nothing waited"
        sent = await self._delivered(window.provider, closed, closed.batch_id)
        return f"{sent.file_name}: {_what(closed)}"

    async def _delivered(
        self, provider: str, closed: ClosedWindow, batch_id: str
    ) -> BatchSubmitted:
        asked = False
        while True:
            workflow.set_current_details(f"Delivering {_what(closed)} to {provider}.")
            try:
                sent: BatchSubmitted = await workflow.execute_activity(
                    activities.submit_payout_batch,
                    SubmitBatch(provider=provider, batch_id=batch_id),
                    summary=_what(closed),
                    **bank_files_call(provider),
                )
            except ActivityError as failure:
                why = reason(failure)
            else:
                if asked:
                    _ask(needed=False)
                return sent
            if not asked:
                _ask(needed=True)
                asked = True
            workflow.set_current_details(
                f"**A file does not get out to {provider}**: {why}\n\n{_what(closed)} wait in"
                f" `{batch_id}`. It is tried again every minute."
            )
            await workflow.sleep(TRY_AGAIN_AFTER)


@workflow.defn(name="ReadBankFiles")
class ReadBankFiles:
    """Read what a bank has left, and apply what it says.

    Fails, red, when a file was refused: it is kept, and a person has to look at it.
    """

    @workflow.run
    async def run(self, read: ReadFiles) -> FilesRead:
        """Read the files that wait."""
        done: FilesRead = await workflow.execute_activity(
            activities.read_bank_files, read, **bank_files_call(read.provider)
        )
        await start_applying(done.events)
        if done.refused:
            raise ApplicationError(
                f"{read.provider} left files that cannot be read: {', '.join(done.refused)}",
                done,
                type="BankFileRefused",
                non_retryable=True,
            )
        return done


def _moment() -> datetime:
    info = workflow.info()
    return info.typed_search_attributes.get(SCHEDULED_AT) or info.start_time


def _ask(*, needed: bool) -> None:
    workflow.upsert_search_attributes([search_attributes.NEEDS_ATTENTION.value_set(needed)])


def _what(closed: ClosedWindow) -> str:
    return f"{closed.items} payouts, {formatted(closed.total, closed.currency)}"
