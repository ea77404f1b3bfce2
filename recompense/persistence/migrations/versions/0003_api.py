"""Claims of idempotency keys, API keys, and the order in which domain events are read."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE idempotency_claims (
    id bytea PRIMARY KEY CHECK (length(id) = 32),
    caller text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    merchant_id text,
    resource_id text,
    saga_id text,
    saga_input jsonb,
    holder uuid NOT NULL,
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status smallint,
    body text,
    location text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at timestamptz,
    CONSTRAINT idempotency_claims_answer_is_whole CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX idempotency_claims_by_resource ON idempotency_claims (resource_id)
    WHERE resource_id IS NOT NULL;
CREATE INDEX idempotency_claims_by_age ON idempotency_claims (created_at);

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    subject text NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    merchant_id text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
"""

# Events are read in the order of their transactions: a sequence number is given before the commit,
# and a reader that went by it would pass one that commits late.
FEED = "CREATE INDEX events_feed ON events (created, seq)"

PRIVILEGES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_claims TO recompense_app;
        GRANT SELECT, INSERT, UPDATE ON api_keys TO recompense_app;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create the tables. Claims are the only rows that the application may delete: keys expire."""
    op.execute(TABLES)
    op.execute(FEED)
    op.execute(PRIVILEGES)


def downgrade() -> None:
    """Drop the tables with all that is in them."""
    op.execute("DROP INDEX events_feed")
    op.execute("DROP TABLE api_keys, idempotency_claims")
