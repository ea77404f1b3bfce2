"""Claims of idempotency keys. Each call is one statement and one transaction.

A claim is a lease: whoever holds it renews it while the request lives, and 5 s after the last
renewal another request may take it over. The ids that were chosen with the claim stay, whoever
holds it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from recompense.contracts.payout_runs import PayoutRunInput
from recompense.contracts.words import AnySagaInput
from recompense.domain.card_numbers import without_card_numbers
from recompense.persistence import driver
from recompense.persistence.database import Database
from recompense.persistence.driver import Parameter, Values

LEASE_SECONDS = 5
ACCEPTED = 202

_INSERT = """
INSERT INTO idempotency_claims (id, caller, method, path, key, fingerprint, merchant_id,
                                resource_id, saga_id, saga_input, holder)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING RETURNING created_at
"""

_COLUMNS = f"""id, fingerprint, resource_id, saga_id, saga_input, holder, status, body, location,
       created_at, renewed_at < clock_timestamp() - interval '{LEASE_SECONDS} seconds' AS lapsed"""

_READ = f"SELECT {_COLUMNS} FROM idempotency_claims WHERE id = %s"  # noqa: S608 - a constant

_BY_RESOURCE = (
    f"SELECT {_COLUMNS} FROM idempotency_claims WHERE resource_id = %s"  # noqa: S608 - a constant
    " AND saga_input IS NOT NULL AND (status IS NULL OR status < 300) ORDER BY created_at LIMIT 1"
)

_TAKE_OVER = f"""
UPDATE idempotency_claims SET holder = %s, renewed_at = clock_timestamp()
WHERE id = %s AND holder = %s AND status IS NULL
  AND renewed_at < clock_timestamp() - interval '{LEASE_SECONDS} seconds'
RETURNING id
"""  # noqa: S608 - a constant

_RENEW = """
UPDATE idempotency_claims SET renewed_at = clock_timestamp() WHERE id = %s AND holder = %s
"""

_RELEASE = """
UPDATE idempotency_claims SET renewed_at = '-infinity' WHERE id = %s AND holder = %s
"""

_ANSWER = """
UPDATE idempotency_claims
SET status = %s, body = %s, location = %s, answered_at = clock_timestamp()
WHERE id = %s AND (status IS NULL OR (status = 202 AND CAST(%s AS smallint) <> 202))
RETURNING id
"""

_DROP = """
DELETE FROM idempotency_claims WHERE id = %s AND holder = %s AND status IS NULL
"""

_EXPIRE = """
DELETE FROM idempotency_claims WHERE id IN (
    SELECT id FROM idempotency_claims
    WHERE created_at < clock_timestamp() - make_interval(days => %s)
    ORDER BY created_at LIMIT %s)
RETURNING id
"""


@dataclass(frozen=True)
class NewClaim:
    """What a request claims its key with, and the ids that it has chosen for the operation."""

    caller: str
    method: str
    path: str
    key: str
    fingerprint: bytes
    merchant_id: str | None = None
    resource_id: str | None = None
    saga: AnySagaInput | PayoutRunInput | None = None
    holder: UUID = field(default_factory=uuid4)

    @property
    def id(self) -> bytes:
        """The digest of what the key is unique within: caller, method, path and the key itself."""
        scope = "\0".join((self.caller, self.method, self.path, self.key))
        return hashlib.sha256(scope.encode()).digest()

    @property
    def saga_id(self) -> str | None:
        """The workflow that the claim stands for."""
        if isinstance(self.saga, PayoutRunInput):
            return self.saga.workflow_id
        return self.saga.ref().saga_id if self.saga else None


@dataclass(frozen=True)
class StoredClaim:
    """A claim as the table has it. `lapsed` tells that its holder has not renewed it for 5 s."""

    id: bytes
    fingerprint: bytes
    resource_id: str | None
    saga_id: str | None
    saga_input: dict[str, Any] | None
    holder: UUID
    status: int | None
    body: str | None
    location: str | None
    created_at: datetime
    lapsed: bool

    @property
    def is_final(self) -> bool:
        """Whether the answer stands for ever."""
        return self.status is not None and self.status != ACCEPTED


class Claims:
    """The claims of one database."""

    def __init__(self, database: Database) -> None:
        # One statement is one transaction already: without BEGIN and COMMIT it costs one round
        # trip.
        self._engine: AsyncEngine = database.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def claim(self, new: NewClaim) -> StoredClaim | None:
        """Claim a key. None: it is ours now. Otherwise the claim that was there before."""
        inserted = await self._row(
            _INSERT,
            new.id,
            new.caller,
            new.method,
            new.path,
            without_card_numbers(new.key),
            new.fingerprint,
            new.merchant_id,
            new.resource_id,
            new.saga_id,
            new.saga.model_dump_json() if new.saga else None,
            str(new.holder),
        )
        if inserted is not None:
            return None
        found = await self.read(new.id)
        # The insert is sent again when its answer was lost: then the row that is there is ours.
        return None if found is None or found.holder == new.holder else found

    async def read(self, claim_id: bytes) -> StoredClaim | None:
        """Read a claim."""
        return _stored(await self._row(_READ, claim_id))

    async def of_resource(self, resource_id: str) -> StoredClaim | None:
        """The claim that chose this resource's id, unless its operation was refused."""
        return _stored(await self._row(_BY_RESOURCE, resource_id))

    async def take_over(self, claim: StoredClaim, holder: UUID) -> bool:
        """Take a lapsed claim over. False: somebody else was faster, or its holder came back."""
        taken = await self._row(_TAKE_OVER, str(holder), claim.id, str(claim.holder))
        return taken is not None

    async def renew(self, claim_id: bytes, holder: UUID) -> None:
        """Renew the lease."""
        await self._rows(_RENEW, claim_id, str(holder))

    async def release(self, claim_id: bytes, holder: UUID) -> None:
        """Give the lease up, so that a retry need not wait. The claim stays, with its ids."""
        await self._rows(_RELEASE, claim_id, str(holder))

    async def drop(self, claim_id: bytes, holder: UUID) -> None:
        """Forget a claim whose operation was provably never started."""
        await self._rows(_DROP, claim_id, str(holder))

    async def answer(self, claim_id: bytes, status: int, body: str, location: str | None) -> bool:
        """Store an answer.

        A final one replaces none or a 202; a 202 only none. False: it did not.
        """
        stored = await self._row(_ANSWER, str(status), body, location, claim_id, str(status))
        return stored is not None

    async def expire(self, *, older_than_days: int, limit: int) -> int:
        """Delete a batch of claims past their time, oldest first. Returns how many."""
        return len(await self._rows(_EXPIRE, str(older_than_days), str(limit)))

    async def _row(self, statement: str, *parameters: Parameter) -> Values | None:
        for last_try in (False, True):
            try:
                return next(iter(await self._rows(statement, *parameters)), None)
            except DBAPIError as error:
                # A pooled connection that died with an earlier server: all statements here may be
                # sent again.
                if last_try or not error.connection_invalidated:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _rows(self, statement: str, *parameters: Parameter) -> list[Values]:
        async with self._engine.connect() as connection:
            return await driver.run(connection, statement, parameters)


def _stored(row: Values | None) -> StoredClaim | None:
    return None if row is None else StoredClaim(*row)
