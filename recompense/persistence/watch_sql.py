"""What the watch asks the database: bounded queries, oldest first, each answering `entry`, `detail`
and `since` for what it found.

Every table that grows is read through an index, and no further than `MOST` rows or the newest
`WINDOW` postings.
"""

MOST = 1_000
"""So many are counted at most: a gauge that stands at this number means this many or more."""
WINDOW = 500
"""How many of the newest postings are looked at, with the payments and accounts that they move."""

UNBOOKED = """
SELECT j.effect_key AS entry, j.step || ' is ' || j.outcome_kind || ', and not booked' AS detail,
       j.recorded_at AS since
FROM journal j
CROSS JOIN LATERAL (SELECT * FROM operations o WHERE o.saga_id = j.saga_id OFFSET 0) AS o
WHERE j.final AND NOT j.booked AND j.outcome_kind <> 'absent'
  AND j.recorded_at > clock_timestamp() - interval '7 days'
  AND o.attempt = j.attempt AND o.attempt_state IN ('open', 'recorded')
ORDER BY j.recorded_at
"""

_ORPHANS = """
SELECT saga_id || ' ' || step || ' ' || attempt AS entry, 'stands at the provider' AS detail,
       found_at AS since
FROM orphans WHERE status = '{}' ORDER BY found_at
"""
ORPHANS = _ORPHANS.format("open")
PARKED_ORPHANS = _ORPHANS.format("parked")

# What waits for a provider, a payer or an approval has a deadline of its own, after which it parks.
STUCK = """
SELECT o.saga_id AS entry, o.saga_state || ', attempt ' || o.attempt AS detail, o.since
FROM operations o
WHERE o.saga_state IN ('running', 'compensating')
  AND NOT EXISTS (
      SELECT FROM journal j
      WHERE j.saga_id = o.saga_id AND j.attempt = o.attempt
        AND j.outcome_kind IN ('pending', 'requires_action'))
  AND NOT EXISTS (
      SELECT FROM payouts p WHERE p.id = o.operation_id AND p.status = 'awaiting_approval')
ORDER BY o.since
"""

PARKED = """
SELECT saga_id AS entry, question AS detail, since
FROM operations WHERE saga_state = 'parked' ORDER BY since
"""

UNAPPLIED = """
SELECT provider || ' ' || event_id AS entry, event_type || ' is stored, and not applied' AS detail,
       received_at AS since
FROM provider_events WHERE status = 'received' ORDER BY received_at
"""

# Only what has waited for a minute: the courier comes by twice a second. A receiver that is slow,
# or takes nothing, is no fault of ours: something is under way to it, or it is known to fail.
_WAITED = "statement_timestamp() - interval '1 minute'"

UNTRIED_WEBHOOKS = f"""
SELECT * FROM (
    SELECT e.id AS entry, e.type || ' is not handed out to endpoints' AS detail, e.at AS since
    FROM webhook_cursor c CROSS JOIN LATERAL (
        SELECT * FROM events e WHERE (e.created, e.seq) > (c.created, c.seq)
        ORDER BY e.created, e.seq LIMIT {MOST}
    ) AS e
    WHERE e.at < {_WAITED}
    UNION ALL
    SELECT d.event_id, 'is due for ' || d.endpoint_id || ', and not tried', d.next_attempt_at
    FROM webhook_endpoints w CROSS JOIN LATERAL (
        SELECT * FROM webhook_deliveries d
        WHERE d.endpoint_id = w.id AND d.state = 'pending' AND d.next_attempt_at < {_WAITED}
        ORDER BY d.next_attempt_at LIMIT {MOST}
    ) AS d
    WHERE w.status = 'enabled' AND w.failing_since IS NULL AND NOT EXISTS (
        SELECT FROM webhook_deliveries under_way
        WHERE under_way.endpoint_id = w.id AND under_way.state = 'pending'
          AND under_way.next_attempt_at > statement_timestamp()
          AND under_way.next_attempt_at < statement_timestamp() + interval '15 seconds')
) AS waiting
ORDER BY since
"""  # noqa: S608 - constants

UNDELIVERED_WEBHOOKS = f"""
SELECT d.endpoint_id || ' ' || d.event_id AS entry,
       'was not taken: ' || coalesce(d.last_outcome, 'not tried') AS detail, d.created_at AS since
FROM webhook_endpoints w CROSS JOIN LATERAL (
    SELECT * FROM webhook_deliveries d
    WHERE d.endpoint_id = w.id AND d.state = 'pending' ORDER BY d.next_attempt_at LIMIT {MOST}
) AS d
WHERE w.status = 'enabled'
ORDER BY d.created_at
"""  # noqa: S608 - constants

UNSEALED = """
SELECT posting_key AS entry, 'is not sealed' AS detail, at AS since
FROM ledger_postings
WHERE created >= coalesce((SELECT through FROM ledger_seals ORDER BY number DESC LIMIT 1),
                          CAST('0' AS xid8))
ORDER BY created
"""

# Each round writes one row for each account that has moved since the round before.
TRIAL_BALANCE = """
SELECT s.currency AS entry,
       'the newest snapshots moved ' || sum(s.debits_posted - coalesce(b.debits_posted, 0))
           || ' posted debits and ' || sum(s.credits_posted - coalesce(b.credits_posted, 0))
           || ' credits, ' || sum(s.debits_pending - coalesce(b.debits_pending, 0))
           || ' held debits and ' || sum(s.credits_pending - coalesce(b.credits_pending, 0))
           || ' credits' AS detail,
       max(s.last_at) AS since
FROM ledger_snapshots s
LEFT JOIN LATERAL (
    SELECT * FROM ledger_snapshots b
    WHERE b.account = s.account AND b.currency = s.currency AND b.through < s.through
    ORDER BY b.through DESC LIMIT 1
) AS b ON true
WHERE s.through = (SELECT through FROM ledger_snapshots ORDER BY through DESC LIMIT 1)
GROUP BY s.currency
HAVING sum(s.debits_posted - coalesce(b.debits_posted, 0))
           <> sum(s.credits_posted - coalesce(b.credits_posted, 0))
    OR sum(s.debits_pending - coalesce(b.debits_pending, 0))
           <> sum(s.credits_pending - coalesce(b.credits_pending, 0))
"""

_NEWEST = f"""
WITH newest AS (
    SELECT id, payment_id, at FROM ledger_postings ORDER BY id DESC LIMIT {WINDOW}
)
"""  # noqa: S608 - a constant

FLOORS = f"""
{_NEWEST},
touched AS (
    SELECT account, currency, max(newest.at) AS since
    FROM newest CROSS JOIN LATERAL (
        SELECT * FROM ledger_transfers t WHERE t.posting_id = newest.id OFFSET 0
    ) AS t
    CROSS JOIN LATERAL (VALUES (t.debit), (t.credit)) AS side (account)
    WHERE account LIKE 'merchant:%\\:available'
    GROUP BY account, currency
)
SELECT touched.account || ' ' || touched.currency AS entry,
       'runs at ' || coalesce(f.balance, 0) || ', its entries sum to ' || sums.balance
           || ', its floor is ' || coalesce(f.floor, 0) AS detail,
       touched.since
FROM touched
LEFT JOIN LATERAL (
    SELECT * FROM ledger_floored_balances f
    WHERE f.account = touched.account AND f.currency = touched.currency OFFSET 0
) AS f ON true
LEFT JOIN LATERAL (
    SELECT * FROM ledger_snapshots s
    WHERE s.account = touched.account AND s.currency = touched.currency
    ORDER BY s.through DESC LIMIT 1
) AS snapshot ON true
CROSS JOIN LATERAL (
    SELECT coalesce(snapshot.credits_posted - snapshot.debits_posted - snapshot.debits_pending, 0)
        + coalesce(sum(CASE WHEN e.direction = 'credit' THEN e.posted
                            ELSE -e.posted - e.pending END), 0) AS balance
    FROM ledger_entries e
    WHERE e.account = touched.account AND e.currency = touched.currency
      AND e.created >= coalesce(snapshot.through, CAST('0' AS xid8))
) AS sums
WHERE coalesce(f.balance, 0) < coalesce(f.floor, 0) OR coalesce(f.balance, 0) <> sums.balance
"""  # noqa: S608 - constants

_PAYMENT_SUMS = """
SELECT p.id AS entry,
       'row: ' || CAST(r AS text) || ', ledger: ' || CAST(l AS text)
           || ' (held, captured, refunded, refund reserved, fees, fees returned, made available,'
           || ' kept, released)' AS detail,
       p.updated_at AS since
FROM chosen
CROSS JOIN LATERAL (SELECT * FROM payments p WHERE p.id = chosen.id OFFSET 0) AS p
CROSS JOIN LATERAL (
    SELECT p.amount_held - p.amount_captured - p.amount_voided AS held,
           p.amount_captured AS captured, p.amount_refunded AS refunded,
           p.amount_refund_reserved AS refund_reserved, p.amount_fees AS fees,
           p.amount_fees_returned AS fees_returned,
           p.amount_made_available AS made_available, tranches.kept, tranches.released
    FROM (
        SELECT coalesce(sum(amount), 0) AS kept,
               coalesce(sum(amount) FILTER (WHERE released_at IS NOT NULL), 0) AS released
        FROM reserve_tranches WHERE payment_id = p.id
    ) AS tranches
) AS r
CROSS JOIN LATERAL (
    SELECT coalesce(sum(m.open) FILTER (WHERE starts_with(m.debit, 'provider:')), 0) AS held,
           coalesce(sum(m.used) FILTER (WHERE starts_with(m.debit, 'provider:')), 0) AS captured,
           coalesce(sum(m.used) FILTER (WHERE starts_with(m.credit, 'provider:')), 0) AS refunded,
           coalesce(sum(m.open) FILTER (WHERE starts_with(m.credit, 'provider:')), 0)
               AS refund_reserved,
           coalesce(sum(m.amount) FILTER (WHERE m.credit = 'platform:fees'), 0) AS fees,
           coalesce(sum(m.amount) FILTER (WHERE m.debit = 'platform:fees'), 0) AS fees_returned,
           coalesce(sum(m.amount) FILTER (
               WHERE m.phase = 'posted' AND m.debit LIKE 'merchant:%\\:pending'
                 AND m.credit LIKE 'merchant:%'), 0) AS made_available,
           coalesce(sum(m.amount) FILTER (
               WHERE m.debit LIKE 'merchant:%\\:pending'
                 AND m.credit LIKE 'merchant:%\\:reserve'), 0) AS kept,
           coalesce(sum(m.amount) FILTER (
               WHERE m.posting_key LIKE '%\\:reserve.release\\:%'), 0) AS released
    FROM (
        SELECT t.*, g.posting_key,
               CASE WHEN t.phase = 'pending' THEN t.amount
                    WHEN t.resolves_key IS NOT NULL THEN -t.amount ELSE 0 END AS open,
               CASE WHEN t.phase = 'posted' AND t.resolves_key IS NOT NULL THEN t.amount
                    ELSE 0 END AS used
        FROM ledger_postings g CROSS JOIN LATERAL (
            SELECT * FROM ledger_transfers t WHERE t.posting_id = g.id OFFSET 0
        ) AS t
        WHERE g.payment_id = p.id COLLATE "C"
    ) AS m
) AS l
WHERE (r.held, r.captured, r.refunded, r.refund_reserved, r.fees, r.fees_returned,
       r.made_available, r.kept, r.released)
      <> (l.held, l.captured, l.refunded, l.refund_reserved, l.fees, l.fees_returned,
          l.made_available, l.kept, l.released)
"""

PAYMENTS = f"""
{_NEWEST},
chosen AS (SELECT DISTINCT payment_id COLLATE "default" AS id FROM newest WHERE payment_id <> '')
{_PAYMENT_SUMS}
"""  # noqa: S608 - constants

ALL_PAYMENTS = f"""
WITH chosen AS (SELECT id FROM payments WHERE id > :after ORDER BY id LIMIT :size)
{_PAYMENT_SUMS}
"""  # noqa: S608 - constants

LAST_OF_PAGE = """
SELECT max(id) FROM (SELECT id FROM payments WHERE id > :after ORDER BY id LIMIT :size) AS page
"""
