"""What a person may answer about effects that stand after their attempt was taken back."""

from __future__ import annotations

import dataclasses
from contextlib import asynccontextmanager
from typing import Any

import pytest

from recompense.contracts.sagas import ResolveDecision
from recompense.desk import rows
from recompense.desk.orphans import check_answer
from recompense.desk.replay import replay
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


@pytest.mark.parametrize("dry_run", [True, False])
async def test_authorization_whose_capture_stands_is_not_replayed(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    class Books:
        @asynccontextmanager
        async def transaction(self) -> Any:
            yield None

    async def found(*_: object) -> Story:
        return standing("authorize")

    monkeypatch.setattr(rows, "story", found)
    nobody: Any = None
    books: Any = Books()
    with pytest.raises(Refused) as refused:
        await replay(nobody, books, SAGA, actor="ops", reason="a test", dry_run=dry_run)
    assert refused.value.code == "saga_is_parked"
