"""What a person may answer about effects that stand after their attempt was taken back."""

from __future__ import annotations

import dataclasses
from contextlib import asynccontextmanager
from typing import Any

import pytest

from recompense.contracts.sagas import ResolveDecision
from recompense.desk import rows
from recompense.desk.orphans import check_answer
from recompense.desk.replay import ReplayAction, ReplayReport, replay
from recompense.desk.rows import Story
from recompense.domain.failures import Refused
from recompense.persistence.saga_tables import Orphan
from tests.unit.desk.rows import SAGA, operation, story

APPROVED = {"kind": "approved", "reference": "prov_1"}
CHARGED = Orphan(saga_id=SAGA, step="capture", attempt=1, leg=1, outcome=APPROVED, status="parked")


def standing(kind: str) -> Story:
    failed = story(operation("closed", "failed", kind=kind))
    return dataclasses.replace(failed, orphans=[CHARGED])


def test_capture_is_kept_by_its_own_saga() -> None:
    check_answer(standing("capture"), ResolveDecision.SUCCEEDED)


def test_automatic_capture_is_not_kept_for_its_next_attempt_would_charge_again() -> None:
    with pytest.raises(Refused) as refused:
        check_answer(standing("authorize"), ResolveDecision.SUCCEEDED)
    assert refused.value.code == "orphan_cannot_be_kept"
    check_answer(standing("authorize"), ResolveDecision.FAILED)


async def test_saga_that_ended_well_is_left_alone_though_its_capture_was_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reversed_ = Orphan(**{**CHARGED.model_dump(), "outcome": {"kind": "declined"}})
    ended = story(operation("recorded", "done", kind="authorize"))
    report = await replayed(monkeypatch, dataclasses.replace(ended, orphans=[reversed_]))
    assert report.action is ReplayAction.NOTHING


@pytest.mark.parametrize("dry_run", [True, False])
async def test_authorization_whose_capture_stands_is_not_replayed(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    with pytest.raises(Refused) as refused:
        await replayed(monkeypatch, standing("authorize"), dry_run=dry_run)
    assert refused.value.code == "saga_is_parked"


async def replayed(
    monkeypatch: pytest.MonkeyPatch, told: Story, *, dry_run: bool = False
) -> ReplayReport:
    """Replay a saga whose rows are these; Temporal is not there to be asked."""

    class Books:
        @asynccontextmanager
        async def transaction(self) -> Any:
            yield None

    async def found(*_: object) -> Story:
        return told

    monkeypatch.setattr(rows, "story", found)
    nobody: Any = None
    books: Any = Books()
    return await replay(nobody, books, SAGA, actor="ops", reason="a test", dry_run=dry_run)
