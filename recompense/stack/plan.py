"""Everything a supervisor has to know before it starts the first process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recompense.settings import LOOPBACK, Settings, load_settings
from recompense.stack import postgres
from recompense.stack.files import Secrets, StackPaths
from recompense.stack.options import StackOptions
from recompense.stack.ports import PARTS, ports_from_base, refuse_taken_ports
from recompense.stack.temporal_server import NAMESPACE
from recompense.temporal import client_config


@dataclass(frozen=True)
class Plan:
    """Everything a supervisor needs to know before it starts the first process."""

    paths: StackPaths
    settings: Settings
    secrets: Secrets
    temporal_address: str
    namespace: str
    own_postgres: bool
    own_temporal: bool
    without: tuple[str, ...]

    @property
    def database_url(self) -> str:
        """The address for the platform."""
        if self.own_postgres:
            return postgres.application_url(self.settings.postgres_port, self.secrets)
        return self.settings.database_url.get_secret_value()

    @property
    def owner_database_url(self) -> str:
        """The address for migrations."""
        if self.own_postgres:
            return self.secrets.owner_url(self.database_url)
        return self.settings.owner_database_url

    @property
    def sandbox_webhook_secret(self) -> str:
        """What the sandbox signs with, and the platform verifies with."""
        secret = self.settings.sandbox_webhook_secret
        return self.secrets.sandbox_webhook_secret if secret is None else secret.get_secret_value()

    def environment(self) -> dict[str, str]:
        """What our own parts are told: the caller's environment, and where the others are."""
        settings = self.settings
        return {
            **os.environ,
            "RECOMPENSE_DATA_DIR": str(self.paths.root),
            "RECOMPENSE_API_HOST": settings.api_host,
            "RECOMPENSE_API_PORT": str(settings.api_port),
            "RECOMPENSE_API_URL": settings.api_url,
            "RECOMPENSE_SANDBOX_PORT": str(settings.sandbox_port),
            "RECOMPENSE_SANDBOX_URL": settings.sandbox_url,
            "RECOMPENSE_CODEC_PORT": str(settings.codec_port),
            "RECOMPENSE_CODEC_URL": settings.codec_url,
            "RECOMPENSE_TEMPORAL_UI_URL": settings.temporal_ui_url,
            "RECOMPENSE_DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            "TEMPORAL_NAMESPACE": self.namespace,
            "PYTHONUNBUFFERED": "1",
        }

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self.paths.logs / f"{name}.log"


def make_plan(options: StackOptions) -> Plan:
    """Read the settings, make the secrets the first time, and see what has to be started.

    Call it when no stack runs in the data directory, and without a `stack.json` there.

    Raises:
        WrongUse: a port is taken, or `--port-base` leaves no room.
        pydantic.ValidationError: a setting cannot work.
    """
    paths = StackPaths(options.data_dir.resolve())
    secrets = Secrets.ensure(paths.secrets)
    named: dict[str, Any] = {}
    if options.port_base is not None:
        named |= ports_from_base(options.port_base)
    if options.workers is not None:
        named["workers"] = options.workers
    settings = load_settings(paths.root, **named)
    own_temporal = not os.environ.get("TEMPORAL_ADDRESS")
    place = client_config(settings)
    plan = Plan(
        paths=paths,
        settings=settings,
        secrets=secrets,
        temporal_address=f"{LOOPBACK}:{settings.temporal_port}"
        if own_temporal
        else place["target_host"],
        namespace=NAMESPACE if own_temporal else place["namespace"],
        own_postgres="database_url" not in settings.model_fields_set,
        own_temporal=own_temporal,
        without=options.without,
    )
    refuse_taken_ports(settings, _wanted_ports(plan))
    return plan


def _wanted_ports(plan: Plan) -> list[str]:
    foreign = {f"{group}_port" for group in plan.without}
    if not plan.own_postgres:
        foreign.add("postgres_port")
    if not plan.own_temporal:
        foreign |= {"temporal_port", "temporal_ui_port"}
    return [name for name in PARTS if name not in foreign]
