"""All providers, one line each, and how one is built from configuration data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import adapters.adyen
import adapters.sandbox
import adapters.sepa
import adapters.stripe
from adapters.registration import Provider, Registration
from adapters.transport import ObservedTransport
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    Capabilities,
    ProviderPort,
)

REGISTRATIONS: Mapping[str, Registration[Any]] = {
    adapters.adyen.REGISTRATION.name: adapters.adyen.REGISTRATION,
    adapters.sandbox.REGISTRATION.name: adapters.sandbox.REGISTRATION,
    adapters.stripe.REGISTRATION.name: adapters.stripe.REGISTRATION,
    adapters.sepa.REGISTRATION.name: adapters.sepa.REGISTRATION,
}

EVERY_CALL = "*"


class UnknownProvider(ValueError):
    """No adapter of this name is registered."""


def registration(name: str) -> Registration[Any]:
    """The registration of a provider. Raises `UnknownProvider`."""
    if name not in REGISTRATIONS:
        raise UnknownProvider(f"no provider is named {name!r}; there are {sorted(REGISTRATIONS)}")
    return REGISTRATIONS[name]


def policies_in_force(name: str, overrides: Mapping[str, Any] | None = None) -> ProviderPolicies:
    """A provider's policies with single values replaced.

    `overrides` has the shape of `ProviderPolicies`, as deep as it needs to go; under `calls`, `*`
    stands for every call and a call's own name wins over it. Raises pydantic's `ValidationError`
    for names that do not exist and for policies that cannot work.
    """
    standard = registration(name).policies.model_dump(mode="json")
    changes = dict(overrides or {})
    calls = dict(changes.pop("calls", {}))
    everywhere = calls.pop(EVERY_CALL, {})
    for operation in standard["calls"]:
        standard["calls"][operation].update(everywhere)
    return ProviderPolicies.model_validate(_merged(standard, {**changes, "calls": calls}))


def build(
    name: str,
    config: Mapping[str, Any],
    *,
    transport: ObservedTransport,
    overrides: Mapping[str, Any] | None = None,
) -> Provider:
    """Make a provider ready for calls.

    Raises `UnknownProvider`, or `ValidationError` for bad data.
    """
    found = registration(name)
    policies = policies_in_force(name, overrides)
    checked = found.config_type.model_validate(config)
    port = found.factory(checked, policies, transport)
    return Provider(found.name, found.capabilities_with(checked), policies, port)


class Providers:
    """The providers that one process may call, by name."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers = {provider.name: provider for provider in providers}

    @property
    def names(self) -> Collection[str]:
        """Who can be called."""
        return self._providers.keys()

    @property
    def batching(self) -> Collection[str]:
        """Who takes payouts in files."""
        return [name for name in self.names if self.capabilities(name).batch_payouts]

    def port(self, provider: str) -> ProviderPort:
        """The adapter of a provider. Raises `UnknownProvider`."""
        return self._named(provider).port

    def policies(self, provider: str) -> ProviderPolicies:
        """The policies in force. Raises `UnknownProvider`."""
        return self._named(provider).policies

    def capabilities(self, provider: str) -> Capabilities:
        """What a provider can do. Raises `UnknownProvider`."""
        return self._named(provider).capabilities

    def _named(self, name: str) -> Provider:
        if name not in self._providers:
            raise UnknownProvider(
                f"provider {name!r} is not configured; there are {sorted(self._providers)}"
            )
        return self._providers[name]


def _merged(standard: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(standard)
    for name, value in changes.items():
        both_nest = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both_nest else value
    return merged
