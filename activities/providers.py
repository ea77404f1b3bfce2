"""The registered providers, ready for calls: built once in each process by its composition root."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adapters.registration import Provider
from recompense.contracts.provider import Capabilities, ProviderPolicies, ProviderPort


class ProviderSet:
    """Providers by name."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = dict(providers)

    @property
    def names(self) -> Collection[str]:
        """All registered names."""
        return self._providers.keys()

    def port(self, provider: str) -> ProviderPort:
        """The provider's port."""
        return self._providers[provider].port

    def policies(self, provider: str) -> ProviderPolicies:
        """The policies in force."""
        return self._providers[provider].policies

    def capabilities(self, provider: str) -> Capabilities:
        """What the provider can do."""
        return self._providers[provider].capabilities

    async def aclose(self) -> None:
        """Close all ports."""
        for provider in self._providers.values():
            await provider.port.aclose()
