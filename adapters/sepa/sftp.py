"""A mailbox on a bank's SFTP server. The server's host key is pinned; nothing else is trusted."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from adapters.sepa.config import SftpServer
from adapters.sepa.mailbox import DIRECTORIES, Entry, Files
from recompense.contracts.policies import CallPolicy
from recompense.domain.failures import OutcomeUnknown, ProviderAccessDenied, ProviderUnavailable

_DENIED = (asyncssh.PermissionDenied, asyncssh.HostKeyNotVerifiable)
_BROKEN = (OSError, asyncssh.Error, TimeoutError)


class SftpMailbox:
    """Implements `Mailbox`: one connection for each piece of work."""

    def __init__(self, server: SftpServer, policy: CallPolicy) -> None:
        self._server = server
        self._policy = policy

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Files]:
        """Connect and log in."""
        async with self._connected() as connection:
            try:
                async with (
                    asyncio.timeout(self._policy.read_timeout_seconds),
                    connection.start_sftp_client() as client,
                ):
                    root = self._server.directory
                    for directory in DIRECTORIES:
                        await client.makedirs(f"{root}/{directory}", exist_ok=True)
                    yield _SftpFiles(client, root)
            except _BROKEN as error:
                raise OutcomeUnknown(f"the SFTP server failed: {type(error).__name__}") from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        server, limit = self._server, self._policy.connect_timeout_seconds
        key = None if server.client_key is None else server.client_key.get_secret_value()
        try:
            connection = await asyncssh.connect(
                server.host,
                server.port,
                username=server.username,
                password=None if server.password is None else server.password.get_secret_value(),
                client_keys=None if key is None else [asyncssh.import_private_key(key)],
                known_hosts=([asyncssh.import_public_key(server.host_key)], [], []),
                agent_path=None,
                config=None,
                connect_timeout=limit,
                login_timeout=limit,
            )
        except _DENIED as error:
            raise ProviderAccessDenied("the SFTP server and we do not know each other") from error
        except _BROKEN as error:
            raise ProviderUnavailable("the SFTP server does not answer") from error
        async with connection:
            yield connection


class _SftpFiles:
    """Implements `Files`."""

    def __init__(self, client: asyncssh.SFTPClient, root: str) -> None:
        self._client = client
        self._root = root

    async def entries(self, directory: str) -> list[Entry]:
        found = await self._client.readdir(self._at(directory))
        return [
            Entry(str(entry.filename), float(entry.attrs.mtime or 0))
            for entry in found
            if stat.S_ISREG(entry.attrs.permissions or 0)
        ]

    async def read(self, path: str, most_bytes: int) -> bytes | None:
        try:
            async with self._client.open(self._at(path), "rb") as file:
                content = await file.read(most_bytes + 1)
        except asyncssh.SFTPNoSuchFile:
            return None
        return content if isinstance(content, bytes) else content.encode()

    async def write(self, path: str, content: bytes) -> None:
        async with self._client.open(self._at(path), "wb") as file:
            await file.write(content)

    async def claim(self, source: str, target: str) -> bool:
        try:
            # The plain rename of SFTP 3 refuses a name that is taken; the one of POSIX would not.
            await self._client.rename(self._at(source), self._at(target))
        except asyncssh.SFTPError:
            if await self._client.exists(self._at(target)):
                return False
            raise
        return True

    async def move(self, source: str, target: str) -> bool:
        try:
            await self._client.rename(self._at(source), self._at(target))
        except asyncssh.SFTPError:
            if await self._client.exists(self._at(source)):
                raise
            return False
        return True

    async def remove(self, path: str) -> None:
        try:
            await self._client.remove(self._at(path))
        except asyncssh.SFTPNoSuchFile:
            return

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"
