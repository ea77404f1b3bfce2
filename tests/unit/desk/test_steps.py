"""Steps as people see them."""

from __future__ import annotations

from recompense.desk.models import StepState
from recompense.desk.steps import steps_of
from tests.unit.desk.rows import effect, operation, story

CAUSE = {"code": "provider_unavailable", "message": "It stayed away."}


def test_undone_step_is_shown_with_its_compensation() -> None:
    admit, authorize, capture = steps_of(
        story(
            operation("closed", "failed"),
            effect("authorize", "approved"),
            effect("capture", "absent"),
            effect("authorize.undo", "approved"),
            report={"cause": CAUSE, "undone": ["void at sandbox", "release"]},
        )
    )
    assert (admit.state, admit.compensation) == (StepState.COMPENSATED, "release: done")
    assert (authorize.state, authorize.outcome) == (StepState.COMPENSATED, "approved")
    assert authorize.compensation == "void: done"
    assert (capture.state, capture.compensation) == (StepState.NOT_MADE, None)


def test_undo_under_way_leaves_its_step_standing() -> None:
    admit, authorize = steps_of(
        story(
            operation("compensating", "compensating"),
            effect("authorize", "approved"),
            effect("authorize.undo", None),
            report={"cause": CAUSE},
        )
    )
    assert admit.compensation == "release: due"
    assert (authorize.state, authorize.compensation) == (StepState.DONE, "void: unknown")


def test_newest_try_of_an_undo_counts() -> None:
    refused = {"kind": "declined", "code": "refused", "message": "Not now."}
    _, authorize = steps_of(
        story(
            operation("closed", "failed"),
            effect("authorize", "approved"),
            effect("authorize.undo", "declined", known=refused),
            effect("authorize.undo", "approved", leg=2),
        )
    )
    assert (authorize.state, authorize.compensation) == (StepState.COMPENSATED, "void: done")


def test_refused_saga_shows_why() -> None:
    (admit,) = steps_of(
        story(
            operation("recorded", "done"),
            decision={"refusal": {"code": "amount_exceeds_capturable"}},
        )
    )
    assert admit.state is StepState.DECLINED
    assert admit.outcome == "refused: amount_exceeds_capturable"


def test_sent_effect_without_an_answer_is_unknown() -> None:
    _, sent, unsent = steps_of(
        story(
            operation("open", "running"),
            effect("authorize", None),
            effect("capture", None, sent=False),
        )
    )
    assert (sent.state, unsent.state) == (StepState.UNKNOWN, StepState.INTENDED)
