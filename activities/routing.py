"""Which provider takes an operation."""

from __future__ import annotations

from activities.toolbox import Toolbox
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import Refused


def route(tools: Toolbox, named: str | None, operation: ProviderOperation, currency: str) -> str:
    """The provider that was named, or the default one.

    Raises `Refused` when there is none, or it does not offer this operation or this currency.
    """
    provider = named or tools.default_provider
    if provider not in tools.providers.names:
        raise Refused("provider_not_available", f"There is no provider {provider}.")
    capabilities = tools.providers.capabilities(provider)
    if operation not in capabilities.operations:
        words = str(operation).replace("_", " ")
        raise Refused("provider_not_available", f"Provider {provider} cannot {words}.")
    if capabilities.currencies is not None and currency not in capabilities.currencies:
        raise Refused("currency_not_supported", f"Provider {provider} does not take {currency}.")
    return provider
