"""Reconciliation: what its workflow is given, and what callers see of it.

Amounts are minor units. Dates are the provider's report dates.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from recompense.contracts.policies import CallPolicy
from recompense.contracts.provider import Frozen
from recompense.contracts.settlement import SettlementKind
from recompense.domain.money import Currency

RECONCILE_PROVIDER = "ReconcileProvider"
RECONCILE_DAILY = "ReconcileDaily"
CHECK_BALANCES = "CheckBalances"
RELAY_RECONCILIATIONS = "RelayReconciliations"
"""The explicit type names under which the workflows are registered; they stand in histories."""


FIRST_REPORT_DATE, LAST_REPORT_DATE = date(2000, 1, 1), date(2999, 12, 31)
"""What a report may be of: a day before or after it is still a date."""


class ReconciliationStatus(StrEnum):
    """Where a reconciliation stands. `breaks`: differences of its date are open."""

    RUNNING = "running"
    CLEAN = "clean"
    BREAKS = "breaks"
    FAILED = "failed"


class BreakKind(StrEnum):
    """What kind of difference a break is."""

    MISSING_AT_PROVIDER = "missing_at_provider"
    MISSING_HERE = "missing_here"
    AMOUNT_MISMATCH = "amount_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    FEE_MISMATCH = "fee_mismatch"
    DUPLICATE = "duplicate"
    STATE_MISMATCH = "state_mismatch"
    LATE = "late"


class BreakAction(StrEnum):
    """How a break is repaired."""

    POST = "post"
    REVERSE = "reverse"
    WRITE_OFF = "write_off"
    ACCEPT = "accept"


class ProviderFee(Frozen):
    """What a provider charges for one effect: a share in basis points, rounded down to the minor
    unit, and a fixed part.
    """

    basis_points: int = Field(default=0, ge=0, le=10_000)
    fixed: int = Field(default=0, ge=0)


class SettlementTerms(Frozen):
    """What was agreed with a provider about its settlement.

    `reports` are the kinds of effects that its reports hold: one that is not there is missing.
    `fees` None: fees are taken as they are charged; else a kind without terms is free of charge.
    An effect is expected in a report that covers the time `lag_days` after it.
    """

    reports: frozenset[SettlementKind] = frozenset({SettlementKind.CAPTURE, SettlementKind.REFUND})
    fees: dict[SettlementKind, ProviderFee] | None = None
    lag_days: int = Field(default=0, ge=0, le=60)
    late_after_days: int = Field(default=7, ge=1, le=365)
    look_back_days: int = Field(default=35, ge=1, le=366)
    report_retry_seconds: float = Field(default=300, gt=0)
    report_deadline_seconds: float = Field(default=86_400, gt=0)
    largest_report_bytes: int = Field(default=2 * 1024**3, gt=0)


SANDBOX_TERMS = SettlementTerms(
    reports=frozenset(
        {
            SettlementKind.AUTHORIZATION,
            SettlementKind.CAPTURE,
            SettlementKind.VOID,
            SettlementKind.REFUND,
            SettlementKind.PAYOUT,
            SettlementKind.PAYOUT_RETURN,
        }
    ),
    fees={SettlementKind.CAPTURE: ProviderFee(basis_points=100)},
    report_retry_seconds=2,
    report_deadline_seconds=30,
)
"""The simulated provider reports all it does, charges one percent of captures, and is given up
soon, so that a person sees the end of a story.
"""


class ReconcileInput(Frozen):
    """One reconciliation: its row is there before its workflow starts."""

    reconciliation_id: str
    provider: str
    report_date: date
    number: int = Field(ge=1)

    @property
    def workflow_id(self) -> str:
        """The id under which it runs."""
        return f"reconcile/{self.provider}/{self.report_date.isoformat()}/{self.number}"


class ReconcilePlan(Frozen):
    """How the report is fetched: the provider's policy for it, and for how long."""

    policy: CallPolicy
    retry_seconds: float
    deadline_seconds: float


class FetchedReport(Frozen):
    """A report that is kept. `refused_code` says why one was not."""

    report_id: int | None = None
    bytes: int = 0
    refused_code: str | None = None
    refused_message: str | None = None


class LoadReport(Frozen):
    """Load the lines of a kept report, or compare them."""

    reconciliation: ReconcileInput
    report_id: int


class LoadedReport(Frozen):
    """All lines of a report are loaded, or none: then `refused_code` says why."""

    lines: int = 0
    refused_code: str | None = None
    refused_message: str | None = None


class Compared(Frozen):
    """What a comparison found. `opened` and `closed` are this comparison's own."""

    lines: int
    matched: int
    opened: int
    closed: int


class FinishReconciliation(Frozen):
    """End a reconciliation. With a code it has failed."""

    reconciliation: ReconcileInput
    failure_code: str | None = None
    failure_message: str | None = None


class ReconcileDaily(Frozen):
    """What the schedule of a provider starts. Without a date the report is the one of the day
    before the scheduled one.
    """

    provider: str
    report_date: date | None = None


class OpenReconciliation(Frozen):
    """Make the row of a scheduled reconciliation."""

    provider: str
    report_date: date


class BalanceDifference(Frozen):
    """Where the clearing account of a provider is not what the journal says that it should be."""

    provider: str
    currency: str
    in_ledger: int
    in_journal: int


class AskedAbout(Frozen):
    """Effects that stand at a provider and not in our books, while a person is asked about them.

    `amount` minor units are what clearing would hold more, were they all kept.
    """

    provider: str
    currency: str
    effects: int
    amount: int


class CheckedBalances(Frozen):
    """What the hourly check found, and how many effects it asks the provider about again."""

    differences: tuple[BalanceDifference, ...] = ()
    asked_about: tuple[AskedAbout, ...] = ()
    asked_again: int = 0


class ReconciliationFailure(Frozen):
    """Why a reconciliation could not be made."""

    code: str
    message: str


class ReconciliationView(Frozen):
    """A reconciliation as callers see it."""

    id: str
    object: Literal["reconciliation"] = "reconciliation"
    provider: str
    date: date
    status: ReconciliationStatus
    lines: int
    matched: int
    breaks: int
    report_hash: str | None
    failure: ReconciliationFailure | None
    created_at: datetime
    finished_at: datetime | None


class Figures(Frozen):
    """One side of a break: what our books say of an effect, or what a line of a report says."""

    amount: int | None = None
    fee: int | None = None
    currency: Currency | None = None
    status: str | None = None
    reference: str | None = None
    report_date: date | None = None


class BreakResolution(Frozen):
    """How a break was resolved: by whom, when and why. `approved_by` is the second person.

    The action `matched` is nobody's: a later report showed that nothing is missing.
    """

    action: BreakAction | Literal["matched"]
    actor: str
    reason: str
    at: datetime
    approved_by: str | None = None
    posting_key: str | None = None


class BreakView(Frozen):
    """A break as callers see it. `expected` is our side, `found` the report's; null: nothing."""

    id: str
    object: Literal["break"] = "break"
    kind: BreakKind
    status: Literal["open", "resolved"]
    provider: str
    date: date
    operation_id: str | None
    payment_id: str | None
    currency: str
    expected: Figures | None
    found: Figures | None
    proposal: BreakAction
    assignee: str | None
    created_at: datetime
    resolution: BreakResolution | None
