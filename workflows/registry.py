"""All workflows, for the worker."""

from __future__ import annotations

from workflows.authorize import AuthorizePayment
from workflows.bank_rail import ReadBankFiles, SubmitPayoutBatch
from workflows.capture import CapturePayment
from workflows.orphans import ForgetOrphansOfSaga
from workflows.payout import Payout
from workflows.payout_run import PayoutRun
from workflows.payout_run_trigger import PayoutRunTrigger
from workflows.provider_events import ApplyProviderEvent, RelayProviderEvents
from workflows.reconcile import (
    CheckBalances,
    ReconcileDailyTrigger,
    ReconcileProvider,
    RelayReconciliations,
)
from workflows.refund import RefundPayment
from workflows.repair import RepairBreak
from workflows.sweeps import ReleaseAvailability, SweepAuthorizations
from workflows.void import VoidAuthorization

WORKFLOWS: list[type] = [
    AuthorizePayment,
    CapturePayment,
    VoidAuthorization,
    RefundPayment,
    Payout,
    PayoutRun,
    PayoutRunTrigger,
    ApplyProviderEvent,
    RelayProviderEvents,
    ForgetOrphansOfSaga,
    SweepAuthorizations,
    ReleaseAvailability,
    ReconcileProvider,
    ReconcileDailyTrigger,
    RelayReconciliations,
    CheckBalances,
    RepairBreak,
    SubmitPayoutBatch,
    ReadBankFiles,
]
