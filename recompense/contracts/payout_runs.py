"""What is said about payout runs: by who starts and reviews them, and by the workflow and its
steps. These shapes stand in recorded histories.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from recompense.contracts.provider import Frozen
from recompense.contracts.sagas import PayoutInput, Refusal
from recompense.contracts.views import PayoutRunView
from recompense.domain.money import Currency
from recompense.domain.states import PayoutRunStatus

RUN_NAME_PATTERN = r"^[a-z0-9-]{1,40}$"
RunName = Annotated[str, Field(pattern=RUN_NAME_PATTERN)]


class PayoutRunInput(Frozen):
    """Pay out to all merchants whose schedule has this name, for one business date.

    `currency` None: in all currencies. `fired_at` is when a schedule started it; None: a person
    did. `run_id` is the id that the run gets when it is made by this input; None: any new one.
    """

    name: RunName
    business_date: date
    currency: Currency | None = None
    run_id: str | None = None
    fired_at: AwareDatetime | None = None
    requested_by: str
    at_once: int = Field(default=20, ge=1, le=200)
    page_size: int = Field(default=200, ge=1, le=500)

    @property
    def workflow_id(self) -> str:
        """The workflow's id: whoever starts this run again finds the one that is there."""
        return f"payout-run/{self.name}/{self.business_date}/{self.currency or 'all'}"

    @property
    def summary(self) -> str:
        """One line for people."""
        what = self.currency or "all currencies"
        return f"Payout run {self.name} of {self.business_date}, {what}"


class PayoutRunTriggerInput(Frozen):
    """A schedule's word: run this name for the date at which the schedule fired."""

    name: RunName


class PlannedRun(Frozen):
    """What a schedule's moment means. `run` None: it is no business day."""

    business_date: date
    run: PayoutRunInput | None


class PlanRun(Frozen):
    """Ask what the moment at which a schedule fired means for the runs of this name."""

    name: RunName
    fired_at: datetime


class PayoutRunDecision(Frozen):
    """The update `decision` of a run: the run once its items are frozen, or why there is none."""

    run: PayoutRunView | None = None
    refusal: Refusal | None = None


class RunReview(Frozen):
    """The update `review` of a run: a person's word about all of its items at once."""

    decision: Literal["approve", "reject"]
    actor: str = Field(min_length=1)
    reason: str | None = None


class ReviewRun(Frozen):
    """A person's word, and the run that it is about. The same `key` is the same word again."""

    run_id: str
    key: str
    review: RunReview


class RunReviewed(Frozen):
    """The run after a review, or why the review was refused."""

    run: PayoutRunView | None = None
    refusal: Refusal | None = None


class RunOpened(Frozen):
    """The run's row, made or found; or the refusal when another run excludes it."""

    run: PayoutRunView | None = None
    refusal: Refusal | None = None


class RunRef(Frozen):
    """A run, by its id."""

    run_id: str


class RunFrozen(Frozen):
    """How far the list of items is. `done` when all are in it: the status says what follows."""

    done: bool
    status: PayoutRunStatus
    items_count: int = 0


class AdvanceRun(Frozen):
    """Write which items' sagas were started or lost, and ask which come next."""

    run_id: str
    at_once: int
    started: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class StartItem(Frozen):
    """An item whose saga is to be started. `again`: an earlier run of that saga has failed."""

    item_id: str
    payout: PayoutInput
    again: bool = False


class RunAdvanced(Frozen):
    """The items to start now, and how far the run is. Nothing is left when the status has ended."""

    status: PayoutRunStatus
    items: tuple[StartItem, ...] = ()
    items_count: int = 0
    waiting: int = 0
    open: int = 0


class PayoutRunResult(Frozen):
    """How a run's workflow ended."""

    run_id: str | None
    ended: str
