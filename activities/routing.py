"""Which providers may take an operation, and in which order: by capability, currency, the
merchant's terms, and health.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from activities.toolbox import Toolbox
from adapters.breaker import operation_class
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import Refused
from recompense.domain.routing import ranked
from recompense.domain.terms import RoutingTerms

Route = tuple[str, ...]
"""Providers in the order in which they are asked. The first makes the first leg; each later one
takes over only what provably did not happen before it.
"""


async def ailing(tools: Toolbox, operation: ProviderOperation) -> frozenset[str]:
    """The providers whose breaker would stop a call of this operation now.

    Asked before the transaction that decides the route. With one provider there is nothing to ask.
    """
    if len(tools.providers.names) == 1:
        return frozenset()
    return frozenset(
        [
            name
            for name in tools.providers.names
            if not await tools.breakers.allows(
                name, operation_class(operation), tools.providers.policies(name).breaker
            )
        ]
    )


def route(
    tools: Toolbox,
    named: str | None,
    operation: ProviderOperation,
    currency: str,
    *,
    operation_id: str,
    merchant: Mapping[str, Any],
    ailing: frozenset[str] = frozenset(),
) -> Route:
    """Decide the route of an operation. `merchant` holds the merchant's routing terms.

    A provider that was named takes it alone. Otherwise the terms rank who may, those that are ill
    behind the others; terms that name nobody who can leave it to the default provider, or, where
    that one cannot, to the first by name who can.

    Raises `Refused` when nobody offers this operation and this currency.
    """
    if named is not None:
        _require(tools, named, operation, currency)
        return (named,)
    terms = RoutingTerms.model_validate(merchant)
    if not terms.prefer and not terms.weights:
        terms = tools.routing
    listed = [
        name for name in ranked(terms, operation_id) if _can(tools, name, operation, currency)
    ]
    if listed:
        return tuple(sorted(listed, key=lambda name: name in ailing))
    default = tools.default_provider
    able = [n for n in sorted(tools.providers.names) if _can(tools, n, operation, currency)]
    if default in able or not able:
        _require(tools, default, operation, currency)
        return (default,)
    return (able[0],)


def _can(tools: Toolbox, provider: str, operation: ProviderOperation, currency: str) -> bool:
    if provider not in tools.providers.names:
        return False
    capabilities = tools.providers.capabilities(provider)
    currencies = capabilities.currencies
    return operation in capabilities.operations and (currencies is None or currency in currencies)


def _require(tools: Toolbox, provider: str, operation: ProviderOperation, currency: str) -> None:
    if provider not in tools.providers.names:
        raise Refused("provider_not_available", f"There is no provider {provider}.")
    if _can(tools, provider, operation, currency):
        return
    if operation in tools.providers.capabilities(provider).operations:
        raise Refused("currency_not_supported", f"Provider {provider} does not take {currency}.")
    words = str(operation).replace("_", " ")
    raise Refused("provider_not_available", f"Provider {provider} cannot {words}.")
