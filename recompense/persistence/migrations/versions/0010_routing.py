"""By which providers a merchant's operations are made: a part of its terms."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Merchants without terms go to the platform's default provider."""
    op.execute("ALTER TABLE merchants ADD COLUMN routing jsonb NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE merchants DROP COLUMN routing")
