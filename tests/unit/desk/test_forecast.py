"""What a replay would do, told from the rows."""

from __future__ import annotations

import pytest

from recompense.desk.forecast import Forecast, forecast, forward_steps
from tests.unit.desk.rows import effect, operation, story


def keys(told: Forecast) -> tuple[list[str], list[str], list[str]]:
    return (
        [one.effect_key for one in told.stands],
        [one.effect_key for one in told.would_look_up],
        [one.effect_key for one in told.would_make],
    )


def test_compensated_attempt_stands_and_the_next_one_makes_every_step() -> None:
    told = forecast(
        story(
            operation("closed", "failed"),
            effect("authorize", "approved"),
            effect("authorize.undo", "approved"),
        ),
        goes_on=True,
    )
    assert told.attempt == 2
    assert keys(told) == (
        ["pay_1:authorize:1", "pay_1:authorize.undo:1"],
        [],
        ["pay_1:authorize:2", "pay_1:capture:2"],
    )


def test_open_attempt_looks_up_what_is_unknown_and_makes_what_was_never_sent() -> None:
    told = forecast(
        story(
            operation("open", "running"),
            effect("authorize", "approved"),
            effect("capture", None),
        ),
        goes_on=True,
    )
    assert told.attempt == 1
    assert keys(told) == (["pay_1:authorize:1"], ["pay_1:capture:1"], [])
    unsent = story(operation("open", "running"), effect("authorize", None, sent=False))
    assert keys(forecast(unsent, goes_on=True)) == (
        [],
        [],
        ["pay_1:authorize:1", "pay_1:capture:1"],
    )


def test_pending_outcome_is_looked_up() -> None:
    pending = story(operation("open", "running"), effect("authorize", "pending"))
    assert keys(forecast(pending, goes_on=True)) == (
        [],
        ["pay_1:authorize:1"],
        ["pay_1:capture:1"],
    )


def test_compensating_attempt_only_undoes() -> None:
    told = forecast(
        story(
            operation("compensating", "compensating"),
            effect("authorize", "approved"),
            effect("capture", None, sent=False),
        ),
        goes_on=True,
    )
    assert told.attempt == 1
    assert keys(told) == (["pay_1:authorize:1"], [], ["pay_1:authorize.undo:1"])


def test_finished_saga_makes_nothing() -> None:
    told = forecast(
        story(operation("recorded", "done"), effect("authorize", "approved")), goes_on=False
    )
    assert told.attempt == 1
    assert keys(told) == (["pay_1:authorize:1"], [], [])


@pytest.mark.parametrize(
    ("kind", "saga_input", "steps"),
    [
        ("authorize", {"capture_method": "manual"}, ("authorize",)),
        ("authorize", {"capture_method": "automatic"}, ("authorize", "capture")),
        ("capture", {}, ("capture",)),
        ("void", {"number": 2}, ("void.2",)),
        ("refund", {}, ("refund",)),
        ("payout", {}, ("payout",)),
    ],
)
def test_steps_of_each_lifecycle(kind: str, saga_input: object, steps: tuple[str, ...]) -> None:
    assert forward_steps(operation("open", "running", kind=kind, input=saga_input)) == steps
