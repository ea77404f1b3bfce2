"""Indexes of what the watch asks again and again: each holds what is under way or in trouble."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = {
    "journal_to_book": "journal (recorded_at)"
    " WHERE final AND NOT booked AND outcome_kind <> 'absent'",
    "operations_under_way": "operations (since) WHERE saga_state IN ('running', 'compensating')",
    "orphans_unsettled": "orphans (found_at) WHERE status <> 'undone'",
}


def upgrade() -> None:
    """Make the indexes."""
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop them."""
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
