"""The SEPA bank rail's adapter."""

from adapters.registration import Registration
from adapters.sepa.adapter import SepaAdapter
from adapters.sepa.config import SepaConfig
from adapters.sepa.policy import CAPABILITIES, POLICIES

REGISTRATION = Registration(
    name="sepa",
    capabilities=CAPABILITIES,
    config_type=SepaConfig,
    policies=POLICIES,
    factory=SepaAdapter,
)

__all__ = ["REGISTRATION"]
