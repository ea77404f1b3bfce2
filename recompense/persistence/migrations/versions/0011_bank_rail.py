"""A bank rail: instructions that wait for a window, the batches they leave in, and bank files."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE payout_batches (
    id text PRIMARY KEY,
    provider text NOT NULL,
    effect_key text NOT NULL UNIQUE,
    reference text NOT NULL,
    items integer NOT NULL CHECK (items > 0),
    total bigint NOT NULL CHECK (total > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status text NOT NULL DEFAULT 'closed' CHECK (status IN ('closed', 'sent')),
    file_name text,
    sha256 text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    closed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz,
    UNIQUE (provider, reference),
    CHECK ((status = 'sent') = (file_name IS NOT NULL AND sha256 IS NOT NULL
                                AND sent_at IS NOT NULL))
);

CREATE TABLE payout_batch_items (
    effect_key text PRIMARY KEY REFERENCES journal (effect_key),
    provider text NOT NULL,
    operation_id text NOT NULL,
    reference text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    token text NOT NULL,
    status text NOT NULL DEFAULT 'collected'
        CHECK (status IN ('collected', 'withdrawn', 'batched')),
    withdrawn_by text UNIQUE,
    batch_id text REFERENCES payout_batches (id),
    position integer CHECK (position > 0),
    collected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (provider, reference),
    UNIQUE (batch_id, position),
    CHECK ((status = 'batched') = (batch_id IS NOT NULL AND position IS NOT NULL)),
    CHECK ((status = 'withdrawn') = (withdrawn_by IS NOT NULL))
);
CREATE INDEX payout_batch_items_waiting ON payout_batch_items (provider, collected_at)
    WHERE status = 'collected';

CREATE TABLE bank_files (
    provider text NOT NULL,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    name text NOT NULL,
    content bytea NOT NULL,
    status text NOT NULL CHECK (status IN ('read', 'refused')),
    detail text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, sha256)
);
CREATE INDEX provider_events_by_effect ON provider_events (effect_key)
    WHERE effect_key IS NOT NULL;
"""

GUARDS = """
CREATE FUNCTION payout_batch_item_moves_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'collected' OR (NEW.effect_key, NEW.provider, NEW.operation_id, NEW.reference,
            NEW.amount, NEW.currency, NEW.token)
        IS DISTINCT FROM (OLD.effect_key, OLD.provider, OLD.operation_id, OLD.reference,
            OLD.amount, OLD.currency, OLD.token) THEN
        RAISE EXCEPTION 'an instruction that was taken into a file or withdrawn never changes';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER payout_batch_item_moves_once BEFORE UPDATE ON payout_batch_items
    FOR EACH ROW EXECUTE FUNCTION payout_batch_item_moves_once();

CREATE FUNCTION payout_batch_is_sent_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'closed' OR (NEW.id, NEW.provider, NEW.effect_key, NEW.reference, NEW.items,
            NEW.total, NEW.currency, NEW.closed_at)
        IS DISTINCT FROM (OLD.id, OLD.provider, OLD.effect_key, OLD.reference, OLD.items,
            OLD.total, OLD.currency, OLD.closed_at) THEN
        RAISE EXCEPTION 'a closed batch only ever becomes sent';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER payout_batch_is_sent_once BEFORE UPDATE ON payout_batches
    FOR EACH ROW EXECUTE FUNCTION payout_batch_is_sent_once();
"""

PRIVILEGES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT, UPDATE ON payout_batches, payout_batch_items TO recompense_app;
        GRANT SELECT, INSERT ON bank_files TO recompense_app;
    END IF;
END
$$;
"""

DOWNGRADE = """
DROP INDEX provider_events_by_effect;
DROP TABLE bank_files, payout_batch_items, payout_batches;
DROP FUNCTION payout_batch_item_moves_once();
DROP FUNCTION payout_batch_is_sent_once();
"""


def upgrade() -> None:
    """Make the tables, what guards them, and the application's rights: it deletes nothing."""
    op.execute(TABLES)
    op.execute(GUARDS)
    op.execute(PRIVILEGES)


def downgrade() -> None:
    """Drop the tables with all that is in them."""
    op.execute(DOWNGRADE)
