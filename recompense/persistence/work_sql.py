"""The statements behind the named questions of `Work`, in psycopg's own form: `%%` is one percent
sign.
"""

from __future__ import annotations

from collections.abc import Iterable

from recompense.contracts.sagas import SagaKind
from recompense.domain.effects import AttemptState
from recompense.domain.states import CaptureStatus, PaymentStatus, PayoutStatus, SagaState
from recompense.persistence.row_sql import CLOCK, shape_of
from recompense.persistence.saga_tables import JournalRow, Operation, OperationRun
from recompense.persistence.tables import Payment
from recompense.persistence.views import AUTHORIZED_STATUSES


def _any_of(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


def _step(*, with_payment: bool) -> str:
    shapes = [shape_of(table) for table in STEP_TABLES]
    columns = ", ".join(
        f"{shape.table}.{column}"
        for shape in (shapes if with_payment else shapes[:-1])
        for column in shape.columns.values()
    )
    join = "JOIN payments ON payments.id = operations.payment_id" if with_payment else ""
    # Locked in the order in which they are named: the order of every step.
    locked = "operations, journal, payments" if with_payment else "operations, journal"
    return f"""
SELECT {columns}
FROM operations
JOIN journal ON journal.saga_id = operations.saga_id
    AND journal.step = %s AND journal.attempt = %s AND journal.leg = %s
LEFT JOIN operation_runs
    ON operation_runs.saga_id = operations.saga_id AND operation_runs.run_id = %s
{join}
WHERE operations.saga_id = %s
FOR UPDATE OF {locked}
"""  # noqa: S608 - our own names


STEP_TABLES = (Operation, JournalRow, OperationRun, Payment)
STEP = _step(with_payment=False)
STEP_WITH_PAYMENT = _step(with_payment=True)

NOW = f"SELECT {CLOCK}"

_SAME_RIGHT = """
WHERE saga_id = %s AND step = %s AND attempt = %s AND leg = %s
    AND right_run_id IS NOT DISTINCT FROM CAST(%s AS text) AND right_try = %s
    AND sendable_until IS NOT DISTINCT FROM CAST(%s AS timestamptz) AND outcome_kind IS NULL
RETURNING true
"""

TAKE_RIGHT = f"""
UPDATE journal SET right_run_id = %s, right_try = %s, sendable_until = %s,
    first_sent_at = coalesce(first_sent_at, {CLOCK})
{_SAME_RIGHT}
"""  # noqa: S608 - constants of this file

CONCLUDE_ABSENT = f"""
UPDATE journal SET outcome = '{{"kind": "absent"}}', outcome_kind = 'absent',
    outcome_source = %s, final = true, recorded_at = {CLOCK}, calls = %s
{_SAME_RIGHT}
"""  # noqa: S608 - constants of this file

FORWARD_EFFECTS = """
WHERE saga_id = %s AND attempt = %s AND step NOT LIKE '%%.undo' AND step NOT LIKE '%%.orphan'
ORDER BY created_at DESC
"""

NEWEST_LEG = "WHERE saga_id = %s AND step = %s AND attempt = %s ORDER BY leg DESC LIMIT 1"

EFFECT_BY_KEY = "WHERE effect_key = %s"

NEWEST_EFFECT = """
WHERE operation_id = %s AND provider = %s AND step NOT LIKE '%%.undo'
ORDER BY created_at DESC LIMIT 1
"""

EFFECT_MADE_AS = """
WHERE saga_id IN (SELECT saga_id FROM operations WHERE payment_id = %s) AND provider = %s
    AND outcome ->> 'reference' = %s
ORDER BY created_at LIMIT 1
"""

ORPHAN_OF = "WHERE saga_id = %s AND step = %s AND attempt = %s AND leg = %s"

ORPHAN_TO_SETTLE = """
WHERE saga_id = %s AND step = %s AND attempt = %s AND leg = %s FOR UPDATE
"""

PARKED_ORPHANS = "WHERE saga_id = %s AND status = 'parked' ORDER BY id FOR UPDATE"

_PARKED = f"""
SELECT EXISTS (SELECT FROM operations WHERE {{which}} = %s AND (
    saga_state = '{SagaState.PARKED}'
    OR EXISTS (SELECT FROM orphans WHERE saga_id = operations.saga_id AND status = 'parked')))
"""  # noqa: S608 - a word of our own
PARKED_OF_PAYMENT = _PARKED.format(which="payment_id")
PARKED_OF_OPERATION = _PARKED.format(which="operation_id")

MERCHANT_AND_REFERENCE = f"""
SELECT {CLOCK}, routing, (
    SELECT id FROM payments WHERE merchant_id = merchants.id AND reference = %s
        AND status NOT IN ({_any_of([PaymentStatus.DECLINED, PaymentStatus.FAILED])}) LIMIT 1)
FROM merchants WHERE id = %s
"""  # noqa: S608 - words of our own

PAYOUT_WITH_REFERENCE = f"""
SELECT id FROM payouts WHERE merchant_id = %s AND reference = %s AND id <> %s
    AND status NOT IN ({_any_of([PayoutStatus.FAILED, PayoutStatus.CANCELED])}) LIMIT 1
"""  # noqa: S608 - words of our own

OPEN_CAPTURES = f"WHERE payment_id = %s AND status = '{CaptureStatus.PENDING}'"

ENDED_VOIDS = f"""
SELECT count(*) FROM operations WHERE payment_id = %s AND kind = '{SagaKind.VOID}'
    AND attempt_state IN ({_any_of([AttemptState.RECORDED, AttemptState.CLOSED])})
"""  # noqa: S608 - words of our own

EXPIRED_AUTHORIZATIONS = f"""
WHERE status IN ({_any_of(AUTHORIZED_STATUSES)})
    AND amount_captured + amount_voided < amount_authorized
    AND authorization_expires_at < {CLOCK}
    AND amount_capture_reserved = 0 AND NOT void_open AND id > %s
ORDER BY id LIMIT %s
"""

CAPTURES_DUE = f"""
SELECT id, payment_id FROM captures
WHERE status = '{CaptureStatus.SUCCEEDED}' AND NOT made_available AND available_at <= {CLOCK}
ORDER BY available_at LIMIT %s
"""  # noqa: S608 - a word of our own

TRANCHES_DUE = f"""
SELECT capture_id FROM reserve_tranches
WHERE released_at IS NULL AND release_at <= {CLOCK}
ORDER BY release_at LIMIT %s
"""  # noqa: S608 - a word of our own

# What could not be applied for a day must not keep the rest from being tried.
UNAPPLIED_EVENTS = f"""
WHERE status = 'received' AND received_at < {CLOCK} - make_interval(secs => %s)
ORDER BY received_at < {CLOCK} - interval '1 day', received_at LIMIT %s
"""

TOLD_EVENTS = """
WHERE provider = %s AND operation_id IN (%s, %s) ORDER BY received_at, event_id
"""
