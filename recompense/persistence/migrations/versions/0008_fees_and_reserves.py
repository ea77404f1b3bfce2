"""What fees and reserves need: a payment's method, fees that went back, and the tranches of rolling
reserves.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE merchants
    ADD COLUMN reserve jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN availability_business_days boolean NOT NULL DEFAULT false;
ALTER TABLE payments
    ADD COLUMN payment_method text NOT NULL DEFAULT 'card_token',
    ADD COLUMN amount_fees_returned bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT payments_fees_returned_fit
        CHECK (amount_fees_returned BETWEEN 0 AND amount_fees);
ALTER TABLE payouts
    ADD COLUMN return_fee bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT payouts_return_fee_fits CHECK (return_fee BETWEEN 0 AND amount);
"""

TRANCHES = """
CREATE TABLE reserve_tranches (
    capture_id text PRIMARY KEY REFERENCES captures (id),
    payment_id text NOT NULL REFERENCES payments (id),
    merchant_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    release_at timestamptz NOT NULL,
    released_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX reserve_tranches_to_release ON reserve_tranches (release_at)
    WHERE released_at IS NULL;
CREATE INDEX reserve_tranches_by_payment ON reserve_tranches (payment_id);
"""

# A tranche is a fact about money: only that it was released may be added, and once.
FACTS = """
CREATE FUNCTION reserve_tranche_is_a_fact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.released_at IS NULL AND NEW.released_at IS NOT NULL
        AND to_jsonb(NEW) - 'released_at' = to_jsonb(OLD) - 'released_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a reserve tranche is released once, and nothing else of it changes'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER reserve_tranches_no_change BEFORE UPDATE OR DELETE ON reserve_tranches
    FOR EACH ROW EXECUTE FUNCTION reserve_tranche_is_a_fact();
CREATE TRIGGER reserve_tranches_no_truncate BEFORE TRUNCATE ON reserve_tranches
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE reserve_tranches ENABLE ALWAYS TRIGGER reserve_tranches_no_change;
ALTER TABLE reserve_tranches ENABLE ALWAYS TRIGGER reserve_tranches_no_truncate;
"""

# Statements of a past period begin and end at a seal, which is found by its time.
SEALS = "CREATE INDEX ledger_seals_observed ON ledger_seals (observed_at)"

PRIVILEGES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT, UPDATE (released_at) ON reserve_tranches TO recompense_app;
    END IF;
END
$$;
"""

DOWNGRADE = """
DROP INDEX ledger_seals_observed;
DROP TABLE reserve_tranches;
DROP FUNCTION reserve_tranche_is_a_fact();
ALTER TABLE payouts DROP COLUMN return_fee;
ALTER TABLE payments DROP COLUMN amount_fees_returned, DROP COLUMN payment_method;
ALTER TABLE merchants DROP COLUMN availability_business_days, DROP COLUMN reserve;
"""


def upgrade() -> None:
    """Add columns whose defaults are what was true before, and the tranches with their guard."""
    for statements in (COLUMNS, TRANCHES, FACTS, SEALS, PRIVILEGES):
        op.execute(statements)


def downgrade() -> None:
    """Drop them with all that is in them."""
    op.execute(DOWNGRADE)
