"""A bank's SFTP server on loopback: it knows one user, and shows that user one folder."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

USER = "recompense"


@dataclass
class SftpStandIn:
    """A running server. `config` is what the adapter is told."""

    root: Path
    config: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    connections: list[asyncssh.SSHServerConnection]

    def drop(self) -> None:
        """End all connections at once."""

        async def abort() -> None:
            for connection in self.connections:
                connection.abort()
            self.connections.clear()

        asyncio.run_coroutine_threadsafe(abort(), self.loop).result(5)


class _Users(asyncssh.SSHServer):
    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return False


@contextlib.contextmanager
def running_sftp(root: Path) -> Iterator[SftpStandIn]:
    """Serve a folder, in a thread of its own, so that tests may touch the files meanwhile."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    client_key = asyncssh.generate_private_key("ssh-ed25519")
    connections: list[asyncssh.SSHServerConnection] = []

    def show_folder(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(root).encode())

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Users(connections),
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                client_key.export_public_key().decode()
            ),
            sftp_factory=show_folder,
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    config = {
        "host": "127.0.0.1",
        "port": server.get_port(),
        "username": USER,
        "host_key": host_key.export_public_key().decode(),
        "client_key": client_key.export_private_key().decode(),
    }
    stand_in = SftpStandIn(root, config, loop, connections)
    try:
        yield stand_in
    finally:
        stand_in.drop()
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
