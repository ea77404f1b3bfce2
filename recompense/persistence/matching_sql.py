"""The statements that compare a report with our books, in bulk.

They run in one transaction, over tables of that transaction: `judged` holds each line with the
effect it is about and what that says, `findings` what becomes a break.
"""

from __future__ import annotations

from sqlalchemy import text

# A sort or a join of a million lines goes to disk beyond this; another minute is no harm.
PREPARE = (
    text("SET LOCAL statement_timeout = '15min'"),
    text("SET LOCAL work_mem = '64MB'"),
    text("SET LOCAL temp_buffers = '32MB'"),
    # The tables of this transaction are read in whole: rough statistics are enough.
    text("SET LOCAL default_statistics_target = 10"),
)
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('compare/' || :provider, 7))")

REPORT = text("""
SELECT load.lines, least(load.covers_until, report.fetched_at) AS covers_until,
       encode(report.sha256, 'hex') AS sha256
FROM settlement_loads load JOIN settlement_reports report ON report.id = load.report_id
WHERE report.id = :report_id
""")

_KIND_OF_EFFECT = """
CASE j.call->>'operation' WHEN 'authorize' THEN 'authorization' WHEN 'create_payout' THEN 'payout'
     WHEN 'cancel_payout' THEN 'payout_return' ELSE j.call->>'operation' END
"""
_SAME_KIND = f"""
({_KIND_OF_EFFECT} = l.kind
 OR (l.kind = 'payout_return' AND j.call->>'operation' = 'create_payout'))
"""
_EFFECT = """
j.effect_key AS matched_key, j.operation_id AS our_operation, j.saga_id,
CASE WHEN l.kind = 'payout_return' AND j.call->>'operation' = 'create_payout'
     THEN j.effect_key || '#returned' ELSE j.effect_key END AS match_key,
CAST(coalesce(j.outcome->>'amount', j.call->>'amount') AS bigint) AS our_amount,
j.call->>'currency' AS our_currency, j.outcome_kind, j.payout_state,
j.call->>'operation' = 'create_payout' AS of_payout, j.recorded_at
"""

_APPROVED = """
(p.outcome_kind = 'approved' OR (p.kind = 'payout' AND p.outcome_kind = 'pending'))
AND (p.kind <> 'payout_return' OR NOT p.of_payout OR EXISTS (
    SELECT FROM payouts WHERE payouts.id = p.our_operation AND payouts.status = 'returned'))
"""
# A kind without terms is free of charge where there are any terms at all.
_OUR_FEE = """
CASE WHEN CAST(:fees AS jsonb) IS NULL THEN p.fee
     ELSE p.amount * coalesce(CAST(f.terms->>'basis_points' AS bigint), 0) / 10000
          + coalesce(CAST(f.terms->>'fixed' AS bigint), 0) END
"""
_JUDGEMENT = f"""
m.rule AS settled_by, s.report_date AS settled_date, {_OUR_FEE} AS our_fee,
p.recorded_at < CAST(:covers_until AS timestamptz)
    - make_interval(days => :late_after_days) AS comes_late,
CASE
    WHEN p.kind = 'fee' OR (p.kind = 'other' AND p.net = 0) THEN 'agrees'
    WHEN p.match_key IS NULL THEN 'missing_here'
    WHEN p.nth > 1 THEN 'duplicate'
    WHEN m.report_id IS NULL AND m.match_key IS NOT NULL THEN 'late'
    WHEN m.match_key IS NOT NULL AND s.report_date <> p.report_date THEN 'duplicate'
    WHEN ({_APPROVED}) IS NOT TRUE THEN 'state_mismatch'
    WHEN p.our_currency <> p.currency THEN 'currency_mismatch'
    WHEN p.our_amount <> p.amount THEN 'amount_mismatch'
    WHEN p.kind IN ('capture', 'refund') AND p.net <> CASE p.kind WHEN 'capture' THEN p.amount
        ELSE -p.amount END - p.fee THEN 'amount_mismatch'
    WHEN p.fee <> {_OUR_FEE} THEN 'fee_mismatch'
    ELSE 'agrees'
END AS verdict
"""
_SETTLED_BEFORE = """
LEFT JOIN settlement_matches m ON m.match_key = p.match_key
LEFT JOIN settlement_reports s ON s.id = m.report_id
LEFT JOIN LATERAL (SELECT CAST(:fees AS jsonb)->p.kind AS terms) AS f ON true
"""


def _identity(kind: str, *, line: str, about: str) -> str:
    """What tells one break of a line from another, in the text that a break keeps."""
    return f"""
concat_ws('|', {kind}, {line}.report_date, {line}.kind,
    coalesce({about}, {line}.provider_reference, CAST({line}.number AS text)), {line}.nth,
    {line}.amount, {line}.fee, {line}.currency)
"""


# What a person has booked of lines about nothing of ours is in the books under the line.
_BOOKED = """
CREATE TEMPORARY TABLE booked ON COMMIT DROP AS
SELECT identity FROM breaks
WHERE provider = :provider AND kind = 'missing_here' AND status = 'resolved' AND NOT superseded
  AND resolution->>'action' IN ('post', 'write_off')
"""
# An effect of a closed attempt that a later one has taken up: the provider knows it by the first
# key for ever, and our books by the last. What was settled under the first key stays there.
_TAKEN_UP = """
CREATE TEMPORARY TABLE taken_up ON COMMIT DROP AS
SELECT DISTINCT ON (sent.effect_key) sent.effect_key AS sent_key, later.effect_key
FROM orphans o
JOIN journal sent ON sent.saga_id = o.saga_id AND sent.step = o.step
    AND sent.attempt = o.attempt AND sent.leg = o.leg AND sent.provider = :provider
JOIN journal later ON later.saga_id = o.saga_id AND later.step = o.step
    AND later.attempt > o.attempt AND later.provider = :provider
    AND later.outcome->>'reference' = o.outcome->>'reference'
WHERE o.status = 'adopted'
  AND NOT EXISTS (SELECT FROM settlement_matches m WHERE m.match_key = sent.effect_key)
ORDER BY sent.effect_key, later.attempt DESC
"""
# PostgreSQL knows their sizes: it reads neither once for each line of a report.
GATHER = tuple(map(text, (_BOOKED, "ANALYZE booked", _TAKEN_UP, "ANALYZE taken_up")))

# The lines of the report, and those of earlier ones that waited for what we did not know then. One
# that a person has booked is paired with nothing: it would be booked twice.
JUDGE = text(f"""
CREATE TEMPORARY TABLE judged ON COMMIT DROP AS
WITH told AS (
    SELECT l.*, CAST(:report_date AS date) AS report_date
    FROM settlement_lines l WHERE l.report_id = :report_id
    UNION ALL
    SELECT l.*, b.report_date
    FROM breaks b JOIN settlement_lines l ON l.report_id = b.report_id AND l.number = b.number
    WHERE b.provider = :provider AND b.report_date <> :report_date
      AND ((b.status = 'open' AND b.kind IN ('missing_here', 'state_mismatch'))
           OR (b.kind = 'state_mismatch' AND b.resolution->>'action' = 'post'))
), named AS (
    SELECT told.*, coalesce(taken_up.effect_key, told.effect_key) AS our_key,
           CASE WHEN taken_up.sent_key IS NULL THEN 'effect_key' ELSE 'taken_up' END AS by_key
    FROM told LEFT JOIN taken_up ON taken_up.sent_key = told.effect_key
), l AS (
    SELECT named.*, row_number() OVER (
               PARTITION BY coalesce(our_key, provider_reference, CAST(number AS text))
                   COLLATE "C", kind
               ORDER BY report_date, report_id, number) AS nth
    FROM named
)
SELECT p.*, {_JUDGEMENT}
FROM (
    SELECT l.report_id, l.number, l.report_date, l.kind, l.provider_reference,
           l.operation_id AS line_operation, l.effect_key AS line_key, l.amount,
           CASE l.kind WHEN 'fee' THEN -l.net ELSE l.fee END AS fee, l.net, l.currency, l.nth,
           booked.identity IS NOT NULL AS booked,
           CASE WHEN j.effect_key IS NOT NULL THEN l.by_key END AS rule,
           {_EFFECT}
    FROM l
    LEFT JOIN booked
        ON booked.identity = {_identity("'missing_here'", line="l", about="l.effect_key")}
    LEFT JOIN journal j ON j.effect_key = l.our_key AND j.provider = :provider
        AND booked.identity IS NULL AND {_SAME_KIND}
) AS p
{_SETTLED_BEFORE}
""")  # noqa: S608 - constants of this file
ANALYZE_JUDGED = text("ANALYZE judged")

# What the second rules have paired is judged anew.
JUDGE_AGAIN = text(f"""
UPDATE judged SET settled_by = again.settled_by, settled_date = again.settled_date,
    our_fee = again.our_fee, comes_late = again.comes_late, verdict = again.verdict
FROM (
    SELECT p.report_id AS of_report, p.number AS of_number, {_JUDGEMENT}
    FROM judged p {_SETTLED_BEFORE}
    WHERE p.rule <> 'effect_key'
) AS again
WHERE judged.report_id = again.of_report AND judged.number = again.of_number
""")  # noqa: S608 - constants of this file

_ANYTHING_UNPAIRED = """
SELECT EXISTS (SELECT FROM judged
    WHERE match_key IS NULL AND NOT booked AND kind <> 'fee' AND {named})
"""


def _second_rule(rule: str, named: str, same: str) -> str:
    """Pair lines that name no effect of ours by what else they name, where that leaves no choice:
    exactly one line and exactly one effect of the same kind, amount and currency.
    """
    return f"""
UPDATE judged SET rule = '{rule}', nth = 1, matched_key = found.matched_key,
    our_operation = found.our_operation, saga_id = found.saga_id,
    match_key = found.match_key, our_amount = found.our_amount, our_currency = found.our_currency,
    outcome_kind = found.outcome_kind, payout_state = found.payout_state,
    of_payout = found.of_payout, recorded_at = found.recorded_at
FROM (
    SELECT l.report_id AS of_report, l.number AS of_number, {_EFFECT},
           count(*) OVER (PARTITION BY l.report_id, l.number) AS effects,
           count(*) OVER (PARTITION BY j.effect_key, l.kind) AS lines
    FROM judged l
    JOIN journal j ON {same} AND j.provider = :provider AND {_SAME_KIND}
        AND CAST(coalesce(j.outcome->>'amount', j.call->>'amount') AS bigint) = l.amount
        AND j.call->>'currency' = l.currency
        AND j.created_at > CAST(:covers_until AS timestamptz)
            - make_interval(days => :look_back_days)
    WHERE l.match_key IS NULL AND NOT l.booked AND {named}
      AND NOT EXISTS (SELECT FROM judged taken WHERE taken.matched_key = j.effect_key)
) AS found
WHERE judged.report_id = found.of_report AND judged.number = found.of_number
  AND found.effects = 1 AND found.lines = 1
"""  # noqa: S608 - constants of this file


SECOND_RULES = tuple(
    (
        text(_ANYTHING_UNPAIRED.format(named=named.replace("l.", "judged."))),
        text(_second_rule(rule, named, same)),
    )
    for rule, named, same in (
        (
            "provider_reference_and_amount",
            "l.provider_reference IS NOT NULL",
            "j.outcome->>'reference' = l.provider_reference",
        ),
        (
            "operation_and_amount",
            "l.line_operation IS NOT NULL",
            "j.operation_id = l.line_operation",
        ),
    )
)

# The provider's own fees. Their references repeat, within a report and from day to day, so that a
# fee is known by its place among those of its date, reference and currency. In a newer version of
# the report, lines that are settled already keep their places, wherever they stand; what is left is
# held against what is left, in order.
PAIR_FEES = text("""
WITH line AS (
    SELECT report_id, number, coalesce(provider_reference, '') AS reference, currency, fee,
           row_number() OVER (PARTITION BY provider_reference, currency, fee
               ORDER BY report_id, number) AS nth
    FROM judged WHERE kind = 'fee'
), settled AS (
    SELECT m.match_key, m.number AS place, coalesce(l.provider_reference, '') AS reference,
           m.currency, m.fee,
           row_number() OVER (PARTITION BY l.provider_reference, m.currency, m.fee
               ORDER BY m.report_id, m.number) AS nth
    FROM settlement_reports r
    JOIN settlement_matches m ON m.report_id = r.id AND m.kind = 'fee'
    JOIN settlement_lines l ON l.report_id = m.report_id AND l.number = m.number
    WHERE r.provider = :provider AND r.report_date = :report_date
), placed AS (
    SELECT reference, currency, fee, line.report_id, line.number, settled.match_key,
           line.number IS NOT NULL AND settled.match_key IS NOT NULL AS is_same,
           row_number() OVER (
               PARTITION BY reference, currency, line.number IS NULL, settled.match_key IS NULL
               ORDER BY coalesce(line.number, settled.place), settled.match_key) AS place
    FROM line FULL JOIN settled USING (reference, currency, fee, nth)
), paired AS (
    SELECT report_id, number, currency,
           max(match_key) OVER pair AS match_key,
           max(fee) FILTER (WHERE match_key IS NOT NULL) OVER pair AS our_fee,
           concat_ws('/', 'fee', CAST(:provider AS text), CAST(:report_date AS date), reference,
               currency, place + count(*) FILTER (WHERE is_same)
                   OVER (PARTITION BY reference, currency)) AS new_key
    FROM placed WINDOW pair AS (PARTITION BY reference, currency, is_same, place)
)
UPDATE judged SET rule = 'provider_fee', nth = 1,
    match_key = coalesce(paired.match_key, paired.new_key), our_amount = abs(paired.our_fee),
    our_fee = paired.our_fee, our_currency = paired.currency,
    settled_by = CASE WHEN paired.match_key IS NOT NULL THEN 'provider_fee' END,
    settled_date = CASE WHEN paired.match_key IS NOT NULL THEN CAST(:report_date AS date) END,
    outcome_kind = CASE WHEN paired.match_key IS NOT NULL THEN 'settled' END,
    verdict = CASE WHEN paired.our_fee <> judged.fee THEN 'fee_mismatch' ELSE 'agrees' END
FROM paired
WHERE judged.report_id = paired.report_id AND judged.number = paired.number
""")

# What a line of each kind takes out of clearing. A payout is in our books by its own saga.
SETTLE = text("""
WITH settled AS (
    INSERT INTO settlement_matches (match_key, provider, report_id, number, kind, rule,
        clearing, fee, currency, operation_id)
    SELECT match_key, :provider, report_id, number, kind, rule,
           CASE kind WHEN 'capture' THEN amount WHEN 'refund' THEN -amount ELSE 0 END, fee,
           currency, coalesce(our_operation, line_operation, '')
    FROM judged WHERE verdict = 'agrees' AND kind <> 'other' AND settled_by IS NULL
    ON CONFLICT (match_key) DO NOTHING
    RETURNING currency, clearing, fee
)
SELECT currency, CAST(sum(clearing) AS bigint) AS clearing, CAST(sum(fee) AS bigint) AS fee
FROM settled GROUP BY currency ORDER BY currency
""")

# A line that agrees and becomes a break all the same has come late.
_BREAK_KIND = "CASE verdict WHEN 'agrees' THEN 'late' ELSE verdict END"
_LINE_FINDING = f"""
SELECT {_BREAK_KIND} AS kind, report_date, report_id, number, kind AS line_kind, match_key, rule,
       coalesce(our_operation, line_operation) AS operation_id,
       (SELECT o.payment_id FROM operations o WHERE o.saga_id = judged.saga_id) AS payment_id,
       coalesce(matched_key, line_key) AS effect_key, currency,
       CASE WHEN match_key IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object(
           'amount', our_amount, 'fee', our_fee, 'currency', our_currency,
           'status', coalesce(outcome_kind, 'unknown'), 'report_date', settled_date)) END
           AS expected,
       jsonb_strip_nulls(jsonb_build_object('amount', amount, 'fee', fee, 'currency', currency,
           'status', 'settled', 'reference', provider_reference, 'report_date', report_date))
           AS found,
       settled_by, {_identity(_BREAK_KIND, line="judged", about="match_key, line_key")} AS identity
FROM judged
WHERE verdict <> 'agrees' OR (comes_late AND settled_by IS NULL AND NOT EXISTS (
    SELECT FROM breaks b WHERE b.effect_key = judged.matched_key))
"""  # noqa: S608 - constants of this file
_OURS_FINDING = """
SELECT 'missing_at_provider', CAST(:report_date AS date), CAST(NULL AS bigint),
       CAST(NULL AS integer), l.kind, {match_key}, CAST(NULL AS text), l.operation_id,
       l.payment_id, l.effect_key, l.currency,
       jsonb_strip_nulls(jsonb_build_object('amount', l.amount, 'currency', l.currency,
           'status', 'approved', 'reference', l.reference)),
       CAST(NULL AS jsonb), CAST(NULL AS text),
       concat_ws('|', 'missing_at_provider', {match_key}, {once})
FROM l
"""
_OUR_EFFECTS = f"""
SELECT j.effect_key, j.operation_id, o.payment_id, {_KIND_OF_EFFECT} AS kind,
       CAST(coalesce(j.outcome->>'amount', j.call->>'amount') AS bigint) AS amount,
       j.call->>'currency' AS currency, j.outcome->>'reference' AS reference
FROM journal j JOIN operations o ON o.saga_id = j.saga_id
"""  # noqa: S608 - constants of this file

# Ours, old enough, and in no report: neither settled, nor in this report, nor known as a break.
# A `missing_here` that names its key is about a line, and says nothing of the effect.
# Then what an earlier version of this very report had settled, and this one does not hold.
FIND = text(f"""
CREATE TEMPORARY TABLE findings ON COMMIT DROP AS
{_LINE_FINDING}
UNION ALL
SELECT * FROM (
    WITH l AS (
        {_OUR_EFFECTS}
        WHERE j.provider = :provider AND j.final AND j.outcome_kind = 'approved'
          AND j.recorded_at <= CAST(:covers_until AS timestamptz)
              - make_interval(days => :lag_days)
          AND j.created_at > CAST(:covers_until AS timestamptz)
              - make_interval(days => :look_back_days)
          AND {_KIND_OF_EFFECT} = ANY(CAST(:reported AS text[]))
          AND NOT EXISTS (SELECT FROM settlement_matches m WHERE m.match_key = j.effect_key)
          AND NOT EXISTS (SELECT FROM judged WHERE judged.match_key = j.effect_key)
          AND NOT EXISTS (SELECT FROM breaks b WHERE b.effect_key = j.effect_key
              AND NOT b.superseded AND b.kind <> 'missing_here')
    )
    {_OURS_FINDING.format(match_key="l.effect_key", once="''")}
) AS never_reported
UNION ALL
SELECT * FROM (
    WITH l AS (
        {_OUR_EFFECTS}
        JOIN settlement_matches m ON m.match_key = j.effect_key
        JOIN settlement_reports r ON r.id = m.report_id
        WHERE m.provider = :provider AND r.provider = :provider
          AND r.report_date = :report_date AND r.id <> :report_id
          AND NOT EXISTS (SELECT FROM judged WHERE judged.match_key = j.effect_key)
    )
    {_OURS_FINDING.format(match_key="l.effect_key", once="CAST(:report_date AS date)")}
) AS reported_no_more
""")  # noqa: S608 - constants of this file

NEW_FINDINGS = text("""
SELECT * FROM findings
WHERE identity > :after AND NOT EXISTS (
    SELECT FROM breaks b WHERE b.provider = :provider AND b.identity = findings.identity
        AND NOT b.superseded)
ORDER BY identity LIMIT :page
""")

# What a line shows to be in order; and of this date, what its newest report does not say any more.
CLOSE = text("""
WITH settled AS (
    SELECT b.id FROM breaks b JOIN judged ON judged.matched_key = b.effect_key
        AND judged.kind = b.line_kind
    WHERE b.provider = :provider AND b.status = 'open' AND judged.verdict = 'agrees'
      AND b.kind NOT IN ('duplicate', 'late')
    UNION
    SELECT b.id FROM breaks b
    JOIN judged ON judged.report_id = b.report_id AND judged.number = b.number
    WHERE b.provider = :provider AND b.status = 'open' AND judged.verdict = 'agrees'
      AND b.kind <> 'late'
    UNION
    SELECT b.id FROM breaks b
    WHERE b.provider = :provider AND b.status = 'open' AND b.report_date = :report_date
      AND b.report_id <> :report_id AND b.kind <> 'missing_at_provider'
      AND NOT EXISTS (SELECT FROM findings WHERE findings.identity = b.identity)
)
UPDATE breaks SET status = 'resolved', resolved_at = clock_timestamp(), superseded = true,
    resolution = CAST(:resolution AS jsonb)
FROM settled WHERE breaks.id = settled.id
RETURNING breaks.id
""")

COUNT = text("""
SELECT count(*) FILTER (WHERE verdict = 'agrees') AS matched
FROM judged WHERE report_id = :report_id
""")
OPEN_BREAKS = text("""
SELECT count(*) FROM breaks
WHERE provider = :provider AND report_date = :report_date AND status = 'open'
""")
