"""Settings: what wins over what, and what a wrong value says."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from recompense.settings import InvalidSettings, Settings, load_settings
from recompense.stack.files import Pids, Secrets, StackFile, StackPaths, TemporalPlace, Tokens
from recompense.temporal import client_config

KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests gets in."""
    for name in list(os.environ):
        if name.startswith(("RECOMPENSE_", "TEMPORAL_")):
            monkeypatch.delenv(name)


@pytest.fixture
def stack(tmp_path: Path) -> StackFile:
    """The files that a running stack leaves in its data directory."""
    paths = StackPaths(tmp_path)
    secrets = Secrets.ensure(paths.secrets)
    stack = StackFile(
        api_url="http://127.0.0.1:18000",
        sandbox_url="http://127.0.0.1:18001",
        codec_url="http://127.0.0.1:18002",
        database_url=secrets.application_url("postgresql://127.0.0.1:18003/recompense"),
        temporal=TemporalPlace(
            address="127.0.0.1:18004", namespace="default", ui_url="http://127.0.0.1:18005"
        ),
        tokens=Tokens(backend="b", finance="f", ops="o", admin="a"),
        pids=Pids(postgres=1, temporal=2, sandbox=3, codec=4, api=(5,), workers=(6, 7)),
        logs=str(paths.logs),
    )
    stack.write(paths.stack_file)
    return stack


def test_nothing_set_gives_the_ports_of_the_contract() -> None:
    settings = Settings()
    ports = (settings.api_port, settings.sandbox_port, settings.codec_port)
    assert ports == (8000, 8001, 8002)
    assert (settings.postgres_port, settings.temporal_port, settings.temporal_ui_port) == (
        5433,
        7233,
        8233,
    )


def test_every_setting_is_described() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undescribed == []


def test_a_moved_port_moves_the_address_of_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPENSE_TEMPORAL_UI_PORT", "9999")
    settings = Settings()
    assert settings.temporal_ui_url == "http://127.0.0.1:9999"
    assert "http://localhost:9999" in settings.codec_allowed_origins


def test_a_running_stack_fills_what_is_not_set(stack: StackFile, tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert settings.api_url == stack.api_url
    assert settings.database_url.get_secret_value() == stack.database_url
    assert settings.owner_database_url.startswith("postgresql://recompense_owner:")
    assert settings.owner_database_url.endswith("@127.0.0.1:18003/recompense")
    assert client_config(settings) == {"target_host": "127.0.0.1:18004", "namespace": "default"}
    assert len(settings.payload_keys) == 1
    assert settings.jwt_secret is not None


def test_the_data_directory_of_the_environment_is_taken(
    stack: StackFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMPENSE_DATA_DIR", str(tmp_path))
    assert load_settings().sandbox_url == stack.sandbox_url


@pytest.mark.usefixtures("stack")
def test_an_explicit_setting_wins_over_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", "postgresql://elsewhere/db")
    monkeypatch.setenv("RECOMPENSE_API_PORT", "9000")
    monkeypatch.setenv("RECOMPENSE_PAYLOAD_ENCRYPTION_KEYS", KEY)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    settings = load_settings(tmp_path)
    assert settings.owner_database_url == "postgresql://elsewhere/db"
    assert settings.api_url == "http://127.0.0.1:9000"
    assert settings.payload_keys == (bytes(32),)
    assert client_config(settings)["target_host"] == "temporal.example:7233"


def test_settings_alone_never_read_the_files_of_a_stack(stack: StackFile, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.api_url != stack.api_url
    assert settings.jwt_secret is None


def test_no_stack_and_no_temporal_configuration_means_this_machine(tmp_path: Path) -> None:
    config = client_config(load_settings(tmp_path))
    assert config["target_host"] == "127.0.0.1:7233"


@pytest.mark.parametrize("value", ["short", KEY[:-4], "*" * 44])
def test_a_key_of_the_wrong_size_is_refused_without_showing_it(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMPENSE_PAYLOAD_ENCRYPTION_KEYS", value)
    with pytest.raises(InvalidSettings, match="RECOMPENSE_PAYLOAD_ENCRYPTION_KEYS") as caught:
        load_settings(tmp_path)
    assert value not in str(caught.value)


def test_a_wrong_port_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPENSE_API_PORT", "eighty")
    with pytest.raises(InvalidSettings) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith("RECOMPENSE_API_PORT: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROUTING", '{"prefer": ["sandbox", "nobody"]}'),
        ("ROUTING", '{"weights": {"nobody": 1}}'),
        ("SHADOWS", '{"nobody": "sandbox"}'),
    ],
)
def test_a_provider_that_is_not_served_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RECOMPENSE_{name}", value)
    with pytest.raises(InvalidSettings, match=f"RECOMPENSE_{name}.*nobody"):
        load_settings(tmp_path)


def test_a_damaged_stack_file_is_named(tmp_path: Path) -> None:
    StackPaths(tmp_path).stack_file.write_text("{")
    with pytest.raises(InvalidSettings, match=r"stack\.json"):
        load_settings(tmp_path)


def test_the_sandbox_without_a_secret_has_none_rather_than_a_known_one() -> None:
    assert list(Settings().provider_config("sandbox")["webhook_secrets"]) == []


def test_two_sandbox_secrets_are_both_live_while_one_is_rotated() -> None:
    settings = Settings(sandbox_webhook_secret=SecretStr("new, old"))
    assert list(settings.provider_config("sandbox")["webhook_secrets"]) == ["new", "old"]


def test_secrets_show_in_no_representation(stack: StackFile, tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    secrets = Secrets.read(StackPaths(tmp_path).secrets)
    assert secrets is not None
    for secret in (secrets.jwt_secret, secrets.application_password, secrets.owner_password):
        assert secret not in repr(settings)
    assert stack.database_url not in repr(settings)
