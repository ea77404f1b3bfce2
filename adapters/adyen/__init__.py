"""Adyen's adapter."""

from adapters.adyen.adapter import AdyenAdapter
from adapters.adyen.config import AdyenConfig
from adapters.adyen.policy import CAPABILITIES, POLICIES
from adapters.registration import Registration

REGISTRATION = Registration(
    name="adyen",
    capabilities=CAPABILITIES,
    config_type=AdyenConfig,
    policies=POLICIES,
    factory=AdyenAdapter,
)

__all__ = ["REGISTRATION"]
