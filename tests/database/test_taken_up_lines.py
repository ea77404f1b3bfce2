"""The report names the key that was sent. Where a later attempt has taken the effect up, its line
settles that one's.
"""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg
import pytest

from tests.database.test_breaks import BANK, CLEARING, FEES
from tests.support.settling import DAY, Counter, effect_line

NEXT_DAY = DAY + timedelta(days=1)
FIRST, SECOND = "cap_1:capture:1", "cap_1:capture:2"

_GIVEN_UP = """
UPDATE journal SET outcome_kind = 'absent', outcome = '{"kind": "absent"}' WHERE effect_key = %s
"""
_NEXT_ATTEMPT = """
INSERT INTO journal (saga_id, step, attempt, leg, provider, operation_id, effect_key, call,
    call_digest, right_try, outcome_kind, outcome, final, booked, recorded_at, calls, created_at)
SELECT saga_id, step, 2, leg, provider, operation_id, %s, call, '', 1, 'approved', %s, true, true,
    recorded_at, '[]', created_at FROM journal WHERE effect_key = %s
"""


def made_after_all(counter: Counter) -> None:
    """A capture that was given up as absent stands at the provider, and a person is asked."""
    counter.captured(1)
    with psycopg.connect(counter.url) as connection:
        connection.execute(_GIVEN_UP, [FIRST])
    counter.orphan(FIRST)


def attempted_anew(counter: Counter) -> None:
    """The next attempt has the outcome of what stands."""
    told = json.dumps({"kind": "approved", "reference": "ct"})
    with psycopg.connect(counter.url) as connection:
        connection.execute(_NEXT_ATTEMPT, [SECOND, told, FIRST])


def adopted(counter: Counter) -> None:
    """What stands is taken up."""
    with psycopg.connect(counter.url) as connection:
        connection.execute("UPDATE orphans SET status = 'adopted'")


@pytest.fixture
def taken_up(counter: Counter) -> Counter:
    made_after_all(counter)
    attempted_anew(counter)
    adopted(counter)
    return counter


async def assert_settled(counter: Counter) -> None:
    """By its line, once, and nothing is left to decide."""
    (match,) = counter.rows("SELECT * FROM settlement_matches")
    assert (match["match_key"], match["rule"]) == (SECOND, "taken_up")
    assert match["report_id"] is not None
    found = [await counter.balance(account) for account in (BANK, FEES, CLEARING)]
    assert found == [990, 10, 0]
    assert [one for one in counter.breaks() if one["status"] == "open"] == []


async def test_line_of_an_effect_that_was_taken_up_is_settled_once(taken_up: Counter) -> None:
    found = await taken_up.compare([effect_line(1)])
    assert (found.matched, found.opened) == (1, 0)
    await assert_settled(taken_up)
    again = await taken_up.compare([effect_line(1)])
    assert (again.matched, again.opened) == (1, 0)
    await assert_settled(taken_up)


async def test_line_that_came_before_its_effect_was_taken_up_is_settled_and_closes_its_breaks(
    counter: Counter,
) -> None:
    made_after_all(counter)
    await counter.compare([effect_line(1)])
    attempted_anew(counter)
    await counter.compare([], NEXT_DAY)
    kinds = [one["kind"] for one in counter.breaks()]
    assert kinds == ["state_mismatch", "missing_at_provider"]
    adopted(counter)
    assert (await counter.compare([], NEXT_DAY)).closed == 2
    await assert_settled(counter)


async def test_late_line_closes_the_break_of_the_attempt_that_took_its_effect_up(
    taken_up: Counter,
) -> None:
    await taken_up.compare([])
    (missing,) = taken_up.breaks()
    assert (missing["kind"], missing["effect_key"]) == ("missing_at_provider", SECOND)
    assert (await taken_up.compare([effect_line(1)], NEXT_DAY)).closed == 1
    await assert_settled(taken_up)


async def test_line_under_each_key_of_one_effect_comes_twice(taken_up: Counter) -> None:
    found = await taken_up.compare([effect_line(1), effect_line(1, effect_key=SECOND)])
    assert (found.matched, found.opened) == (1, 1)
    (twice,) = taken_up.breaks()
    assert (twice["kind"], twice["match_key"]) == ("duplicate", SECOND)
    assert await taken_up.balance(BANK) == 990


async def test_another_amount_is_a_break_of_the_attempt_that_took_the_effect_up(
    taken_up: Counter,
) -> None:
    assert (await taken_up.compare([effect_line(1, amount=900)])).opened == 1
    (found,) = taken_up.breaks()
    assert (found["kind"], found["effect_key"]) == ("amount_mismatch", SECOND)


async def test_what_was_settled_under_the_first_key_is_not_settled_under_the_next(
    counter: Counter,
) -> None:
    counter.captured(1)
    await counter.compare([effect_line(1)])
    counter.orphan(FIRST)
    attempted_anew(counter)
    adopted(counter)
    await counter.compare([effect_line(1)])
    assert await counter.balance(BANK) == 990


@pytest.mark.parametrize("status", ["parked", "undone"])
async def test_line_of_what_nobody_took_up_is_another_state(counter: Counter, status: str) -> None:
    made_after_all(counter)
    with psycopg.connect(counter.url) as connection:
        connection.execute("UPDATE orphans SET status = %s", [status])
    assert (await counter.compare([effect_line(1)])).opened == 1
    (found,) = counter.breaks()
    assert (found["kind"], found["effect_key"]) == ("state_mismatch", FIRST)
