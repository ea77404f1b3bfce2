"""The watch finds each planted violation, and nothing where all is well."""

from __future__ import annotations

import json

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from recompense.ops.cli import app
from recompense.persistence.watch import (
    PAGE,
    Observation,
    Watch,
    observe,
    verify_payments,
    watches,
)
from tests.database.ledger.steps import seal, tamper
from tests.support.commit_proxy import commit_proxy
from tests.support.stage import staged
from tests.support.story_list import STORIES

STUCK_SECONDS = 900
LONG_AGO = "clock_timestamp() - interval '1 hour'"
WATCHES = {watch.name: watch for watch in watches(STUCK_SECONDS)}
PLANTED = {
    "guards": "DROP TRIGGER ledger_transfers_no_change ON ledger_transfers",
    "trial_balance": "UPDATE ledger_snapshots SET debits_posted = debits_posted + 1"
    " WHERE account = 'provider:sandbox:clearing'",
    "floors": "UPDATE ledger_floored_balances SET balance = balance + 1",
    "payments": "UPDATE payments SET amount_refunded = amount_refunded - 1",
    "unbooked": "UPDATE journal SET booked = false, recorded_at = <long ago>"
    " WHERE step = 'capture'",
    "orphans": "INSERT INTO orphans (saga_id, step, attempt, leg, outcome, status, found_at)"
    " VALUES ('refund/ref_1', 'refund', 1, 1, '{}', 'open', <long ago>)",
    "parked_orphans": "INSERT INTO orphans (saga_id, step, attempt, leg, outcome, status)"
    " VALUES ('refund/ref_1', 'refund', 1, 1, '{}', 'parked')",
    "stuck": "UPDATE operations SET saga_state = 'running', since = <long ago>"
    " WHERE kind = 'refund'",
    "unapplied_events": "INSERT INTO provider_events (provider, event_id, event_type, payload,"
    " status, received_at) VALUES ('sandbox', 'e', 'a', '{}', 'received', <long ago>)",
    "untried_webhooks": "UPDATE events SET at = <long ago> WHERE seq = 1",
    "undelivered_webhooks": "INSERT INTO webhook_endpoints (id, url, events, secret, created_by)"
    " VALUES ('whe_1', 'u', '{*}', 's', 't');"
    "INSERT INTO webhook_deliveries (endpoint_id, event_id) VALUES ('whe_1', 'evt_1')",
    "unsealed": "DELETE FROM ledger_seals;"
    "UPDATE ledger_postings SET at = <long ago> WHERE posting_key = 'pay_1:authorize:1'",
    "parked": "UPDATE operations SET saga_state = 'parked', question = 'Was it made?'"
    " WHERE kind = 'refund'",
}
EXAMPLES = {
    "guards": "trigger ledger_transfers_no_change",
    "trial_balance": "EUR",
    "floors": "merchant:mer_1:available EUR",
    "payments": "pay_1",
    "unbooked": "cap_1:capture:1",
    "orphans": "refund/ref_1",
    "parked_orphans": "refund/ref_1",
    "stuck": "refund/ref_1",
    "unapplied_events": "sandbox e",
    "untried_webhooks": "evt_",
    "undelivered_webhooks": "whe_1 evt_1: was not taken: not tried",
    "unsealed": "pay_1:authorize:1",
    "parked": "refund/ref_1: Was it made?",
}


async def _observed(engine: AsyncEngine) -> dict[str, Observation]:
    return {name: await observe(engine, watch) for name, watch in WATCHES.items()}


async def _refunded(url: str, engine: AsyncEngine) -> None:
    """A payment that was captured and refunded, sealed, with snapshots."""
    async with commit_proxy(url) as proxy, staged(proxy) as stage:
        await STORIES["refund, approved late"][0](stage)
    await seal(engine, snapshot=True)


def test_every_watch_has_a_planted_violation() -> None:
    assert set(WATCHES) == set(PLANTED) == set(EXAMPLES)


async def test_books_in_order_give_nothing_to_watch(database_url: str, engine: AsyncEngine) -> None:
    await _refunded(database_url, engine)
    for name, one in (await _observed(engine)).items():
        assert one.answered, name
        assert one.found == 0, one.example
    assert (await verify_payments(engine)).found == 0


@pytest.mark.parametrize("name", PLANTED)
async def test_planted_violation_is_found_and_named(
    database_url: str, engine: AsyncEngine, name: str
) -> None:
    await _refunded(database_url, engine)
    await tamper(engine, *PLANTED[name].replace("<long ago>", LONG_AGO).split(";"))
    found = (await _observed(engine))[name]
    assert found.found == 1 or name == "unsealed"
    assert found.example is not None
    assert found.example.startswith(EXAMPLES[name])
    # Whoever is asked has not failed yet.
    assert found.wrong == (WATCHES[name].late_after_seconds is not None)


@pytest.mark.parametrize("story", STORIES)
async def test_no_story_ends_with_payments_or_accounts_that_look_wrong(
    database_url: str, engine: AsyncEngine, story: str
) -> None:
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        await STORIES[story][0](stage)
    found = await _observed(engine)
    for name in ("floors", "payments", "unbooked", "stuck"):
        assert found[name].example is None or not found[name].wrong
    assert (await verify_payments(engine)).example is None


async def test_young_work_is_counted_and_not_wrong(database_url: str, engine: AsyncEngine) -> None:
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        await STORIES["authorization, approved"][0](stage)
    await tamper(engine, "UPDATE operations SET saga_state = 'running'")
    found = await _observed(engine)
    assert (found["unsealed"].found, found["unsealed"].wrong) == (1, False)
    assert (found["stuck"].found, found["stuck"].wrong) == (1, False)


async def test_delivery_that_is_due_and_not_tried_is_found_unless_the_receiver_is_to_blame(
    engine: AsyncEngine,
) -> None:
    await tamper(engine, *PLANTED["undelivered_webhooks"].split(";"))
    due = f"UPDATE webhook_deliveries SET next_attempt_at = {LONG_AGO}"  # noqa: S608 - a constant
    failing = f"UPDATE webhook_endpoints SET failing_since = {LONG_AGO}"  # noqa: S608 - a constant
    for change, wrong in (("SELECT 1", False), (due, True), (failing, False)):
        await tamper(engine, change)
        found = await observe(engine, WATCHES["untried_webhooks"])
        assert found.wrong is wrong, change


async def test_payments_are_verified_beyond_the_first_page(engine: AsyncEngine) -> None:
    await _many_payments(engine, PAGE + 10)
    assert (await verify_payments(engine)).found == 0
    await tamper(
        engine,
        "UPDATE payments SET amount_held = 1 WHERE id = (SELECT max(id) FROM payments)",
    )
    found = await verify_payments(engine)
    assert found.found == 1
    assert found.wrong


async def test_database_that_does_not_answer_is_told_apart(engine: AsyncEngine) -> None:
    nonsense = Watch("nonsense", "nothing", "SELECT * FROM nowhere")
    found = await observe(engine, nonsense)
    assert not found.answered
    assert not found.wrong


async def _many_payments(engine: AsyncEngine, count: int) -> None:
    await tamper(
        engine,
        "INSERT INTO merchants (id, name, country, payout, fees, availability_rule,"
        " availability_days, created_by) VALUES ('m', 'm', 'DE', '{}', '{}', 'on_capture', 0, 't')",
        "INSERT INTO payments (id, merchant_id, status, amount, currency, capture_method, metadata)"
        " SELECT 'pay_' || lpad(CAST(i AS text), 9, '0'), 'm', 'failed', 10, 'EUR', 'manual', '{}'"
        " FROM generate_series(1, <count>) AS i".replace("<count>", str(count)),
    )


def test_command_tells_a_program_and_a_person_what_is_wrong(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", database_url)
    well = CliRunner().invoke(app, ["verify"])
    assert well.exit_code == 0, well.output
    assert "Everything is in order." in well.output
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TRIGGER ledger_transfers_no_change ON ledger_transfers")
    plain = CliRunner().invoke(app, ["verify"])
    assert plain.exit_code == 1
    assert "guards\t" in plain.output
    as_json = CliRunner().invoke(app, ["verify", "--json"])
    assert as_json.exit_code == 1
    report = json.loads(as_json.output)
    assert report["in_order"] is False
    assert [one["name"] for one in report["watches"] if one["wrong"]] == ["guards"]


def test_command_without_a_database_exits_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", "postgresql://someone@127.0.0.1:1/nowhere")
    assert CliRunner().invoke(app, ["verify"]).exit_code == 3
