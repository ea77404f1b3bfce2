"""Policies are data: settings may change a value, and what cannot work is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from adapters.registry import (
    REGISTRATIONS,
    Providers,
    UnknownProvider,
    build,
    policies_in_force,
    registration,
)
from adapters.sandbox.config import SandboxConfig
from adapters.transport import ObservedTransport
from recompense.contracts.provider import ProviderOperation

SAGA_HORIZON_SECONDS = 60


@pytest.mark.parametrize("name", sorted(REGISTRATIONS))
def test_policies_without_overrides_are_the_registered_ones(name: str) -> None:
    assert policies_in_force(name) == registration(name).policies


@pytest.mark.parametrize("name", sorted(REGISTRATIONS))
def test_every_offered_operation_has_a_policy(name: str) -> None:
    found = registration(name)
    assert set(found.policies.calls) >= set(found.capabilities.operations)


def test_sandbox_policies_end_a_story_within_a_minute() -> None:
    policies = registration("sandbox").policies
    lookup = policies.calls[ProviderOperation.LOOKUP]
    for operation, pending in policies.pending.items():
        call = policies.calls[operation]
        unknown = call.schedule_to_close_seconds + lookup.schedule_to_close_seconds
        assert unknown + policies.absent_is_final_after_seconds < SAGA_HORIZON_SECONDS
        assert pending.deadline_seconds < SAGA_HORIZON_SECONDS


def test_override_changes_one_value_of_one_call() -> None:
    policies = policies_in_force(
        "sandbox", {"calls": {"capture": {"maximum_attempts": 9}}, "send_right_seconds": 4}
    )
    assert policies.calls[ProviderOperation.CAPTURE].maximum_attempts == 9
    assert policies.calls[ProviderOperation.VOID].maximum_attempts != 9
    assert policies.send_right_seconds == 4


def test_override_of_every_call_gives_way_to_a_calls_own() -> None:
    calls = {"*": {"maximum_attempts": 2}, "void": {"maximum_attempts": 3}}
    policies = policies_in_force("sandbox", {"calls": calls})
    assert policies.calls[ProviderOperation.CAPTURE].maximum_attempts == 2
    assert policies.calls[ProviderOperation.VOID].maximum_attempts == 3


@pytest.mark.parametrize(
    "overrides",
    [
        {"calls": {"capture": {"read_timeout_seconds": 6}}},
        {"calls": {"capture": {"start_to_close_seconds": 500}}},
        {"calls": {"capture": {"initial_interval_seconds": 5}}},
        {"calls": {"capture": {"maximum_attempts": 0}}},
        {"calls": {"capture": {"retries": 3}}},
        {"calls": {"captures": {"maximum_attempts": 3}}},
        {"calls": {"*": {"backoff": 0.5}}},
        {"send_right_seconds": 0},
        {"no_such_policy": 1},
    ],
)
def test_override_that_cannot_work_is_refused(overrides: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policies_in_force("sandbox", overrides)


def test_unknown_provider_is_named() -> None:
    with pytest.raises(UnknownProvider, match="nobody"):
        registration("nobody")


SANDBOX_CONFIG = {"base_url": "http://127.0.0.1:1", "webhook_secrets": ["a secret"]}


async def test_configured_providers_are_built_with_their_own_overrides() -> None:
    transport = ObservedTransport(lambda _record: None)
    overrides = {"send_right_seconds": 9}
    providers = Providers(
        [build("sandbox", SANDBOX_CONFIG, transport=transport, overrides=overrides)]
    )
    assert list(providers.names) == ["sandbox"]
    assert providers.policies("sandbox").send_right_seconds == 9
    assert providers.capabilities("sandbox") == registration("sandbox").capabilities
    with pytest.raises(UnknownProvider, match="stripe"):
        providers.port("stripe")
    await transport.aclose()


@pytest.mark.parametrize(
    "change", [{"base_url": "not a url"}, {"webhook_secrets": []}, {"webhook_secret": "x"}]
)
async def test_config_that_is_incomplete_or_misspelt_is_refused(change: dict[str, Any]) -> None:
    transport = ObservedTransport(lambda _record: None)
    with pytest.raises(ValidationError):
        build("sandbox", {**SANDBOX_CONFIG, **change}, transport=transport)
    await transport.aclose()


def test_secrets_are_not_shown() -> None:
    config = SandboxConfig.model_validate({**SANDBOX_CONFIG, "api_key": "sk_very_secret"})
    assert "very_secret" not in repr(config)
    assert "a secret" not in repr(config)
