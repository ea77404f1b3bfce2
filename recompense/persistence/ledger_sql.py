"""The statements of the ledger's repository."""

from functools import cache

from sqlalchemy import text

_POST = """
WITH header AS (
    INSERT INTO ledger_postings (posting_key, operation_id, payment_id, lines)
    VALUES (%s, %s, %s, %s)
    ON CONFLICT (posting_key) DO NOTHING
    RETURNING id, at
), written AS (
    INSERT INTO ledger_transfers
        (posting_id, line, debit, credit, amount, currency, phase, resolves_key, resolves_line)
    SELECT header.id, t.* FROM header, (VALUES {lines}) AS t ORDER BY 2
)
SELECT id, at FROM header
"""

_LINE = "({line}, %s, %s, CAST(%s AS bigint), %s, %s, CAST(%s AS text), CAST(%s AS smallint))"


@cache
def post(lines: int) -> str:
    """The statement that writes a posting of so many lines, in psycopg's own form: the parameters
    in their order.

    Not a `text()` and no arrays: in the most frequent statement of all, each would cost the client
    more than the
    statement costs the server.
    """
    values = ", ".join(_LINE.format(line=line) for line in range(1, lines + 1))
    return _POST.format(lines=values)


READ_POSTING = text("""
SELECT p.id, p.at, p.payment_id, t.debit, t.credit, t.amount, t.currency, t.phase,
       t.resolves_key, t.resolves_line
FROM ledger_postings p JOIN ledger_transfers t ON t.posting_id = p.id
WHERE p.posting_key = :posting_key ORDER BY t.line
""")

_OPEN_HOLDS = """
SELECT p.posting_key, t.line, t.debit, t.credit, t.currency,
       t.amount - coalesce(h.resolved, 0) AS remaining
FROM ledger_postings p
JOIN ledger_transfers t ON t.posting_id = p.id AND t.phase = 'pending'
LEFT JOIN ledger_holds h ON h.posting_id = t.posting_id AND h.line = t.line
WHERE t.amount > coalesce(h.resolved, 0) AND {condition}
ORDER BY t.posting_id, t.line
"""

AUTHORIZATION_HOLDS = text(
    _OPEN_HOLDS.format(condition="p.payment_id = :payment_id AND starts_with(t.debit, 'provider:')")
)

# Keys begin with the operation's id and a colon, and the semicolon follows the colon: a range of
# the unique index.
OPERATION_HOLDS = text(
    _OPEN_HOLDS.format(
        condition="p.posting_key > :operation_id || ':' AND p.posting_key < :operation_id || ';'"
    )
)

OPEN_FLOORED = text("""
INSERT INTO ledger_floored_balances (account, currency) VALUES (:account, :currency)
ON CONFLICT DO NOTHING
""")

LOCK_FLOORED = text("""
SELECT balance - floor FROM ledger_floored_balances
WHERE account = :account AND currency = :currency FOR UPDATE
""")

SET_FLOOR = text("""
INSERT INTO ledger_floored_balances (account, currency, floor)
VALUES (:account, :currency, :floor)
ON CONFLICT (account, currency) DO UPDATE SET floor = excluded.floor
""")

# An account's snapshots are not all of the same time for all currencies. But a round writes each
# account and currency
# that moved since the round before, so what moved after the account's last snapshot is all that
# moved since.
_TOTALS = """
SELECT wanted.account, part.currency,
       CAST(sum(part.debits_posted) AS bigint) AS debits_posted,
       CAST(sum(part.credits_posted) AS bigint) AS credits_posted,
       CAST(sum(part.debits_pending) AS bigint) AS debits_pending,
       CAST(sum(part.credits_pending) AS bigint) AS credits_pending
FROM unnest(CAST(:accounts AS text[])) AS wanted (account)
LEFT JOIN LATERAL (
    SELECT through FROM ledger_snapshots
    WHERE account = wanted.account AND last_at <= :at ORDER BY through DESC LIMIT 1
) AS horizon ON true
CROSS JOIN LATERAL (
    (SELECT DISTINCT ON (currency)
            currency, debits_posted, credits_posted, debits_pending, credits_pending
     FROM ledger_snapshots
     WHERE account = wanted.account AND last_at <= :at ORDER BY currency, through DESC)
    UNION ALL
    SELECT currency,
           CASE WHEN direction = 'debit' THEN posted ELSE 0 END,
           CASE WHEN direction = 'credit' THEN posted ELSE 0 END,
           CASE WHEN direction = 'debit' THEN pending ELSE 0 END,
           CASE WHEN direction = 'credit' THEN pending ELSE 0 END
    FROM ledger_entries
    WHERE account = wanted.account AND at <= :at
      AND created >= coalesce(horizon.through, CAST('0' AS xid8))
) AS part
GROUP BY wanted.account, part.currency
"""

TOTALS = text(_TOTALS + "ORDER BY wanted.account, part.currency")

MERCHANT_BALANCES = text(f"""
WITH totals AS ({_TOTALS}),
floored AS (
    SELECT currency, balance, in_transit FROM ledger_floored_balances WHERE account = :available
)
SELECT currency,
       coalesce(max(spendable) FILTER (WHERE account = :pending), 0) AS pending,
       coalesce(max(spendable) FILTER (WHERE account = :available), 0) AS available,
       coalesce(max(spendable) FILTER (WHERE account = :reserve), 0) AS reserve,
       coalesce(max(in_transit), 0) AS in_transit
FROM (
    SELECT account, currency, credits_posted - debits_posted - debits_pending AS spendable,
           NULL AS in_transit
    FROM totals
    UNION ALL
    SELECT :available, currency, balance, in_transit FROM floored
) AS accounts
GROUP BY currency ORDER BY currency
""")  # noqa: S608 - a constant of this file

ENTRIES = text("""
SELECT e.posting_id, e.line, e.created, e.direction, e.currency, e.amount, e.phase, e.at,
       p.posting_key, p.operation_id
FROM (
    SELECT * FROM ledger_entries
    WHERE account = :account
      AND created <= CAST(:before_created AS xid8)
      AND (created, posting_id, line)
          < (CAST(:before_created AS xid8), :before_posting, :before_line)
    ORDER BY created DESC, posting_id DESC, line DESC LIMIT :limit
) AS e
JOIN ledger_postings p ON p.id = e.posting_id
ORDER BY e.created DESC, e.posting_id DESC, e.line DESC
""")

TRIAL_BALANCE = text("""
WITH parts AS (
    (SELECT DISTINCT ON (account, currency)
            currency, debits_posted, credits_posted, debits_pending, credits_pending
     FROM ledger_snapshots WHERE last_at <= :at ORDER BY account, currency, through DESC)
    UNION ALL
    SELECT e.currency,
           CASE WHEN direction = 'debit' THEN posted ELSE 0 END,
           CASE WHEN direction = 'credit' THEN posted ELSE 0 END,
           CASE WHEN direction = 'debit' THEN pending ELSE 0 END,
           CASE WHEN direction = 'credit' THEN pending ELSE 0 END
    FROM ledger_postings p JOIN ledger_entries e ON e.posting_id = p.id
    WHERE p.at <= :at AND p.created >= coalesce(
        (SELECT through FROM ledger_snapshots WHERE last_at <= :at ORDER BY through DESC LIMIT 1),
        CAST('0' AS xid8))
)
SELECT currency,
       CAST(sum(debits_posted) AS bigint) AS debits_posted,
       CAST(sum(credits_posted) AS bigint) AS credits_posted,
       CAST(sum(debits_pending) AS bigint) AS debits_pending,
       CAST(sum(credits_pending) AS bigint) AS credits_pending
FROM parts GROUP BY currency ORDER BY currency
""")

# A transaction's `at` is never earlier than its id was given, and ids below the oldest open one are
# all finished. So with the id of a transaction that began at a time, once all ids below that one
# are finished, nothing can appear any more with an `at` up to that time. The transaction is this
# one, or that of a seal: a snapshot alone does not know ids that were given and have not ended.
WATERMARK = text("""
SELECT CASE WHEN pg_snapshot_xmin(s) = pg_current_xact_id() THEN now()
            ELSE (SELECT max(observed_at) FROM ledger_seals
                  WHERE next_created <= pg_snapshot_xmin(s)) END AS watermark
FROM pg_current_snapshot() AS s
""")
