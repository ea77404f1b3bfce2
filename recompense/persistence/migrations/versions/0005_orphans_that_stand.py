"""What an effect that became known too late changes: an authorization that the provider has closed,
and what is kept of a hold until a person has decided.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE payments ADD COLUMN authorization_closed boolean NOT NULL DEFAULT false;
ALTER TABLE orphans ADD COLUMN reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0);
ALTER TABLE orphans DROP CONSTRAINT orphans_status_check;
ALTER TABLE orphans ADD CONSTRAINT orphans_status_check
    CHECK (status IN ('open', 'undone', 'parked', 'adopted'));
DROP INDEX orphans_unsettled;
CREATE INDEX orphans_unsettled ON orphans (found_at) WHERE status IN ('open', 'parked');
"""

DOWNGRADE = """
DROP INDEX orphans_unsettled;
CREATE INDEX orphans_unsettled ON orphans (found_at) WHERE status <> 'undone';
ALTER TABLE orphans DROP CONSTRAINT orphans_status_check;
ALTER TABLE orphans ADD CONSTRAINT orphans_status_check
    CHECK (status IN ('open', 'undone', 'parked'));
ALTER TABLE orphans DROP COLUMN reserved;
ALTER TABLE payments DROP COLUMN authorization_closed;
"""


def upgrade() -> None:
    """Add the columns, and the status of an orphan that our books follow."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop them. Refused by the database while an adopted orphan is kept."""
    op.execute(DOWNGRADE)
