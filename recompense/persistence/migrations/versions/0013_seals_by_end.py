"""Seals are found by where they end: a round of snapshots reads those since the last round."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the ends of seals."""
    op.execute("CREATE INDEX ledger_seals_through ON ledger_seals (through)")


def downgrade() -> None:
    """Drop the index."""
    op.execute("DROP INDEX ledger_seals_through")
