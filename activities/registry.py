"""Which activities run where: in-house ones on the sagas' queue, provider calls on their provider's
own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.authorization import AuthorizationActivities
from activities.bank_files import BankFileActivities
from activities.batches import BatchActivities
from activities.captures import CaptureActivities
from activities.completions import CompletionActivities
from activities.effects import ProviderActivities
from activities.payout_runs import PayoutRunActivities
from activities.payouts import PayoutActivities
from activities.provider_events import ProviderEventActivities
from activities.reconciliation import ReconciliationActivities, ReportActivities
from activities.refunds import RefundActivities
from activities.repairs import RepairActivities
from activities.sagas import SagaActivities
from activities.sweeps import SweepActivities
from activities.toolbox import Toolbox
from activities.voids import VoidActivities

Activity = Callable[..., Any]


def in_house_activities(tools: Toolbox) -> list[Activity]:
    """The activities that are one transaction in our own database."""
    authorization, capture = AuthorizationActivities(tools), CaptureActivities(tools)
    void, refund, payout = VoidActivities(tools), RefundActivities(tools), PayoutActivities(tools)
    saga, event, sweep = (
        SagaActivities(tools),
        ProviderEventActivities(tools),
        SweepActivities(tools),
    )
    payout_run = PayoutRunActivities(tools)
    return [
        authorization.admit,
        authorization.record,
        authorization.record_capture,
        authorization.release,
        capture.admit,
        capture.record,
        capture.release,
        void.admit,
        void.record,
        void.release,
        refund.admit,
        refund.record,
        refund.release,
        payout.admit,
        payout.review,
        payout.record,
        payout.begin_cancel,
        payout.release,
        payout_run.plan,
        payout_run.open,
        payout_run.freeze,
        payout_run.review,
        payout_run.advance,
        saga.compensate,
        saga.record_undo,
        saga.close,
        saga.park,
        saga.resolve,
        saga.forget_orphans,
        event.load,
        event.apply,
        event.settle_orphan,
        event.relay,
        sweep.expiring,
        sweep.make_available,
    ]


def provider_activities(tools: Toolbox) -> list[Activity]:
    """The activities that call a provider."""
    provider, batches = ProviderActivities(tools), BatchActivities(tools)
    return [
        provider.authorize,
        provider.capture,
        provider.void,
        provider.refund,
        provider.create_payout,
        provider.cancel_payout,
        provider.lookup,
        provider.pull,
        CompletionActivities(tools).complete,
        batches.close,
        batches.submit,
        BankFileActivities(tools).read,
    ]


def reconciliation_activities(tools: Toolbox) -> list[Activity]:
    """The steps of reconciliations on our own side, bulk work beside the sagas' short steps, and of
    repairs.
    """
    reconciliation, repair = ReconciliationActivities(tools), RepairActivities(tools)
    return [
        reconciliation.open,
        reconciliation.relay,
        reconciliation.plan,
        reconciliation.load,
        reconciliation.compare,
        reconciliation.release,
        reconciliation.finish,
        reconciliation.check,
        repair.look,
        repair.admit,
        repair.book,
        repair.withdraw,
    ]


def report_activities(tools: Toolbox) -> list[Activity]:
    """The step of reconciliations that runs on its provider's own queue."""
    return [ReportActivities(tools).fetch]
