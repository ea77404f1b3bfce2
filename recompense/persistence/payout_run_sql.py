"""The statements of payout runs: each works on a page or a window of a run, never on all of it."""

from __future__ import annotations

from sqlalchemy import text

MERCHANTS = text("""
SELECT id, country, payout FROM merchants
WHERE payout ->> 'schedule' = :name AND id > :after
ORDER BY id LIMIT :limit
""")

# What an item of another run promises already is not promised twice: its payout takes the money
# from the balance, and until then it is taken off here.
AVAILABLE = text("""
SELECT m.id AS merchant_id, b.currency,
       b.balance - coalesce((
           SELECT sum(i.amount) FROM payout_run_items i
           WHERE i.merchant_id = m.id AND i.currency = b.currency
             AND i.state IN ('ready', 'started')
             AND NOT EXISTS (SELECT FROM payouts p WHERE p.id = i.payout_id)), 0) AS available
FROM unnest(CAST(:merchants AS text[]), CAST(:accounts AS text[])) AS m (id, account)
JOIN ledger_floored_balances b ON b.account = m.account
WHERE CAST(:currency AS text) IS NULL OR b.currency = :currency
ORDER BY m.id, b.currency
""")

TOTALS = text("""
SELECT coalesce(sum(items), 0) AS items, coalesce(jsonb_object_agg(currency, amount), '{}') AS total
FROM (SELECT currency, count(*) AS items, sum(amount) AS amount
      FROM payout_run_items WHERE run_id = :run_id GROUP BY currency) AS by_currency
""")

MARK_STARTED = text("""
UPDATE payout_run_items SET state = 'started', updated_at = clock_timestamp()
WHERE run_id = :run_id AND id = ANY (CAST(:items AS text[])) AND state = 'ready'
""")

MARK_LOST = text("""
UPDATE payout_run_items i SET updated_at = clock_timestamp(),
    state = CASE WHEN p.id IS NULL THEN 'failed' ELSE 'settled' END,
    failure = CASE WHEN p.id IS NULL THEN CAST(:failure AS jsonb) END
FROM payout_run_items own LEFT JOIN payouts p ON p.id = own.payout_id
WHERE i.id = own.id AND own.run_id = :run_id AND own.id = ANY (CAST(:items AS text[]))
  AND own.state = 'started'
""")

# The window moves on when an item is under way to its bank, has ended, or waits for a person.
MARK_SETTLED = text("""
UPDATE payout_run_items i SET state = 'settled', updated_at = clock_timestamp()
FROM payouts p
WHERE i.run_id = :run_id AND i.state = 'started' AND p.id = i.payout_id
  AND (p.status NOT IN ('pending', 'awaiting_approval') OR p.needs_attention)
  AND (i.attempts_before = 0 OR i.attempts_before < (
      SELECT o.attempt FROM operations o WHERE o.saga_id = 'payout/' || i.payout_id))
""")

MARK_REFUSED = text("""
UPDATE payout_run_items i SET state = 'failed', updated_at = clock_timestamp(),
    failure = jsonb_build_object('code', o.failure ->> 'code', 'message', o.failure ->> 'message')
FROM operations o
WHERE i.run_id = :run_id AND i.state = 'started' AND o.saga_id = 'payout/' || i.payout_id
  AND o.attempt_state = 'recorded' AND o.failure IS NOT NULL
  AND NOT EXISTS (SELECT FROM payouts p WHERE p.id = i.payout_id)
""")

OPEN = text("""
SELECT count(*) FILTER (WHERE state = 'ready') AS ready,
       count(*) FILTER (WHERE state = 'started') AS started
FROM payout_run_items WHERE run_id = :run_id AND state IN ('ready', 'started')
""")

# What waits for a person is neither paid nor on its way: the run does not end as if it were.
ALL_WELL = text("""
SELECT NOT EXISTS (
    SELECT FROM payout_run_items i LEFT JOIN payouts p ON p.id = i.payout_id
    WHERE i.run_id = :run_id
      AND (p.id IS NULL OR p.needs_attention OR p.status NOT IN ('in_transit', 'paid')))
""")

REJECT_ITEMS = text("""
UPDATE payout_run_items SET state = 'rejected', updated_at = clock_timestamp()
WHERE run_id = :run_id AND state IN ('ready', 'failed')
""")

# A saga whose attempt was taken back is carried on under its own id: a second payout beside it
# could be paid as well as its replay. One that was recorded (refused, declined) never pays any
# more, and the item gets a payout of its own anew.
FAILED_ITEMS = text("""
SELECT i.id, i.payout_id, coalesce(o.attempt_state = 'recorded', false) AS is_over,
       coalesce(o.attempt, 0) AS attempts,
       m.payout -> 'destination' ->> 'token' AS token
FROM payout_run_items i
JOIN merchants m ON m.id = i.merchant_id
LEFT JOIN payouts p ON p.id = i.payout_id
LEFT JOIN operations o ON o.saga_id = 'payout/' || i.payout_id
WHERE i.run_id = :run_id
  AND (o.saga_id IS NULL OR o.attempt_state = 'recorded'
       OR (o.attempt_state = 'closed' AND o.saga_state = 'failed'))
  AND i.state IN ('failed', 'settled') AND m.payout -> 'destination' ->> 'token' IS NOT NULL
  AND ((i.state = 'failed' AND p.id IS NULL) OR (p.status = 'failed' AND NOT p.needs_attention))
ORDER BY i.id
""")

RESUMED = text("""
SELECT FROM audit_log
WHERE target = :run_id AND action = 'payout_run_resume' AND details ->> 'key' = :key
""")

REQUEUE = text("""
UPDATE payout_run_items SET state = 'ready', failure = NULL, updated_at = clock_timestamp(),
    payout_id = :payout_id, again = :again, attempts_before = :attempts, token = :token
WHERE id = :item_id
""")

COUNTS = text("""
SELECT i.run_id, i.currency,
       count(*) FILTER (WHERE p.status = 'paid') AS paid,
       coalesce(sum(i.amount) FILTER (WHERE p.status = 'paid'), 0) AS amount_paid,
       count(*) FILTER (WHERE (i.state = 'failed' AND p.id IS NULL) OR (i.state <> 'ready'
           AND p.status IN ('failed', 'returned', 'canceled', 'rejected'))) AS failed
FROM payout_run_items i LEFT JOIN payouts p ON p.id = i.payout_id
WHERE i.run_id = ANY (CAST(:runs AS text[]))
GROUP BY i.run_id, i.currency
""")

ITEMS = text("""
SELECT i.id, i.merchant_id, i.currency, i.amount, i.state, i.payout_id, i.failure,
       p.status AS payout_status, p.failure AS payout_failure
FROM payout_run_items i LEFT JOIN payouts p ON p.id = i.payout_id
WHERE i.run_id = :run_id AND (CAST(:before AS text) IS NULL OR i.id < :before)
ORDER BY i.id DESC LIMIT :limit
""")
