"""The files of a stack's data directory, and how they are written: whole or not at all."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, ValidationError

OWNER_ROLE = "recompense_owner"
APPLICATION_ROLE = "recompense_app"
PRIVATE = 0o600


@dataclass(frozen=True)
class StackPaths:
    """Where things are in one data directory."""

    root: Path

    @property
    def stack_file(self) -> Path:
        """Addresses, tokens and pids of the running stack; there while it runs."""
        return self.root / "stack.json"

    @property
    def secrets(self) -> Path:
        """Keys and passwords, made once."""
        return self.root / "secrets.json"

    @property
    def state(self) -> Path:
        """What the supervisor is doing, for `stack up` and `stack status`."""
        return self.root / "state.json"

    def failure(self, pid: int) -> Path:
        """Where a supervisor with this pid, that never began, says why."""
        return self.root / f"failed-{pid}.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.root / "supervisor.lock"

    @property
    def requests(self) -> Path:
        """Requests to the supervisor, one file each, removed when done."""
        return self.root / "requests"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.root / "logs"

    @property
    def postgres(self) -> Path:
        """The PostgreSQL cluster."""
        return self.root / "postgres"

    @property
    def temporal_database(self) -> Path:
        """The Temporal server's SQLite file."""
        return self.root / "temporal" / "temporal.sqlite3"

    @property
    def sandbox_database(self) -> Path:
        """The sandbox provider's SQLite file."""
        return self.root / "sandbox" / "sandbox.sqlite3"

    @property
    def contents(self) -> tuple[Path, ...]:
        """All that a stack keeps here: what a reset removes, and nothing else."""
        folders = (
            self.requests,
            self.logs,
            self.postgres,
            self.temporal_database.parent,
            self.sandbox_database.parent,
        )
        return (self.stack_file, self.secrets, self.state, *folders)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file, readable by its owner only, so that others see the old text or the new."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class DataFile(BaseModel):
    """A JSON file of the data directory."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What the file says; None when there is none.

        Raises:
            DamagedFile: the file is there and cannot be understood.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValidationError as error:
            raise DamagedFile(f"{path} cannot be read as what it should be: {error}") from error

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_atomically(path, self.model_dump_json(indent=2) + "\n")


class DamagedFile(ValueError):
    """A file of the data directory is not what the stack wrote."""


class Secrets(DataFile):
    """Keys and passwords of one embedded stack, made when it first starts."""

    jwt_secret: str
    payload_encryption_keys: tuple[str, ...]
    sandbox_webhook_secret: str
    postgres_password: str
    owner_password: str
    application_password: str

    @classmethod
    def ensure(cls, path: Path) -> Secrets:
        """The secrets in the file; new ones the first time."""
        found = cls.read(path)
        if found is None:
            found = cls.new()
            found.write(path)
        return found

    @classmethod
    def new(cls) -> Secrets:
        """Fresh secrets from the system's random source."""
        return cls(
            jwt_secret=secrets.token_urlsafe(48),
            payload_encryption_keys=(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),),
            sandbox_webhook_secret=secrets.token_urlsafe(32),
            postgres_password=secrets.token_hex(24),
            owner_password=secrets.token_hex(24),
            application_password=secrets.token_hex(24),
        )

    def owner_url(self, database_url: str) -> str:
        """The address of the embedded database with the role that owns the tables."""
        return _with_role(database_url, OWNER_ROLE, self.owner_password)

    def application_url(self, database_url: str) -> str:
        """The address of the embedded database with the application's role."""
        return _with_role(database_url, APPLICATION_ROLE, self.application_password)


def _with_role(database_url: str, role: str, password: str) -> str:
    parts = urlsplit(database_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{place}"))


class TemporalPlace(BaseModel):
    """Where Temporal is."""

    model_config = ConfigDict(frozen=True)

    address: str
    namespace: str
    ui_url: str


class Tokens(BaseModel):
    """Ready access tokens, by the role that would hold them."""

    model_config = ConfigDict(frozen=True)

    backend: str
    finance: str
    ops: str
    admin: str


class Pids(BaseModel):
    """Process ids; null for a part that this stack does not run itself."""

    model_config = ConfigDict(frozen=True)

    postgres: int | None
    temporal: int | None
    sandbox: int | None
    codec: int | None
    api: tuple[int, ...]
    workers: tuple[int, ...]


class StackFile(DataFile):
    """`stack.json`: all that a program needs to work with a running stack."""

    api_url: str
    sandbox_url: str
    codec_url: str
    database_url: str
    temporal: TemporalPlace
    tokens: Tokens
    pids: Pids
    logs: str
