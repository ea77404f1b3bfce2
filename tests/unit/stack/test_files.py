"""The data directory's files: made once, private, whole or not at all."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from recompense.stack.files import DamagedFile, Secrets, StackPaths, write_atomically


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    path = StackPaths(tmp_path).secrets
    assert Secrets.ensure(path) == Secrets.ensure(path)


def test_two_stacks_share_no_secret(tmp_path: Path) -> None:
    first, second = Secrets.ensure(tmp_path / "a"), Secrets.ensure(tmp_path / "b")
    assert not set(first.model_dump().values()) & set(second.model_dump().values())


def test_only_the_owner_can_read_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text("old, and readable by all")
    path.chmod(0o644)
    write_atomically(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.json"]


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert Secrets.read(tmp_path / "none") is None


def test_a_damaged_file_is_an_error_that_shows_no_value(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"jwt_secret": ["hush"]}))
    with pytest.raises(DamagedFile) as caught:
        Secrets.read(path)
    assert "hush" not in str(caught.value)


def test_a_role_replaces_whoever_is_in_the_address() -> None:
    secrets = Secrets.new()
    url = secrets.owner_url("postgresql://someone:word@127.0.0.1:5433/recompense")
    assert url == (
        f"postgresql://recompense_owner:{secrets.owner_password}@127.0.0.1:5433/recompense"
    )
