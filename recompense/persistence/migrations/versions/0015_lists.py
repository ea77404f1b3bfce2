"""Lists are read in their order, from indexes: all sagas, those in trouble, copies, what waits."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INDEXES = {
    "operations_by_age": "operations (created_at, saga_id)",
    "operations_in_trouble_by_age": "operations (saga_state, created_at, saga_id)"
    " WHERE saga_state IN ('parked', 'failed', 'compensating')",
    "operation_runs_of_copies": "operation_runs (workflow_id) WHERE workflow_id <> saga_id",
    "payments_waiting": "payments (status, id) WHERE status IN ('processing', 'requires_action')",
    "payouts_waiting": "payouts (status, id)"
    " WHERE status IN ('pending', 'awaiting_approval', 'in_transit')",
    "payouts_by_age": "payouts (created_at)",
}


def upgrade() -> None:
    """Make the indexes."""
    for name, definition in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")


def downgrade() -> None:
    """Drop them."""
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
