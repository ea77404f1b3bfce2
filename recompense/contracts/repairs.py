"""What is said about the repair of a break: by who asks for it, and by the workflow and its steps.
These shapes stand in recorded histories.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from recompense.contracts.provider import Frozen
from recompense.contracts.reconciliation import BreakAction, BreakKind, BreakView
from recompense.contracts.sagas import ProviderEventInput, Refusal

REPAIR_BREAK = "RepairBreak"
"""The explicit type name under which the workflow is registered; it stands in histories."""

REPAIR_UPDATE = "repair"


class RepairInput(Frozen):
    """Repair one break. What is asked for comes by the update `repair`, as often as people ask."""

    break_id: str
    provider: str
    kind: BreakKind

    @property
    def workflow_id(self) -> str:
        """The workflow's id: whoever asks for a repair finds the one that is under way."""
        return f"repair/{self.break_id}"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"Repair a break of {self.provider}: {self.kind.value.replace('_', ' ')}"


class RepairWord(Frozen):
    """The update `repair`: what a person wants done, and why. The same `key` is the same word."""

    key: str = Field(min_length=1)
    action: BreakAction
    actor: str = Field(min_length=1)
    reason: str


class RepairStage(StrEnum):
    """What comes next for a break, by its row."""

    UNASKED = "unasked"
    """It is open, and nobody's word stands."""
    APPROVAL = "approval"
    """A second person is asked."""
    LOOK_UP = "look_up"
    """The provider has to say first what became of the effect."""
    BOOK = "book"
    """Nothing is missing any more: it can be booked."""
    RESOLVED = "resolved"
    """It is resolved, by a repair or otherwise."""


class RepairRef(Frozen):
    """A break, by its id."""

    break_id: str


class AdmitRepair(Frozen):
    """A person's word, and the break that it is about."""

    break_id: str
    word: RepairWord


class WithdrawRepair(Frozen):
    """Take back what was asked and not booked yet, and why."""

    break_id: str
    reason: str


class RepairStands(Frozen):
    """Where a break stands.

    `word` is what is carried out, or was. `event` has to be applied before it can be booked.
    `refusal` says why the step did not do what it was asked.
    """

    stage: RepairStage
    word: RepairWord | None
    shown: BreakView
    event: ProviderEventInput | None = None
    refusal: Refusal | None = None

    @property
    def key(self) -> str | None:
        """Which word it is; None: nobody's."""
        return None if self.word is None else self.word.key


class RepairAnswered(Frozen):
    """The answer of the update `repair`: the break afterwards, or why not. Exactly one is set.

    A break that is still open waits for a second person or for the provider.
    """

    shown: BreakView | None = None
    refusal: Refusal | None = None
