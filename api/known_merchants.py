"""Which merchants there are: one never goes away, so each is looked up once in a process's life."""

from __future__ import annotations

from api.callers import Caller
from api.problems import Problem
from recompense.persistence import merchants
from recompense.persistence.database import Database

_REMEMBERED = 100_000


class KnownMerchants:
    """Merchants that this process has seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[str] = set()

    async def require(self, caller: Caller, merchant_id: str) -> None:
        """Make sure that the merchant is there and the caller may act for it. Raises `Problem` 404.

        A token that is bound to a merchant may be older than the merchant.
        """
        if not caller.may_see(merchant_id):
            raise Problem("merchant_not_found")
        if merchant_id in self._known:
            return
        async with self._database.transaction() as session:
            if await merchants.find(session, merchant_id) is None:
                raise Problem("merchant_not_found")
        if len(self._known) < _REMEMBERED:
            self._known.add(merchant_id)
