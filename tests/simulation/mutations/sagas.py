"""Defects of the sagas' own code."""

from __future__ import annotations

from typing import Any

import pytest

from recompense.contracts.provider import Declined
from recompense.contracts.steps import EffectAnswer
from workflows.authorize import AuthorizePayment
from workflows.compensation import Compensations
from workflows.effects import Effects
from workflows.provider_events import ApplyProviderEvent, RelayProviderEvents
from workflows.saga import Saga


def m_orphans_are_not_undone(patch: pytest.MonkeyPatch) -> None:
    """An orphan is noted and its undo is nobody's."""

    async def undo(self: object, plan: object) -> None:
        return None

    patch.setattr(Compensations, "undo_orphan", undo)
    patch.setattr(ApplyProviderEvent, "_undo", undo)


def m_a_cancel_ends_what_is_pending(patch: pytest.MonkeyPatch) -> None:
    """A cancel takes back what the provider has not decided."""
    patch.setattr(Effects, "is_interrupted", lambda self, answer: self.cancel_requested)


def m_a_cancel_tears_the_saga(patch: pytest.MonkeyPatch) -> None:
    """The forward path runs in the task that is cancelled."""

    async def carry(self: Any, forward: Any) -> Any:
        return await self._live(forward)

    patch.setattr(Saga, "carry", carry)


def m_a_failed_undo_counts_as_undone(patch: pytest.MonkeyPatch) -> None:
    """Whatever the provider says to an undo, it is believed to be undone."""
    from workflows import compensation

    patch.setattr(compensation, "is_undone", lambda answer: True)


def m_the_undo_is_not_made(patch: pytest.MonkeyPatch) -> None:
    """The planned undo is skipped."""

    async def undo(self: object, begun: object) -> None:
        return None

    patch.setattr(Compensations, "undo_at_provider", undo)


def m_pending_is_approved(patch: pytest.MonkeyPatch) -> None:
    """`Pending` counts as the final word."""
    patch.setattr(EffectAnswer, "is_final", property(lambda answer: True))


def m_nobody_is_told_the_word(patch: pytest.MonkeyPatch) -> None:
    """A pending outcome is neither asked for again nor told."""

    async def poll(self: object, plan: object, answer: Any) -> Any:
        return answer

    patch.setattr(Effects, "_poll", poll)
    patch.setattr(Effects, "_overdue", poll)


def m_the_relay_sleeps(patch: pytest.MonkeyPatch) -> None:
    """Stored events are never relayed."""

    async def run(self: object) -> int:
        return 0

    _run_of(patch, RelayProviderEvents, run)


def _run_of(patch: pytest.MonkeyPatch, workflow_class: type, run: Any) -> None:
    from dataclasses import replace

    from tests.simulation.instances import DEFINITIONS

    name = workflow_class.__name__
    patch.setitem(DEFINITIONS, name, replace(DEFINITIONS[name], run_fn=run))


def m_a_declined_automatic_capture_stands(patch: pytest.MonkeyPatch) -> None:
    """A refused automatic capture leaves the authorization."""
    original = AuthorizePayment._capture

    async def capture(self: Any, plan: Any) -> Any:
        answer = await self.effect(plan)
        if isinstance(answer.outcome, Declined):
            return self.result("declined")
        return await original(self, plan)

    patch.setattr(AuthorizePayment, "_capture", capture)


def m_an_attempt_is_left_open(patch: pytest.MonkeyPatch) -> None:
    """A taken back saga ends without closing its attempt."""

    async def close(self: Any, cause: Any) -> None:
        self.undone.append("closed")

    patch.setattr(Compensations, "close", close)
