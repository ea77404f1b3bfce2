"""The rules of the ledger as queries: how many rows a rule speaks of, and the first to break it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SqlRule:
    """A rule. `first_wrong` answers with at most one row: `entry`, `detail`."""

    name: str
    rule: str
    population: str
    first_wrong: str


_TRANSFER_NAME = "'posting ' || coalesce(p.posting_key, '?') || ' line ' || t.line"

_GUARDS = (
    "ledger_postings_no_change",
    "ledger_postings_no_truncate",
    "ledger_postings_whole",
    "ledger_seals_no_change",
    "ledger_seals_no_truncate",
    "ledger_snapshots_no_change",
    "ledger_snapshots_no_truncate",
    "ledger_transfers_credit_floored",
    "ledger_transfers_debit_floored",
    "ledger_transfers_join",
    "ledger_transfers_no_change",
    "ledger_transfers_no_truncate",
    "ledger_transfers_use_hold",
)
_GUARD_ROWS = ", ".join(f"('{guard}')" for guard in _GUARDS)

RULES = (
    SqlRule(
        "guards",
        "the triggers that keep the books are in place and always fire",
        f"SELECT count(*) FROM (VALUES {_GUARD_ROWS}) AS g (name)",  # noqa: S608 - a constant
        f"""
        SELECT 'trigger ' || g.name AS entry, 'is missing or does not always fire' AS detail
        FROM (VALUES {_GUARD_ROWS}) AS g (name)
        LEFT JOIN pg_trigger t ON t.tgname = g.name AND t.tgenabled = 'A'
        WHERE t.tgname IS NULL ORDER BY g.name LIMIT 1
        """,  # noqa: S608 - a constant
    ),
    SqlRule(
        "postings",
        "each posting has all of its transfers, numbered from 1",
        "SELECT count(*) FROM ledger_postings",
        """
        SELECT 'posting ' || p.posting_key AS entry,
               'has ' || count(t.line) || ' of ' || p.lines || ' transfers' AS detail
        FROM ledger_postings p LEFT JOIN ledger_transfers t ON t.posting_id = p.id
        GROUP BY p.id
        HAVING count(t.line) <> p.lines OR max(t.line) <> p.lines
            OR starts_with(p.posting_key, p.operation_id || ':') IS NOT TRUE
        ORDER BY p.id LIMIT 1
        """,
    ),
    SqlRule(
        "transfers",
        "each transfer moves a positive amount between two accounts, in its posting's transaction",
        "SELECT count(*) FROM ledger_transfers",
        f"""
        SELECT {_TRANSFER_NAME} AS entry,
               'moves ' || t.amount || ' ' || t.currency || ' from ' || t.debit || ' to '
                   || t.credit || ' in transaction ' || CAST(t.created AS text) AS detail
        FROM ledger_transfers t LEFT JOIN ledger_postings p ON p.id = t.posting_id
        WHERE t.amount <= 0 OR t.debit = t.credit OR p.id IS NULL
           OR p.created <> t.created OR p.at <> t.at
        ORDER BY t.posting_id, t.line LIMIT 1
        """,  # noqa: S608 - a constant
    ),
    SqlRule(
        "order",
        "no posting is of a transaction that this cluster has not yet begun",
        "SELECT count(*) FROM ledger_postings",
        """
        SELECT 'posting ' || posting_key AS entry,
               'is of transaction ' || CAST(created AS text) || ', the next one is '
                   || CAST(pg_snapshot_xmax(s) AS text) AS detail
        FROM ledger_postings, pg_current_snapshot() AS s
        WHERE created >= pg_snapshot_xmax(s) ORDER BY created LIMIT 1
        """,
    ),
    SqlRule(
        "holds",
        "what uses up a hold is of the same accounts and currency",
        "SELECT count(*) FROM ledger_transfers WHERE resolves_key IS NOT NULL",
        f"""
        SELECT {_TRANSFER_NAME} AS entry,
               'uses a hold that is not there: ' || t.resolves_key || ' line ' || t.resolves_line
                   AS detail
        FROM ledger_transfers t
        JOIN ledger_postings p ON p.id = t.posting_id
        LEFT JOIN ledger_postings hp ON hp.posting_key = t.resolves_key
        LEFT JOIN ledger_transfers h ON h.posting_id = hp.id AND h.line = t.resolves_line
            AND h.phase = 'pending' AND h.debit = t.debit AND h.credit = t.credit
            AND h.currency = t.currency
        WHERE t.resolves_key IS NOT NULL AND h.line IS NULL
        ORDER BY t.posting_id, t.line LIMIT 1
        """,  # noqa: S608 - a constant
    ),
    SqlRule(
        "remaining",
        "no hold is used beyond its amount, and its running use is the sum of its uses",
        "SELECT count(*) FROM ledger_transfers WHERE phase = 'pending'",
        f"""
        SELECT {_TRANSFER_NAME} AS entry,
               'holds ' || t.amount || ', used ' || coalesce(used.amount, 0) || ', recorded '
                   || coalesce(r.resolved, 0) AS detail
        FROM ledger_transfers t
        JOIN ledger_postings p ON p.id = t.posting_id
        LEFT JOIN (
            SELECT resolves_key, resolves_line, sum(amount) AS amount FROM ledger_transfers
            WHERE resolves_key IS NOT NULL GROUP BY resolves_key, resolves_line
        ) AS used ON used.resolves_key = p.posting_key AND used.resolves_line = t.line
        LEFT JOIN ledger_holds r ON r.posting_id = t.posting_id AND r.line = t.line
        WHERE t.phase = 'pending' AND (coalesce(used.amount, 0) > t.amount
            OR coalesce(used.amount, 0) <> coalesce(r.resolved, 0)
            OR coalesce(r.amount, t.amount) <> t.amount)
        ORDER BY t.posting_id, t.line LIMIT 1
        """,  # noqa: S608 - a constant
    ),
    SqlRule(
        "floors",
        "each floored balance is at its floor or above, and is the sum of the account's entries",
        "SELECT count(*) FROM ledger_floored_balances",
        """
        SELECT 'account ' || coalesce(f.account, e.account) || ' '
                   || coalesce(f.currency, e.currency) AS entry,
               'runs at ' || coalesce(f.balance, 0) || ' (in transit ' || coalesce(f.in_transit, 0)
                   || '), its entries sum to ' || coalesce(e.balance, 0) || ' (in transit '
                   || coalesce(e.in_transit, 0) || '), its floor is ' || coalesce(f.floor, 0)
                   AS detail
        FROM ledger_floored_balances f
        FULL JOIN (
            SELECT account, currency, sum(balance) AS balance, sum(in_transit) AS in_transit
            FROM (
                SELECT credit AS account, currency, amount AS balance, 0 AS in_transit
                FROM ledger_transfers WHERE phase = 'posted'
                UNION ALL
                SELECT debit, currency, -CASE WHEN phase = 'posted' THEN amount ELSE 0 END - held,
                       CASE WHEN starts_with(credit, 'bank:') THEN held ELSE 0 END
                FROM ledger_transfers, LATERAL (SELECT
                    CASE WHEN phase = 'pending' THEN amount
                         WHEN resolves_key IS NOT NULL THEN -amount ELSE 0 END AS held) AS h
            ) AS moves
            WHERE account ~ '^merchant:[^:]+\\:available$'
            GROUP BY account, currency
        ) AS e ON e.account = f.account AND e.currency = f.currency
        WHERE coalesce(f.balance, 0) <> coalesce(e.balance, 0)
           OR coalesce(f.in_transit, 0) <> coalesce(e.in_transit, 0)
           OR coalesce(f.balance, 0) < coalesce(f.floor, 0)
        ORDER BY coalesce(f.account, e.account) LIMIT 1
        """,
    ),
    SqlRule(
        "snapshots",
        "each snapshot is the one before it and what moved between",
        "SELECT count(*) FROM ledger_snapshots",
        """
        SELECT 'snapshot of ' || s.account || ' ' || s.currency || ' at ' || CAST(s.through AS text)
                   AS entry,
               'is not the sum of the entries before it' AS detail
        FROM (
            SELECT *, lag(debits_posted, 1, 0) OVER w AS dp, lag(credits_posted, 1, 0) OVER w AS cp,
                   lag(debits_pending, 1, 0) OVER w AS dh, lag(credits_pending, 1, 0) OVER w AS ch,
                   lag(through, 1, CAST('0' AS xid8)) OVER w AS starts
            FROM ledger_snapshots
            WINDOW w AS (PARTITION BY account, currency ORDER BY through)
        ) AS s
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(posted) FILTER (WHERE direction = 'debit'), 0) AS dp,
                   coalesce(sum(posted) FILTER (WHERE direction = 'credit'), 0) AS cp,
                   coalesce(sum(pending) FILTER (WHERE direction = 'debit'), 0) AS dh,
                   coalesce(sum(pending) FILTER (WHERE direction = 'credit'), 0) AS ch
            FROM ledger_entries e
            WHERE e.account = s.account AND e.currency = s.currency
              AND e.created >= s.starts AND e.created < s.through
        ) AS moved
        WHERE (s.debits_posted - s.dp, s.credits_posted - s.cp,
               s.debits_pending - s.dh, s.credits_pending - s.ch)
              <> (moved.dp, moved.cp, moved.dh, moved.ch)
        ORDER BY s.through, s.account LIMIT 1
        """,
    ),
)

SEALS = """
SELECT number, CAST(CAST(starts AS text) AS bigint) AS starts,
       CAST(CAST(through AS text) AS bigint) AS through, previous, digest, leaves
FROM ledger_seals ORDER BY number
"""
