"""The repair that is asked for a break: whose word its workflow carries out."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the word to a break."""
    op.execute("ALTER TABLE breaks ADD COLUMN repair jsonb")


def downgrade() -> None:
    """Forget the words. A write-off that waits for a second person waits on."""
    op.execute("ALTER TABLE breaks DROP COLUMN repair")
