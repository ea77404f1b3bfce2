"""Settlement reports as they came, their lines, what they settle, reconciliations and breaks."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REPORTS = """
CREATE TABLE settlement_reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    report_date date NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    bytes bigint NOT NULL CHECK (bytes >= 0),
    fetched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (provider, report_date, sha256)
);
CREATE TABLE settlement_chunks (
    report_id bigint NOT NULL REFERENCES settlement_reports (id),
    number integer NOT NULL CHECK (number > 0),
    body bytea NOT NULL,
    PRIMARY KEY (report_id, number)
);
ALTER TABLE settlement_chunks ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE settlement_loads (
    report_id bigint PRIMARY KEY REFERENCES settlement_reports (id),
    lines integer NOT NULL CHECK (lines >= 0),
    covers_until timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE settlement_lines (
    report_id bigint NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    kind text NOT NULL,
    provider_reference text,
    operation_id text,
    effect_key text,
    amount bigint NOT NULL CHECK (amount >= 0),
    fee bigint NOT NULL,
    net bigint NOT NULL,
    currency text NOT NULL,
    effected_at timestamptz,
    PRIMARY KEY (report_id, number)
);
"""

RECONCILIATIONS = """
CREATE TABLE reconciliations (
    id text PRIMARY KEY,
    provider text NOT NULL,
    report_date date NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    status text NOT NULL CHECK (status IN ('running', 'clean', 'breaks', 'failed')),
    lines integer NOT NULL DEFAULT 0 CHECK (lines >= 0),
    matched integer NOT NULL DEFAULT 0 CHECK (matched BETWEEN 0 AND lines),
    breaks integer NOT NULL DEFAULT 0 CHECK (breaks >= 0),
    report_id bigint REFERENCES settlement_reports (id),
    report_hash text,
    failure jsonb,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    UNIQUE (provider, report_date, number)
);
CREATE TABLE settlement_matches (
    match_key text PRIMARY KEY,
    provider text NOT NULL,
    report_id bigint,
    number integer,
    kind text NOT NULL,
    rule text NOT NULL,
    clearing bigint NOT NULL,
    fee bigint NOT NULL,
    currency text NOT NULL,
    operation_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE breaks (
    id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('missing_at_provider', 'missing_here', 'amount_mismatch',
        'currency_mismatch', 'fee_mismatch', 'duplicate', 'state_mismatch', 'late')),
    status text NOT NULL CHECK (status IN ('open', 'resolved')),
    provider text NOT NULL,
    report_date date NOT NULL,
    reconciliation_id text NOT NULL REFERENCES reconciliations (id),
    identity text NOT NULL,
    report_id bigint,
    number integer,
    line_kind text NOT NULL,
    match_key text,
    rule text,
    operation_id text,
    payment_id text,
    effect_key text,
    currency text NOT NULL,
    expected jsonb,
    found jsonb,
    proposal text NOT NULL,
    assignee text,
    write_off_asked_by text,
    superseded boolean NOT NULL DEFAULT false,
    resolution jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    CONSTRAINT breaks_resolution_is_whole CHECK (
        (status = 'resolved') = (resolution IS NOT NULL)
        AND (status = 'resolved') = (resolved_at IS NOT NULL))
);
CREATE UNIQUE INDEX breaks_found_once ON breaks (provider, identity) WHERE NOT superseded;
CREATE INDEX breaks_by_effect ON breaks (effect_key) WHERE effect_key IS NOT NULL;
CREATE INDEX breaks_open ON breaks (provider, report_date) WHERE status = 'open';
"""

# Rows of the journal are made in the order of time: a few pages of this index are all its cost.
WAYS_TO_FIND = """
CREATE INDEX journal_by_time ON journal USING brin (created_at);
CREATE INDEX captures_awaiting_settlement ON captures (id)
    WHERE status = 'succeeded' AND NOT made_available AND available_at IS NULL;
"""

APPEND_ONLY = (
    "settlement_reports",
    "settlement_chunks",
    "settlement_loads",
    "settlement_lines",
    "settlement_matches",
)

GUARD = """
CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_change;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate;
"""

PRIVILEGES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT ON settlement_reports, settlement_chunks, settlement_loads,
            settlement_lines, settlement_matches TO recompense_app;
        GRANT SELECT, INSERT, UPDATE ON reconciliations, breaks TO recompense_app;
        -- A comparison works in tables of its own transaction.
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO recompense_app', current_database());
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create the tables. What a provider reported, and what it settled, is never changed."""
    op.execute(REPORTS)
    op.execute(RECONCILIATIONS)
    op.execute(WAYS_TO_FIND)
    for table in APPEND_ONLY:
        op.execute(GUARD.format(table=table))
    op.execute(PRIVILEGES)


def downgrade() -> None:
    """Drop the tables with all that is in them."""
    op.execute("DROP INDEX journal_by_time, captures_awaiting_settlement")
    op.execute(
        "DROP TABLE breaks, settlement_matches, reconciliations, settlement_lines,"
        " settlement_loads, settlement_chunks, settlement_reports"
    )
