"""A person's word that overtakes the payout's first step is not lost, and not refused."""

from __future__ import annotations

import pytest

from recompense.contracts.sagas import PayoutReview, PayoutReviewDecision, PayoutReviewed
from recompense.persistence.tables import Payout
from tests.simulation.instances import decoded
from tests.simulation.runs import replayed
from tests.simulation.scenes import PAYOUT
from tests.simulation.snapshots import world_of
from tests.simulation.world import World

WORD = PayoutReview(decision=PayoutReviewDecision.APPROVE, actor="boss")


def _reviewed_at_once(world: World) -> PayoutReviewed:
    run = world.ask(PAYOUT)
    world.server.update(run, "review", "early", WORD)
    world.clock.after(5, lambda: world.server.update(run, "review", "later", WORD))
    world.clock.run()
    replayed(run)
    answer = run.answers["early"].result
    assert answer is not None
    (reviewed,) = decoded([answer], [PayoutReviewed])
    assert isinstance(reviewed, PayoutReviewed)
    return reviewed


def test_approval_that_overtakes_the_first_step_is_taken() -> None:
    world = world_of("payout_approved", 1)
    assert _reviewed_at_once(world).refusal is None
    assert [row.status for row in world.store.rows(Payout)] == ["paid"]


def test_run_of_the_old_way_refuses_it_as_its_history_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workflows.versions.early_reviews_wait", lambda: False)
    refusal = _reviewed_at_once(world_of("payout_approved", 1)).refusal
    assert refusal is not None
    assert refusal.code == "payout_not_reviewable"


def test_approval_that_overtakes_a_refusal_is_refused_too() -> None:
    refusal = _reviewed_at_once(world_of("payout_poor", 1)).refusal
    assert refusal is not None
    assert refusal.code == "payout_not_reviewable"
