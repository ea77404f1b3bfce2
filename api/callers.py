"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass

from recompense.contracts.scopes import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `subject` is stable over renewals of the token; `merchant_id` binds
    it to one merchant.
    """

    subject: str
    scopes: frozenset[Scope]
    merchant_id: str | None = None

    def may_see(self, merchant_id: str | None) -> bool:
        """Whether something of this merchant is there for the caller."""
        return self.merchant_id is None or self.merchant_id == merchant_id
