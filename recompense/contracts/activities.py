"""Typed activity stubs: what workflows call. The implementations in `activities/` register under
the same names.

The names stand in recorded histories: they are never changed, only added to. A wrong argument is a
type error, and a workflow
that imports this module loads no adapter, no table and no settings.
"""

from __future__ import annotations

from temporalio import activity

from recompense.contracts.bank_rail import (
    BatchSubmitted,
    ClosedWindow,
    CloseWindow,
    FilesRead,
    ReadFiles,
    SubmitBatch,
)
from recompense.contracts.payout_runs import (
    AdvanceRun,
    PayoutRunInput,
    PlannedRun,
    PlanRun,
    ReviewRun,
    RunAdvanced,
    RunFrozen,
    RunOpened,
    RunRef,
    RunReviewed,
)
from recompense.contracts.provider import ProviderOperation
from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    ProviderEventInput,
    RefundInput,
    VoidInput,
)
from recompense.contracts.steps import (
    ActionCompleted,
    Admitted,
    ApplyEvent,
    BeginCompensation,
    CloseAttempt,
    CompensationPlan,
    CompleteAction,
    EffectAnswer,
    EffectPlan,
    EventApplied,
    EventTarget,
    ExpiringPage,
    ForgetOrphans,
    PageDone,
    PageRequest,
    Park,
    Recorded,
    RecordEffect,
    Resolve,
    Resolved,
    ReviewPayout,
    SettleOrphan,
    StepRef,
)
from recompense.contracts.views import CaptureView, PaymentView, PayoutView, RefundView


@activity.defn(name="authorization.admit")
async def admit_authorization(admit: AuthorizeInput) -> Admitted[PaymentView]:
    """Make the payment and its hold, decide the route, journal the authorization and grant its send
    right: once an attempt.
    """
    raise NotImplementedError


@activity.defn(name="authorization.record")
async def record_authorization(record: RecordEffect) -> Recorded[PaymentView]:
    """Write the authorization's outcome. With automatic capture: also reserve, journal and grant
    the capture.
    """
    raise NotImplementedError


@activity.defn(name="authorization.record_capture")
async def record_automatic_capture(record: RecordEffect) -> Recorded[PaymentView]:
    """Write the outcome of an automatic capture: post it, or keep why it has to be compensated."""
    raise NotImplementedError


@activity.defn(name="authorization.release")
async def release_authorization(step: StepRef) -> Recorded[PaymentView]:
    """Compensation of `authorization.admit`: release the hold and end the payment. Nothing to
    release is a success.
    """
    raise NotImplementedError


@activity.defn(name="capture.admit")
async def admit_capture(admit: CaptureInput) -> Admitted[CaptureView]:
    """Reserve the capturable amount under the payment's lock, journal the capture and grant its
    send right.
    """
    raise NotImplementedError


@activity.defn(name="capture.record")
async def record_capture(record: RecordEffect) -> Recorded[CaptureView]:
    """Write the capture's outcome: post the hold, the fee and the availability, or give the
    reservation back.
    """
    raise NotImplementedError


@activity.defn(name="capture.release")
async def release_capture(step: StepRef) -> Recorded[CaptureView]:
    """Compensation of `capture.admit`: give the reservation back. Nothing reserved is a success."""
    raise NotImplementedError


@activity.defn(name="void.admit")
async def admit_void(admit: VoidInput) -> Admitted[PaymentView]:
    """Mark the payment as being voided, journal the void and grant its send right."""
    raise NotImplementedError


@activity.defn(name="void.record")
async def record_void(record: RecordEffect) -> Recorded[PaymentView]:
    """Write the void's outcome: void the rest of the hold, or take the mark off."""
    raise NotImplementedError


@activity.defn(name="void.release")
async def release_void(step: StepRef) -> Recorded[PaymentView]:
    """Compensation of `void.admit`: take the mark off. No mark is a success."""
    raise NotImplementedError


@activity.defn(name="refund.admit")
async def admit_refund(admit: RefundInput) -> Admitted[RefundView]:
    """Reserve the refundable amount and the merchant's money for it, journal the refund and grant
    its send right.
    """
    raise NotImplementedError


@activity.defn(name="refund.record")
async def record_refund(record: RecordEffect) -> Recorded[RefundView]:
    """Write the refund's outcome: post the reserved money, or give it back."""
    raise NotImplementedError


@activity.defn(name="refund.release")
async def release_refund(step: StepRef) -> Recorded[RefundView]:
    """Compensation of `refund.admit`: give the reserved money back.

    Nothing reserved is a success.
    """
    raise NotImplementedError


@activity.defn(name="payout.admit")
async def admit_payout(admit: PayoutInput) -> Admitted[PayoutView]:
    """Screen the payout and reserve the merchant's available money; where no approval is asked,
    also journal and grant it.
    """
    raise NotImplementedError


@activity.defn(name="payout.review")
async def review_payout(review: ReviewPayout) -> Recorded[PayoutView]:
    """Write a person's word. An approval journals the payout and grants its send right in the same
    transaction.
    """
    raise NotImplementedError


@activity.defn(name="payout.record")
async def record_payout(record: RecordEffect) -> Recorded[PayoutView]:
    """Write where the payout stands: on its way, paid, or refused and the reserved money given
    back.
    """
    raise NotImplementedError


@activity.defn(name="payout.begin_cancel")
async def begin_cancel_payout(step: StepRef) -> Recorded[PayoutView]:
    """Journal the request to take a payout back that is on its way, and grant its send right."""
    raise NotImplementedError


@activity.defn(name="payout.release")
async def release_payout(step: StepRef) -> Recorded[PayoutView]:
    """Compensation of `payout.admit`: give the reserved money back.

    Nothing reserved is a success.
    """
    raise NotImplementedError


@activity.defn(name="payout_run.plan")
async def plan_payout_run(plan: PlanRun) -> PlannedRun:
    """Say what run, if any, the moment at which a schedule fired stands for."""
    raise NotImplementedError


@activity.defn(name="payout_run.open")
async def open_payout_run(run: PayoutRunInput) -> RunOpened:
    """Make the run's row, or find it."""
    raise NotImplementedError


@activity.defn(name="payout_run.freeze")
async def freeze_payout_run(ref: RunRef) -> RunFrozen:
    """Put the next page of merchants into the run's list."""
    raise NotImplementedError


@activity.defn(name="payout_run.review")
async def review_payout_run(reviewed: ReviewRun) -> RunReviewed:
    """Write a person's word about a run."""
    raise NotImplementedError


@activity.defn(name="payout_run.advance")
async def advance_payout_run(advance: AdvanceRun) -> RunAdvanced:
    """Write which items were started, see which are settled, and hand out the next ones."""
    raise NotImplementedError


@activity.defn(name="saga.compensate")
async def begin_compensation(begin: BeginCompensation) -> CompensationPlan:
    """Move the attempt to `compensating`; journal and grant what is undone at the provider."""
    raise NotImplementedError


@activity.defn(name="saga.record_undo")
async def record_undo(record: RecordEffect) -> Recorded[PaymentView]:
    """Write the outcome of a compensation at the provider into the journal."""
    raise NotImplementedError


@activity.defn(name="saga.close")
async def close_attempt(close: CloseAttempt) -> None:
    """Close a fully compensated attempt and keep its report."""
    raise NotImplementedError


@activity.defn(name="saga.park")
async def park(park_: Park) -> EffectAnswer | None:
    """Say in the database that the saga waits for a person, and what it asks; or answer what is
    known already.
    """
    raise NotImplementedError


@activity.defn(name="saga.resolve")
async def resolve(resolve_: Resolve) -> Resolved:
    """Audit a person's answer and apply it to the journal."""
    raise NotImplementedError


@activity.defn(name="provider.authorize")
async def provider_authorize(plan: EffectPlan) -> EffectAnswer:
    """Authorize at the provider."""
    raise NotImplementedError


@activity.defn(name="provider.capture")
async def provider_capture(plan: EffectPlan) -> EffectAnswer:
    """Capture at the provider."""
    raise NotImplementedError


@activity.defn(name="provider.void")
async def provider_void(plan: EffectPlan) -> EffectAnswer:
    """Void at the provider; the compensation of `provider.authorize`."""
    raise NotImplementedError


@activity.defn(name="provider.refund")
async def provider_refund(plan: EffectPlan) -> EffectAnswer:
    """Refund at the provider."""
    raise NotImplementedError


@activity.defn(name="provider.create_payout")
async def provider_create_payout(plan: EffectPlan) -> EffectAnswer:
    """Send a payout at the provider."""
    raise NotImplementedError


@activity.defn(name="provider.cancel_payout")
async def provider_cancel_payout(plan: EffectPlan) -> EffectAnswer:
    """Take a payout back at the provider; the compensation of `provider.create_payout` where it
    can.
    """
    raise NotImplementedError


@activity.defn(name="provider.lookup")
async def provider_lookup(plan: EffectPlan) -> EffectAnswer:
    """Find out what became of one effect; moves nothing. `Absent` is only answered once it is
    final.
    """
    raise NotImplementedError


@activity.defn(name="provider.pull")
async def provider_pull(plan: EffectPlan) -> EffectAnswer:
    """Ask the provider for the present state of an effect, whatever the journal knows.

    Moves nothing.
    """
    raise NotImplementedError


@activity.defn(name="provider.complete_action")
async def provider_complete_action(complete: CompleteAction) -> ActionCompleted:
    """Hand the provider what the payer brought back, while the saga waits for it."""
    raise NotImplementedError


@activity.defn(name="provider_event.load")
async def load_provider_event(event: ProviderEventInput) -> EventTarget:
    """Find the effect that a stored event speaks of."""
    raise NotImplementedError


@activity.defn(name="provider_event.apply")
async def apply_provider_event(apply: ApplyEvent) -> EventApplied:
    """Apply what the provider says now, along the transition tables only."""
    raise NotImplementedError


@activity.defn(name="provider_event.settle_orphan")
async def settle_orphan(settle: SettleOrphan) -> None:
    """Write what became of an orphan's undo."""
    raise NotImplementedError


@activity.defn(name="saga.forget_orphans")
async def forget_orphans(told: ForgetOrphans) -> None:
    """Write that the parked orphans of a saga were undone at the provider."""
    raise NotImplementedError


@activity.defn(name="sweep.expiring")
async def expiring_authorizations(page: PageRequest) -> ExpiringPage:
    """Page through authorizations past their validity."""
    raise NotImplementedError


@activity.defn(name="availability.release")
async def make_available(page: PageRequest) -> PageDone:
    """Move a page of captured money that has become due from pending to available."""
    raise NotImplementedError


@activity.defn(name="provider_event.relay")
async def unapplied_events(page: PageRequest) -> tuple[ProviderEventInput, ...]:
    """List stored events that nobody has applied yet, oldest first."""
    raise NotImplementedError


@activity.defn(name="provider.close_window")
async def close_payout_window(window: CloseWindow) -> ClosedWindow:
    """Take the payouts that wait for a bank into one batch, once for each window."""
    raise NotImplementedError


@activity.defn(name="provider.submit_batch")
async def submit_payout_batch(submit: SubmitBatch) -> BatchSubmitted:
    """Deliver a batch's one file; repeating it is safe at any time."""
    raise NotImplementedError


@activity.defn(name="provider.read_bank_files")
async def read_bank_files(read: ReadFiles) -> FilesRead:
    """Keep and read the files that a bank has left, and put what they say into the inbox."""
    raise NotImplementedError


MONEY_CALLS = {
    ProviderOperation.AUTHORIZE: provider_authorize,
    ProviderOperation.CAPTURE: provider_capture,
    ProviderOperation.VOID: provider_void,
    ProviderOperation.REFUND: provider_refund,
    ProviderOperation.CREATE_PAYOUT: provider_create_payout,
    ProviderOperation.CANCEL_PAYOUT: provider_cancel_payout,
}
