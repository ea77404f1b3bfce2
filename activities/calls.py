"""From a journaled call to the adapter's method, and the record of the HTTP calls that it made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from recompense.contracts.provider import (
    AnyMoneyCall,
    AuthorizeCall,
    CallRecord,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Outcome,
    ProviderPort,
    RefundCall,
    VoidCall,
)

_records: ContextVar[list[CallRecord] | None] = ContextVar("provider_calls", default=None)


@contextmanager
def recorded_calls() -> Iterator[list[CallRecord]]:
    """Collect the HTTP calls that adapters make inside this block, for the journal and the
    timeline.
    """
    records: list[CallRecord] = []
    token = _records.set(records)
    try:
        yield records
    finally:
        _records.reset(token)


def note_call(record: CallRecord) -> None:
    """The transport's hook: note a call for whoever collects them."""
    records = _records.get()
    if records is not None:
        records.append(record)


async def call_port(port: ProviderPort, call: AnyMoneyCall) -> Outcome:
    """Make the call that the journal holds."""
    match call:
        case AuthorizeCall():
            return await port.authorize(call)
        case CaptureCall():
            return await port.capture(call)
        case VoidCall():
            return await port.void(call)
        case RefundCall():
            return await port.refund(call)
        case CreatePayoutCall():
            return await port.create_payout(call)
        case CancelPayoutCall():
            return await port.cancel_payout(call)
