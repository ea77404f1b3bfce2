"""Find one effect at Stripe by our words in its metadata.

Lists show what was made a moment ago, newest first, but only page by page. Search finds what is
old at once, but its index lags behind: normally by less than a minute, up to an hour in an outage.
So what an effect made is listed, and what it changed (an older payment) is searched for first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from adapters.stripe.asked import Asked
from adapters.stripe.client import WITH_CHARGE, StripeClient
from adapters.stripe.config import PayoutWay, StripeConfig
from adapters.stripe.translate import read_object, read_page, the_one_of
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import OutcomeUnknown
from recompense.domain.ids import made_at

_PAGE = 100
_PAGES = 50
_PAGES_BESIDE_SEARCH = 3
_CLOCKS_DIFFER = timedelta(minutes=5)
_LONGEST_AUTHORIZATION = timedelta(days=31)

Raw = dict[str, Any]


class Lookups:
    """Reads that find an effect's object."""

    def __init__(self, client: StripeClient, config: StripeConfig) -> None:
        self._client = client
        self._search_available = config.search_available
        self._transfers = config.payouts is PayoutWay.TRANSFERS

    async def find(self, asked: Asked) -> Raw | None:
        """The object that an effect made or changed; None when there is none.

        Raises `OutcomeUnknown` when there are more objects than a look-up reads, and as the port
        says.
        """
        match asked.operation:
            case ProviderOperation.AUTHORIZE:
                return await self._made_intent(asked)
            case ProviderOperation.CAPTURE | ProviderOperation.VOID:
                return await self._changed_intent(asked)
            case ProviderOperation.REFUND:
                return await self._listed_all("/v1/refunds", asked)
            case _ if self._transfers:
                group = {"transfer_group": asked.operation_id}
                return await self._listed_all("/v1/transfers", asked, group)
            case _:
                return await self._listed_all("/v1/payouts", asked)

    async def refund_of(self, asked: Asked) -> Raw | None:
        """A refund among those of its own payment."""
        query = {"payment_intent": asked.target or ""}
        return await self._listed_all("/v1/refunds", asked, query)

    async def _made_intent(self, asked: Asked) -> Raw | None:
        pages = _PAGES_BESIDE_SEARCH if self._search_available else _PAGES
        found, complete = await self._listed_intent(asked, pages)
        if found is not None or complete:
            return found
        return await self._searched(asked) if self._search_available else _too_many()

    async def _changed_intent(self, asked: Asked) -> Raw | None:
        if not self._search_available:
            found, complete = await self._listed_intent(asked, _PAGES)
            return found if found is not None or complete else _too_many()
        searched = await self._searched(asked)
        if searched is not None:
            return searched
        found, _complete = await self._listed_intent(asked, _PAGES_BESIDE_SEARCH)
        return found

    async def _listed_intent(self, asked: Asked, pages: int) -> tuple[Raw | None, bool]:
        path = "/v1/payment_intents"
        found, complete = await self._listed(path, asked, self._since(asked), pages)
        return await self._with_charge(found, asked), complete

    async def _listed_all(
        self, path: str, asked: Asked, query: Mapping[str, str] | None = None
    ) -> Raw | None:
        given = self._since(asked) if query is None else query
        found, complete = await self._listed(path, asked, given, _PAGES)
        return found if found is not None or complete else _too_many()

    async def _listed(
        self, path: str, asked: Asked, query: Mapping[str, str], pages: int
    ) -> tuple[Raw | None, bool]:
        """The object, and whether everything was seen."""
        after: dict[str, str] = {}
        for _ in range(pages):
            page = await self._client.look_up(
                path,
                {"limit": str(_PAGE), **query, **after},
                asked.effect_key,
                partial(read_page, asked=asked),
            )
            found = the_one_of(page, asked)
            if found is not None or not page.has_more:
                return found, not page.has_more
            after = {"starting_after": str(page.data[-1].get("id"))}
        return None, False

    async def _searched(self, asked: Asked) -> Raw | None:
        """Found in the index, which shows an object as it was."""
        page = await self._client.look_up(
            "/v1/payment_intents/search",
            {"query": f"metadata['{asked.marker}']:'{asked.effect_key}'", "limit": "10"},
            asked.effect_key,
            partial(read_page, asked=asked),
        )
        return await self._with_charge(the_one_of(page, asked), asked)

    async def _with_charge(self, hit: Raw | None, asked: Asked) -> Raw | None:
        """A payment as it is now, with its charge: a page of such would be larger than any answer
        that is taken.
        """
        if hit is None:
            return None
        return await self._client.look_up(
            f"/v1/payment_intents/{hit.get('id')}",
            WITH_CHARGE,
            asked.effect_key,
            partial(read_object, asked=asked),
        )

    def _since(self, asked: Asked) -> dict[str, str]:
        """Nothing of an operation is older than its id; a captured payment may be, by as long as an
        authorization lasts.
        """
        made = made_at(asked.operation_id)
        if made is None:
            return {}
        earlier = _CLOCKS_DIFFER
        if asked.operation is ProviderOperation.CAPTURE:
            earlier += _LONGEST_AUTHORIZATION
        return {"created[gte]": _unix(made - earlier)}


def _unix(moment: datetime) -> str:
    return str(int(moment.timestamp()))


def _too_many() -> Raw | None:
    raise OutcomeUnknown("the provider shows more objects than a look-up reads")
