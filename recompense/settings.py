"""Everything that can be configured, in one frozen class.

Each field is read from the variable `RECOMPENSE_<NAME>`. How Temporal is reached
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, ...) is Temporal's own
client configuration and is read by `recompense.temporal.connect`. Only composition roots read
settings.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict, SettingsError

from recompense.contracts.reconciliation import SANDBOX_TERMS, SettlementTerms
from recompense.domain.terms import RoutingTerms
from recompense.finance_settings import CommaSeparated, FinanceSettings
from recompense.stack.files import DamagedFile, Secrets, StackFile, StackPaths

PAYLOAD_KEY_BYTES = 32
LOOPBACK = "127.0.0.1"

Port = Annotated[int, Field(ge=1, le=65_535)]


def _on_loopback(port_field: str) -> Any:  # noqa: ANN401 - what pydantic's Field returns
    """A default address that follows the port of the same part."""
    return lambda values: f"http://{LOOPBACK}:{values[port_field]}"


class InvalidSettings(ValueError):
    """A setting cannot work; the message names it, one line for each."""


class Settings(FinanceSettings):
    """The configuration of one process. Durations carry their unit in their name."""

    model_config = SettingsConfigDict(
        env_prefix="RECOMPENSE_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(
        Path(".recompense"),
        description="Directory of the embedded stack: its state, logs, secrets and stack.json.",
    )

    api_host: str = Field(LOOPBACK, description="Address the API listens on.")
    api_port: Port = Field(8000, description="Port of the API.")
    api_url: str = Field(
        default_factory=_on_loopback("api_port"), description="Where clients reach the API."
    )
    max_body_bytes: int = Field(
        65_536, gt=0, description="Largest request body the API takes; larger is 413."
    )
    api_max_in_flight: int = Field(
        40,
        gt=0,
        description="Requests one API process works on at once; beyond, it answers 503 with"
        " `Retry-After`. Bounds how long an accepted request waits.",
    )
    rate_limit_reads: str = Field(
        "500/second", description="GET requests one caller may make, `<count>/<period>`."
    )
    rate_limit_writes: str = Field(
        "200/second", description="Other requests one caller may make, `<count>/<period>`."
    )
    idempotency_retention_days: int = Field(
        30,
        ge=30,
        description="How long an Idempotency-Key and its answer are kept; 30 days at least.",
    )

    jwt_secret: SecretStr | None = Field(
        None,
        description="HS256 secret of access tokens, for the embedded stack; unset takes no HS256.",
    )
    jwks_url: str | None = Field(
        None, description="Address of the JSON Web Key Set for RS256 and ES256 tokens."
    )
    jwks_file: Path | None = Field(
        None, description="File with the JSON Web Key Set, instead of an address."
    )
    jwt_issuer: str = Field("recompense", description="Required `iss` of access tokens.")
    jwt_audience: str = Field("recompense", description="Required `aud` of access tokens.")

    database_url: SecretStr = Field(
        SecretStr(f"postgresql://{LOOPBACK}:5433/recompense"),
        description="PostgreSQL, as `postgresql://role:password@host:port/database`, with the role "
        "of the application. When set, the embedded stack starts no PostgreSQL.",
    )
    migration_database_url: SecretStr | None = Field(
        None,
        description="The same with the role that owns the tables; `database_url` when unset.",
    )
    postgres_port: Port = Field(5433, description="Port of the embedded PostgreSQL.")
    postgres_settings: dict[str, str] = Field(
        default={},
        description="Further server settings of the embedded PostgreSQL, as a JSON object.",
    )
    database_pool_size_api: int = Field(
        16, gt=0, description="Database connections of the API process."
    )
    database_pool_size_worker: int = Field(
        16, gt=0, description="Database connections of each worker process."
    )
    statement_timeout_seconds: float = Field(
        1.5,
        gt=0,
        description="Longest one SQL statement may take; below the workflow task timeout.",
    )

    workers: int = Field(2, gt=0, description="Worker processes of the embedded stack.")
    worker_task_queues: CommaSeparated = Field(
        default=(),
        description="Task queues one worker process serves, comma separated; empty serves all.",
    )
    workflow_sandbox: bool = Field(
        False,
        description="Run workflow code in the SDK's sandbox: safer to develop, a quarter slower.",
    )
    graceful_shutdown_seconds: float = Field(
        10, ge=0, description="How long a stopping process finishes what is in flight."
    )
    sweep_interval_seconds: float = Field(
        60,
        gt=0,
        description="How often expired authorizations are voided and money becomes available.",
    )
    seal_interval_seconds: float = Field(
        0.2, gt=0, description="How often new ledger entries are sealed."
    )
    watch_interval_seconds: float = Field(
        15, ge=15, description="How old the watch's gauges on /metrics may be; 15 s at least."
    )
    watch_stuck_after_seconds: float = Field(
        900,
        gt=0,
        description="After how long a saga that neither moves nor waits for anybody is stuck.",
    )
    namespace_retention_days: int = Field(
        90, ge=1, description="How long the embedded Temporal keeps the histories of closed sagas."
    )

    temporal_port: Port = Field(7233, description="Port of the embedded Temporal server.")
    temporal_ui_port: Port = Field(8233, description="Port of the embedded Temporal UI.")
    temporal_ui_url: str = Field(
        default_factory=_on_loopback("temporal_ui_port"),
        description="Where people reach the Temporal UI.",
    )
    embedded_temporal_address: str | None = Field(
        None,
        description="Address of the embedded Temporal, from stack.json; TEMPORAL_ADDRESS wins.",
    )
    payload_encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Keys of 32 bytes in base64, comma separated. The first encrypts what goes to "
        "Temporal's history, all of them decrypt.",
    )
    codec_port: Port = Field(
        8002, description="Port of the codec server, which decrypts payloads for the Temporal UI."
    )
    codec_url: str = Field(
        default_factory=_on_loopback("codec_port"),
        description="Where a browser reaches the codec server.",
    )
    codec_host: str = Field(LOOPBACK, description="Address the codec server listens on.")
    codec_allowed_origins: CommaSeparated = Field(
        default_factory=lambda values: _both_names_of_loopback(values["temporal_ui_url"]),
        description="Exact origins of the Temporal UIs that may decrypt payloads, comma separated.",
    )

    default_provider: str = Field("sandbox", description="Provider of payments that name none.")
    providers: CommaSeparated = Field(
        default=("sandbox",), description="Providers that are served, comma separated."
    )
    provider_configs: dict[str, dict[str, Any]] = Field(
        default={},
        repr=False,
        description="Configuration of each provider by its name, as a JSON object.",
    )
    shadows: dict[str, str] = Field(
        default={},
        description="Candidate adapters that read what a live one is answered, and make no call:"
        ' a JSON object, `{"<provider>": "<candidate>"}`.',
    )
    routing: RoutingTerms = Field(
        RoutingTerms(),
        description="Which providers make what merchants without routing terms of their own ask"
        ' for, as a JSON object: `{"prefer": [...], "weights": {...}}`.',
    )
    policy_overrides: dict[str, dict[str, Any]] = Field(
        default={},
        description="Values of providers' policies to replace, by provider, as a JSON object.",
    )
    sandbox_port: Port = Field(8001, description="Port of the sandbox provider.")
    sandbox_url: str = Field(
        default_factory=_on_loopback("sandbox_port"),
        description="Where the sandbox provider is reached.",
    )
    sandbox_webhook_secret: SecretStr | None = Field(
        None,
        description="Secret that signs the sandbox's webhooks; two, comma separated, to rotate.",
    )
    webhook_allow_private_targets: bool = Field(
        False, description="Deliver webhooks to private and loopback addresses and over plain HTTP."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="Log lines for machines, or for people."
    )

    @field_validator(
        "worker_task_queues",
        "codec_allowed_origins",
        "providers",
        "payout_run_schedules",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return _comma_separated(value)

    @field_validator("payload_encryption_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return _comma_separated(value)

    @field_validator("payload_encryption_keys")
    @classmethod
    def _check_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in keys:
            _decoded_key(key)
        return keys

    @field_validator("routing", "shadows")
    @classmethod
    def _speaks_of_served_ones(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        named = {*value} if isinstance(value, dict) else {*value.prefer, *value.weights}
        strangers = named - {*info.data.get("providers", named)}
        if strangers:
            raise ValueError(f"RECOMPENSE_PROVIDERS serves no {min(strangers)}")
        return value

    @property
    def payload_keys(self) -> tuple[bytes, ...]:
        """The encryption keys as bytes, the encrypting one first."""
        return tuple(_decoded_key(key) for key in self.payload_encryption_keys)

    @property
    def owner_database_url(self) -> str:
        """The address for migrations: the role that owns the tables."""
        return (self.migration_database_url or self.database_url).get_secret_value()

    @property
    def terms_of_settlement(self) -> Mapping[str, SettlementTerms]:
        """The terms of settlement that are in force, by provider."""
        return {"sandbox": SANDBOX_TERMS, **self.settlement_terms}

    def provider_config(self, name: str) -> Mapping[str, Any]:
        """The configuration data of one provider, for its adapter to validate."""
        configured = self.provider_configs.get(name, {})
        if name != "sandbox":
            return configured
        secret = self.sandbox_webhook_secret
        return {
            "base_url": self.sandbox_url,
            # Without one the adapter refuses its configuration: a default would let anybody sign.
            "webhook_secrets": []
            if secret is None
            else _comma_separated(secret.get_secret_value()),
            **configured,
        }


def load_settings(data_dir: Path | None = None, **named: Any) -> Settings:  # noqa: ANN401 - fields
    """The settings of this process.

    What is set by name or in the environment wins; what is not comes from the stack in the data
    directory, if there is one; the rest has its default.

    Raises:
        InvalidSettings: a value cannot work, or a file of the stack is damaged.
    """
    if data_dir is not None:
        named["data_dir"] = data_dir
    try:
        explicit = Settings(**named)
        found = _from_stack(StackPaths(explicit.data_dir), explicit.model_fields_set)
        set_already = explicit.model_fields_set
        missing = {name: value for name, value in found.items() if name not in set_already}
        return Settings(**named, **missing)
    except ValidationError as error:
        raise InvalidSettings("\n".join(_complaints(error))) from None
    except (SettingsError, DamagedFile) as error:
        raise InvalidSettings(str(error)) from error


def _complaints(error: ValidationError) -> Iterator[str]:
    """One line for each setting that cannot work; never its value, which may be a secret."""
    for problem in error.errors(include_input=False, include_url=False):
        if problem["type"] != "default_factory_not_called":
            name = str(problem["loc"][0]) if problem["loc"] else ""
            yield f"RECOMPENSE_{name.upper()}: {problem['msg']}"


def _from_stack(paths: StackPaths, explicit: set[str]) -> dict[str, Any]:
    secrets, stack = Secrets.read(paths.secrets), StackFile.read(paths.stack_file)
    values: dict[str, Any] = {}
    if secrets is not None:
        values |= secrets.model_dump(
            include={"jwt_secret", "payload_encryption_keys", "sandbox_webhook_secret"}
        )
    if stack is not None:
        values |= _addresses(stack, explicit)
        if (
            secrets is not None
            and stack.pids.postgres is not None
            and "database_url" not in explicit
        ):
            values["migration_database_url"] = secrets.owner_url(stack.database_url)
    return values


def _addresses(stack: StackFile, explicit: set[str]) -> dict[str, Any]:
    """The stack's addresses; an explicit port outweighs the recorded address of the same part."""
    values: dict[str, Any] = {
        "database_url": stack.database_url,
        "temporal_ui_url": stack.temporal.ui_url,
    }
    for part in ("api", "sandbox", "codec"):
        url = getattr(stack, f"{part}_url")
        if f"{part}_port" not in explicit:
            values |= {f"{part}_url": url, f"{part}_port": urlsplit(url).port}
    if stack.pids.temporal is not None and "TEMPORAL_ADDRESS" not in os.environ:
        values["embedded_temporal_address"] = stack.temporal.address
    return values


def _both_names_of_loopback(url: str) -> tuple[str, ...]:
    """A browser calls this machine by number or by name; origins are compared letter by letter."""
    return (url, url.replace(LOOPBACK, "localhost")) if LOOPBACK in url else (url,)


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _decoded_key(key: SecretStr) -> bytes:
    try:
        decoded = base64.b64decode(
            key.get_secret_value(), altchars=b"-_" if _is_url_safe(key) else None, validate=True
        )
    except binascii.Error:
        decoded = b""
    if len(decoded) != PAYLOAD_KEY_BYTES:
        raise ValueError(f"a payload encryption key is {PAYLOAD_KEY_BYTES} bytes in base64")
    return decoded


def _is_url_safe(key: SecretStr) -> bool:
    return any(character in "-_" for character in key.get_secret_value())
