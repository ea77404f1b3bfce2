"""The sandbox provider's adapter."""

from adapters.registration import Registration
from adapters.sandbox.adapter import SandboxAdapter
from adapters.sandbox.config import SandboxConfig
from adapters.sandbox.policy import CAPABILITIES, POLICIES

REGISTRATION = Registration(
    name="sandbox",
    capabilities=CAPABILITIES,
    config_type=SandboxConfig,
    policies=POLICIES,
    factory=SandboxAdapter,
)

__all__ = ["REGISTRATION"]
