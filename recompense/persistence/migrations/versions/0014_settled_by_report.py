"""What a report settled, and effects whose end nobody told, are found without reading the rest."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index matches by their report, and effects that wait for their end by when they were sent."""
    op.execute("CREATE INDEX settlement_matches_by_report ON settlement_matches (report_id)")
    op.execute("CREATE INDEX journal_unknown ON journal (provider, first_sent_at) WHERE NOT final")


def downgrade() -> None:
    """Drop the indexes."""
    op.execute("DROP INDEX settlement_matches_by_report, journal_unknown")
