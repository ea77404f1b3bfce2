"""By which providers a merchant's operations are made, as a part of its terms; and what shadows of
providers have read.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE merchants ADD COLUMN routing jsonb NOT NULL DEFAULT '{}';
CREATE TABLE shadow_readings (
    live text NOT NULL,
    candidate text NOT NULL,
    operation text NOT NULL,
    difference text NOT NULL,
    times bigint NOT NULL DEFAULT 0 CHECK (times > 0),
    effect_key text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (live, candidate, operation, difference)
);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT, UPDATE ON shadow_readings TO recompense_app;
    END IF;
END
$$;
"""

DOWNGRADE = """
DROP TABLE shadow_readings;
ALTER TABLE merchants DROP COLUMN routing;
"""


def upgrade() -> None:
    """Merchants without routing terms go to the platform's default provider."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop both."""
    op.execute(DOWNGRADE)
