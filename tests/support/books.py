"""The invariants that hold once everything is quiet: the books balance, and agree with the rows and
with the provider.
"""

from __future__ import annotations

from recompense.persistence.verify import verify
from tests.support.census import count
from tests.support.platform import Platform

PAYMENTS_DISAGREE = """
SELECT p.id, p.amount_held - p.amount_captured - p.amount_voided AS open_by_row,
       coalesce(h.open, 0) AS open_by_ledger
FROM payments p
LEFT JOIN LATERAL (
    SELECT sum(CASE phase WHEN 'pending' THEN t.amount ELSE -t.amount END) AS open
    FROM ledger_postings g JOIN ledger_transfers t ON t.posting_id = g.id
    WHERE g.payment_id = p.id
      AND starts_with(t.debit, 'provider:')
      AND (t.phase = 'pending' OR t.resolves_key IS NOT NULL)
) h ON true
WHERE p.amount_held - p.amount_captured - p.amount_voided <> coalesce(h.open, 0)
"""

UNBOOKED = """
SELECT * FROM journal AS made WHERE final AND NOT booked AND NOT EXISTS (
    SELECT FROM journal AS undo
    WHERE undo.saga_id = made.saga_id AND undo.attempt = made.attempt
      AND undo.step IN (made.step || '.undo', made.step || '.orphan')
      AND undo.outcome_kind = 'approved' AND undo.booked)
"""
"""What became known when its attempt was taken back or closed, and was undone, books nothing."""


async def assert_books_agree(platform: Platform) -> None:
    """Assert the invariants of the ledger, the rows, and the provider's own log of effects."""
    async with platform.database.engine.connect() as connection:
        report = await verify(connection)
    assert report.in_order, report.first_wrong
    assert await platform.rows(PAYMENTS_DISAGREE) == []
    assert await platform.rows(UNBOOKED) == []
    await _assert_provider_agrees(platform)
    count("invariants checked", "platform: ledger, rows and provider agree")


async def _assert_provider_agrees(platform: Platform) -> None:
    """Each effect at the provider was approved in the journal under its key, once, with the same
    amount; and the other way.
    """
    made = {
        (effect["effect_key"], effect["amount"], effect["currency"])
        for effect in platform.sandbox.effects()
    }
    assert len(made) == len(platform.sandbox.effects()), "an effect was made twice"
    journaled = {
        (row["effect_key"], row["call"]["amount"], row["call"]["currency"])
        for row in await platform.rows(
            "SELECT effect_key, call FROM journal"
            " WHERE outcome_kind = 'approved' AND step NOT LIKE 'payout.cancel%'"
        )
    }
    assert made == journaled
