"""docker-compose.yml: what can be known of it without an engine."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from recompense.contracts.sagas import SAGA_TASK_QUEUE, provider_task_queue
from recompense.sandbox.options import Options
from recompense.settings import Settings
from tests.architecture.source import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
JOBS = {"migrate", "prepare-temporal"}
NOT_HTTP = {"worker-sagas", "worker-provider-sandbox", "temporal-ui"}


def environment(service: dict[str, Any]) -> dict[str, str]:
    """All variables that a service gets, from its env files' examples and from its own lines."""
    found: dict[str, str] = {}
    for file in service.get("env_file", []):
        for line in (ROOT / f"{file}.example").read_text().splitlines():
            name, separator, value = line.partition("=")
            if separator and not line.startswith("#"):
                found[name] = value
    return {**found, **service.get("environment", {})}


def test_it_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [*command, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_every_service_that_is_waited_for_exists_and_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{other} is never called healthy"
            else:
                assert other in JOBS, f"{other} never completes"
                assert SERVICES[other]["restart"] == "no", f"{other} is run for ever"


def test_everything_that_runs_on_and_listens_has_a_health_check() -> None:
    unchecked = set(SERVICES) - JOBS - NOT_HTTP
    assert {name for name in unchecked if "healthcheck" not in SERVICES[name]} == set()


def test_a_health_check_asks_the_port_that_the_service_listens_on() -> None:
    for name in ("codec", "sandbox", "api"):
        service = SERVICES[name]
        checked = re.search(r":(\d+)/", service["healthcheck"]["test"][-1])
        published = {mapping.rpartition(":")[2] for mapping in service["ports"]}
        own = service.get("environment", {}).get(f"RECOMPENSE_{name.upper()}_PORT")
        listens = own or service["command"][service["command"].index("--port") + 1]
        assert checked is not None
        assert {checked[1], *published} == {listens}, name


def test_nothing_is_published_to_the_network_by_default() -> None:
    for name, service in SERVICES.items():
        for mapping in service.get("ports", []):
            assert "127.0.0.1" in mapping, f"{name} publishes {mapping}"


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_command_starts_something_that_exists(name: str) -> None:
    program, *arguments = OURS[name]["command"]
    assert program == "python"
    if arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]) is not None
        target = next((word for word in arguments if word.count(":") == 1), None)
        if target is not None:
            module, _, factory = target.partition(":")
            assert hasattr(importlib.import_module(module), factory)
    else:
        assert (ROOT / arguments[0]).is_file()


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    known = {f"RECOMPENSE_{field.upper()}" for field in Settings.model_fields}
    known |= {f"RECOMPENSE_SANDBOX_{field.upper()}" for field in Options.__dataclass_fields__}
    given = {key for key in environment(OURS[name]) if key.startswith("RECOMPENSE_")}
    assert given - known == set()


def test_workers_serve_every_queue_there_is() -> None:
    served = {
        service["environment"]["RECOMPENSE_WORKER_TASK_QUEUES"]
        for name, service in SERVICES.items()
        if name.startswith("worker-")
    }
    providers = environment(SERVICES["api"])["RECOMPENSE_PROVIDERS"].split(",")
    assert served == {SAGA_TASK_QUEUE, *map(provider_task_queue, providers)}


def test_only_the_migration_job_knows_the_role_that_owns_the_tables() -> None:
    owner = "RECOMPENSE_MIGRATION_DATABASE_URL"
    assert {name for name in SERVICES if owner in environment(SERVICES[name])} == {"migrate"}


def test_the_roles_script_is_given_every_password_it_uses() -> None:
    script = (ROOT / "deploy/postgres/10-roles.sh").read_text()
    used = set(re.findall(r"\$(\w+)", script))
    assert used <= set(environment(SERVICES["postgres"]))
    assert os.access(ROOT / "deploy/postgres/10-roles.sh", os.X_OK)


def test_no_example_holds_a_secret() -> None:
    for file in (ROOT / "deploy/env").glob("*.example"):
        for line in file.read_text().splitlines():
            name, _, value = line.partition("=")
            if re.search("PASSWORD|PWD|SECRET|KEYS", name) and not line.startswith("#"):
                assert value == "", f"{file.name}: {name}"


def test_volumes_and_mounted_files_exist() -> None:
    for name, service in SERVICES.items():
        for mapping in service.get("volumes", []):
            source = mapping.partition(":")[0]
            there = (ROOT / source).exists() if source.startswith(".") else False
            assert there or source in COMPOSE["volumes"], f"{name} mounts {source}"


def test_what_is_stopped_has_longer_than_its_drain() -> None:
    drain = Settings.model_fields["graceful_shutdown_seconds"].default
    for name, service in OURS.items():
        assert int(service["stop_grace_period"].removesuffix("s")) > drain, name


def test_the_image_copies_files_that_exist_and_that_the_context_holds() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    sources = re.findall(r"^COPY (?!--)(\S+)", dockerfile, flags=re.MULTILINE)
    assert sources
    for source in sources:
        assert Path(ROOT / source).exists(), source
        assert f"!{source}" in allowed, f"{source} is kept out of the build context"
