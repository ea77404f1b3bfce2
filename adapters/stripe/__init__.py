"""Stripe's adapter."""

from adapters.registration import Registration
from adapters.stripe.adapter import StripeAdapter
from adapters.stripe.config import StripeConfig
from adapters.stripe.policy import CAPABILITIES, POLICIES, capabilities_of

REGISTRATION = Registration(
    name="stripe",
    capabilities=CAPABILITIES,
    config_type=StripeConfig,
    policies=POLICIES,
    factory=StripeAdapter,
    capabilities_of=capabilities_of,
)

__all__ = ["REGISTRATION"]
