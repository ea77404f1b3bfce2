"""The check between two reports: what providers owe us by the ledger, and by the journal; and what
nobody has told us of for long.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.reconciliation import AskedAbout, BalanceDifference, CheckedBalances
from recompense.ledger.accounts import provider_clearing
from recompense.persistence import ledger

PAGE = 1_000
"""How many effects of a provider are asked about in one round."""

_PREPARE = text("SET LOCAL statement_timeout = '15min'")

# An effect that stands at the provider and was taken back here. What the provider has taken back is
# none: our books hold that one.
_STANDS = """
orphan.saga_id = j.saga_id AND orphan.step = j.step AND orphan.attempt = j.attempt
AND orphan.leg = j.leg AND orphan.outcome->>'kind' <> 'declined'
"""

# What sagas have booked into clearing, less what settlements have taken out of it. An orphan is
# booked by the attempt that takes it up, if a person wants it kept, and never by its own row.
_IN_JOURNAL = text(f"""
SELECT currency, CAST(sum(amount) AS bigint) AS amount FROM (
    SELECT call->>'currency' AS currency,
           CASE call->>'operation' WHEN 'refund' THEN -1 ELSE 1 END
               * CAST(coalesce(outcome->>'amount', call->>'amount') AS bigint) AS amount
    FROM journal j
    WHERE provider = :provider AND booked AND outcome_kind = 'approved'
      AND call->>'operation' IN ('capture', 'refund')
      AND NOT EXISTS (SELECT FROM orphans orphan WHERE {_STANDS})
    UNION ALL
    SELECT currency, -clearing FROM settlement_matches WHERE provider = :provider
) AS moved
GROUP BY currency
""")  # noqa: S608 - constants of this file

# Money that the provider has moved and our books have not, until a person has decided.
_ASKED_ABOUT = text(f"""
SELECT call->>'currency' AS currency, count(*) AS effects,
       CAST(sum(CASE call->>'operation' WHEN 'refund' THEN -1 ELSE 1 END
           * CAST(coalesce(orphan.outcome->>'amount', call->>'amount') AS bigint)) AS bigint)
           AS amount
FROM orphans orphan JOIN journal j ON {_STANDS}
WHERE j.provider = :provider AND orphan.status = 'parked'
  AND call->>'operation' IN ('capture', 'refund')
GROUP BY call->>'currency' ORDER BY 1
""")  # noqa: S608 - constants of this file

# One question for each effect and day, asked as if the provider had told of it. What a person is
# asked about already is that person's. What was asked today is left out before the page is cut, so
# that old effects do not keep the younger ones from being asked about. `now()` stands still within
# the statement: only so can both indexes be asked.
_QUESTION = "concat('check-', j.effect_key, '-', CAST(now() AS date))"
ASK_AGAIN = f"""
WITH unknown AS (
    SELECT j.provider, j.operation_id, j.effect_key, {_QUESTION} AS event_id
    FROM journal j JOIN operations o ON o.saga_id = j.saga_id
    WHERE j.provider = :provider AND NOT j.final AND j.first_sent_at IS NOT NULL
      AND j.first_sent_at < now() - interval '1 hour'
      AND o.saga_state <> 'parked'
      AND NOT EXISTS (SELECT FROM provider_events asked
          WHERE asked.provider = j.provider AND asked.event_id = {_QUESTION})
    ORDER BY j.first_sent_at LIMIT :page
), asked AS (
    INSERT INTO provider_events (provider, event_id, event_type, operation_id, effect_key, payload,
        status)
    SELECT provider, event_id, 'balance_check', operation_id, effect_key, '{{}}', 'received'
    FROM unknown
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM asked
"""  # noqa: S608 - constants of this file
_ASK_AGAIN = text(ASK_AGAIN)


async def check(session: AsyncSession, providers: Sequence[str]) -> CheckedBalances:
    """Check each provider's clearing account, and have what stays unknown pulled.

    An effect that a person is asked about already is no difference: it is told apart.
    """
    connection = await session.connection()
    await connection.execute(_PREPARE)
    differences: list[BalanceDifference] = []
    asked_about: list[AskedAbout] = []
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
        for row in await connection.execute(_ASKED_ABOUT, named):
            asked_about.append(
                AskedAbout(
                    provider=provider,
                    currency=row.currency,
                    effects=row.effects,
                    amount=row.amount,
                )
            )
        asked = await connection.execute(_ASK_AGAIN, {**named, "page": PAGE})
        asked_again += int(asked.scalar_one())
    return CheckedBalances(
        differences=tuple(differences), asked_about=tuple(asked_about), asked_again=asked_again
    )
