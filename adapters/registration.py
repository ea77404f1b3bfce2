"""What an adapter exports: one `Registration`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.transport import ObservedTransport
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    Capabilities,
    ProviderConfig,
    ProviderPort,
)

Config = TypeVar("Config", bound=ProviderConfig)


@dataclass(frozen=True)
class Registration(Generic[Config]):
    """A provider, as data and one factory.

    `over_http`: all that it sends goes through the transport that the factory is given. Only such
    an adapter can be a shadow, which sends nothing.
    """

    name: str
    capabilities: Capabilities
    config_type: type[Config]
    policies: ProviderPolicies
    factory: Callable[[Config, ProviderPolicies, ObservedTransport], ProviderPort]
    over_http: bool = True


@dataclass(frozen=True)
class Provider:
    """A provider that is ready for calls, with the policies in force."""

    name: str
    capabilities: Capabilities
    policies: ProviderPolicies
    port: ProviderPort
