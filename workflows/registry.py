"""All workflows, for the worker."""

from __future__ import annotations

from workflows.authorize import AuthorizePayment
from workflows.bank_rail import ReadBankFiles, SubmitPayoutBatch
from workflows.capture import CapturePayment
from workflows.orphans import ForgetOrphansOfSaga
from workflows.payout import Payout
from workflows.provider_events import ApplyProviderEvent, RelayProviderEvents
from workflows.refund import RefundPayment
from workflows.sweeps import ReleaseAvailability, SweepAuthorizations
from workflows.void import VoidAuthorization

WORKFLOWS: list[type] = [
    AuthorizePayment,
    CapturePayment,
    VoidAuthorization,
    RefundPayment,
    Payout,
    ApplyProviderEvent,
    RelayProviderEvents,
    ForgetOrphansOfSaga,
    SweepAuthorizations,
    ReleaseAvailability,
    SubmitPayoutBatch,
    ReadBankFiles,
]
