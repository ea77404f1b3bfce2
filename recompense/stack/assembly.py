"""The parts of one plan, in the order in which they can start, and the checks between them."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from temporalio.client import Client
from temporalio.service import RPCError

from recompense.stack import parts, postgres, temporal_server
from recompense.stack.errors import PartFailed
from recompense.stack.parts import Part
from recompense.stack.plan import Plan
from recompense.stack.temporal_binary import ensure_temporal
from recompense.temporal import client_config

log = logging.getLogger("recompense.stack")


class Assembly:
    """Makes the parts of a plan, and prepares what they stand on."""

    def __init__(self, plan: Plan, temporal_binary: Path | None, client: Client) -> None:
        self._plan = plan
        self._temporal_binary = temporal_binary
        self._client = client

    @classmethod
    async def make(cls, plan: Plan) -> Assembly:
        """Make the folders, and see that the Temporal CLI is there if it is needed."""
        for folder in (
            plan.paths.requests,
            plan.paths.logs,
            plan.paths.temporal_database.parent,
            plan.paths.sandbox_database.parent,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        binary = await asyncio.to_thread(ensure_temporal, log.info) if plan.own_temporal else None
        if plan.own_temporal:
            address, namespace = plan.temporal_address, plan.namespace
            client = await Client.connect(address, namespace=namespace, lazy=True)
        else:
            client = await Client.connect(**client_config(plan.settings), lazy=True)
        return cls(plan, binary, client)

    def independent_parts(self) -> list[Part]:
        """What can start at once, beside PostgreSQL."""
        found = [parts.sandbox_part(self._plan), parts.codec_part(self._plan)]
        if self._temporal_binary is not None:
            found.insert(0, parts.temporal_part(self._plan, self._temporal_binary, self._client))
        return self._wanted(found)

    def dependent_parts(self) -> list[Part]:
        """What needs a migrated database and a Temporal server."""
        workers = range(1, self._plan.settings.workers + 1)
        return self._wanted(
            [
                parts.api_part(self._plan),
                *(parts.worker_part(self._plan, number, self._client) for number in workers),
            ]
        )

    async def postgres_part(self) -> Part | None:
        """PostgreSQL with a cluster that is there; None when a server was named in the settings."""
        if not self._plan.own_postgres:
            return None
        password = self._plan.secrets.postgres_password
        await asyncio.to_thread(postgres.ensure_cluster, self._plan.paths.postgres, password)
        return parts.postgres_part(self._plan)

    async def prepare_database(self) -> None:
        """Make roles and database where the server is ours, and bring the schema up to date.

        Raises:
            PartFailed: the server does not answer, or a migration failed.
        """
        if self._plan.own_postgres:
            port, secrets = self._plan.settings.postgres_port, self._plan.secrets
            await asyncio.to_thread(postgres.ensure_roles_and_database, port, secrets)
        else:
            await _check_database(self._plan.owner_database_url)
        await self._migrate()

    async def _migrate(self) -> None:
        migration_log = self._plan.log("migrate")
        environment = self._plan.environment()
        environment["RECOMPENSE_MIGRATION_DATABASE_URL"] = self._plan.owner_database_url
        with migration_log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *parts.migration_command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment,
            )
        status = await process.wait()
        if status != os.EX_OK:
            raise PartFailed("migrations", f"ended with status {status}", migration_log)

    async def check_temporal(self) -> None:
        """See that a server that is not ours answers, and register the search attributes there.

        Raises:
            PartFailed: it does not.
        """
        if self._plan.own_temporal:
            return
        try:
            await temporal_server.add_search_attributes(self._client)
        except (RPCError, RuntimeError) as error:
            address = self._plan.temporal_address
            raise PartFailed("Temporal", f"does not answer at {address}: {error}") from error

    def _wanted(self, found: list[Part]) -> list[Part]:
        return [part for part in found if part.group not in self._plan.without]


async def _check_database(url: str) -> None:
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=5):
            return
    except psycopg.OperationalError as error:
        place = urlsplit(url)
        address = f"{place.hostname}:{place.port or 5432}"
        raise PartFailed("PostgreSQL", f"does not answer at {address}: {error}") from error
