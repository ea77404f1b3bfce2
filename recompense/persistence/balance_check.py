"""The check between two reports: what providers owe us by the ledger, and by the journal; and what
nobody has told us of for long.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.reconciliation import BalanceDifference, CheckedBalances
from recompense.ledger.accounts import provider_clearing
from recompense.persistence import ledger

_PREPARE = text("SET LOCAL statement_timeout = '15min'")

# What sagas have booked into clearing, less what settlements have taken out of it.
_IN_JOURNAL = text("""
SELECT currency, CAST(sum(amount) AS bigint) AS amount FROM (
    SELECT call->>'currency' AS currency,
           CASE call->>'operation' WHEN 'refund' THEN -1 ELSE 1 END
               * CAST(coalesce(outcome->>'amount', call->>'amount') AS bigint) AS amount
    FROM journal
    WHERE provider = :provider AND booked AND outcome_kind = 'approved'
      AND call->>'operation' IN ('capture', 'refund')
    UNION ALL
    SELECT currency, -clearing FROM settlement_matches WHERE provider = :provider
) AS moved
GROUP BY currency
""")

# One question for each effect and day, asked as if the provider had told of it. What a person is
# asked about already is that person's.
_ASK_AGAIN = text("""
WITH unknown AS (
    SELECT j.* FROM journal j JOIN operations o ON o.saga_id = j.saga_id
    WHERE j.provider = :provider AND NOT j.final AND j.first_sent_at IS NOT NULL
      AND j.first_sent_at < clock_timestamp() - interval '1 hour'
      AND o.saga_state <> 'parked'
    ORDER BY j.first_sent_at LIMIT 1000
), asked AS (
    INSERT INTO provider_events (provider, event_id, event_type, operation_id, effect_key, payload,
        status)
    SELECT provider, concat('check-', effect_key, '-', CAST(clock_timestamp() AS date)),
           'balance_check', operation_id, effect_key, '{}', 'received'
    FROM unknown
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM asked
""")


async def check(session: AsyncSession, providers: Sequence[str]) -> CheckedBalances:
    """Check each provider's clearing account, and have what stays unknown pulled."""
    connection = await session.connection()
    await connection.execute(_PREPARE)
    differences: list[BalanceDifference] = []
    asked_again = 0
    for provider in providers:
        named = {"provider": provider}
        rows = await connection.execute(_IN_JOURNAL, named)
        in_journal = {row.currency: int(row.amount) for row in rows}
        balances = await ledger.balances(connection, provider_clearing(provider))
        in_ledger = {one.currency: one.balance for one in balances}
        for currency in sorted(in_journal.keys() | in_ledger.keys()):
            found = in_ledger.get(currency, 0), in_journal.get(currency, 0)
            if found[0] != found[1]:
                differences.append(
                    BalanceDifference(
                        provider=provider,
                        currency=currency,
                        in_ledger=found[0],
                        in_journal=found[1],
                    )
                )
        asked_again += int((await connection.execute(_ASK_AGAIN, named)).scalar_one())
    return CheckedBalances(differences=tuple(differences), asked_again=asked_again)
