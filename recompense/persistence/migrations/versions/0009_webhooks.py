"""Outbound webhooks: who takes events, what goes to whom, and how far events were handed out."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# A delivery's event has no foreign key: the check would lock, and so rewrite, each row of events.
TABLES = """
CREATE TABLE webhook_endpoints (
    id text PRIMARY KEY,
    merchant_id text REFERENCES merchants (id),
    url text NOT NULL,
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    status text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled', 'deleted')),
    secret text,
    previous_secret text,
    previous_until timestamptz,
    rotation text,
    failing_since timestamptz,
    enabled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT webhook_endpoints_secret_goes_with_it CHECK (
        (status = 'deleted') = (secret IS NULL)),
    CONSTRAINT webhook_endpoints_previous_is_whole CHECK (
        (previous_secret IS NULL) = (previous_until IS NULL))
);
CREATE INDEX webhook_endpoints_by_merchant ON webhook_endpoints (merchant_id)
    WHERE status <> 'deleted';
CREATE INDEX webhook_endpoints_enabled ON webhook_endpoints (id) WHERE status = 'enabled';

CREATE TABLE webhook_deliveries (
    endpoint_id text NOT NULL REFERENCES webhook_endpoints (id),
    event_id text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    claims integer NOT NULL DEFAULT 0 CHECK (claims >= 0),
    tries integer NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND claims),
    began_at timestamptz,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_outcome text,
    last_status smallint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (endpoint_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_event ON webhook_deliveries (event_id);
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (endpoint_id, created_at);

CREATE TABLE webhook_tallies (
    outcome text PRIMARY KEY,
    tries bigint NOT NULL DEFAULT 0 CHECK (tries >= 0)
);
INSERT INTO webhook_tallies (outcome)
VALUES ('delivered'), ('rejected'), ('gone'), ('unreachable'), ('timeout'), ('forbidden_target');

CREATE TABLE webhook_cursor (
    id smallint PRIMARY KEY CHECK (id = 1),
    created xid8 NOT NULL,
    seq bigint NOT NULL
);
"""

# Nobody asked for the events of before: the first one handed out is the next one that commits.
START = """
INSERT INTO webhook_cursor (id, created, seq)
SELECT 1, pg_snapshot_xmin(pg_current_snapshot()), 0
"""

PRIVILEGES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT, UPDATE ON webhook_endpoints, webhook_deliveries TO recompense_app;
        GRANT SELECT, UPDATE ON webhook_cursor, webhook_tallies TO recompense_app;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Create the tables. The application deletes nothing: a deleted endpoint loses its secret."""
    op.execute(TABLES)
    op.execute(START)
    op.execute(PRIVILEGES)


def downgrade() -> None:
    """Drop the tables with all that is in them."""
    op.execute("DROP TABLE webhook_cursor, webhook_tallies, webhook_deliveries, webhook_endpoints")
