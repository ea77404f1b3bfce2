"""How to reach one sandbox."""

from __future__ import annotations

from pydantic import AnyHttpUrl, Field, SecretStr

from recompense.contracts.provider import ProviderConfig


class SandboxConfig(ProviderConfig):
    """Address and secrets. Two webhook secrets are live at once while one is rotated."""

    base_url: AnyHttpUrl
    api_key: SecretStr | None = None
    webhook_secrets: tuple[SecretStr, ...] = Field(min_length=1)
    webhook_tolerance_seconds: float = Field(default=300, gt=0)
