"""The whole platform for a test, without its API: real Temporal, real PostgreSQL, real sandbox,
workers in this process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import text
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.breakers import Breakers
from activities.calls import note_call
from activities.toolbox import PayoutRunTools, Settlement, Toolbox
from adapters import registry
from adapters.transport import ObservedTransport
from recompense.contracts import words
from recompense.contracts.reconciliation import SANDBOX_TERMS
from recompense.contracts.sagas import DECISION_UPDATE_ID, AuthorizeInput
from recompense.contracts.starting import saga_start
from recompense.domain.calendar import EVERY_DAY, BusinessCalendar
from recompense.domain.ids import IdPrefix, new_id
from recompense.domain.payout_dates import Clock
from recompense.persistence.database import Database
from recompense.persistence.tables import Merchant
from recompense.workers import make_workers
from tests.support.sandbox import Sandbox

MERCHANT = "mer_demo"


@dataclass(frozen=True)
class ProviderSetup:
    """How one provider is reached, and which of its policies are replaced. `adapter` is the
    registered one, where the provider goes by another name.
    """

    config: Mapping[str, Any]
    policies: Mapping[str, Any]
    adapter: str | None = None


@dataclass(frozen=True)
class Platform:
    """A running platform and its parts."""

    client: Client
    database: Database
    sandbox: Sandbox
    tools: Toolbox

    async def decide(self, workflow: Any, saga: words.AnySagaInput) -> Any:
        """Start a saga as the API does, and wait for its decision."""
        start = saga_start(saga)
        operation = WithStartWorkflowOperation(
            workflow.run,
            saga,
            id=start.workflow_id,
            task_queue=start.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            task_timeout=start.task_timeout,
            search_attributes=start.search_attributes,
            static_summary=start.static_summary,
            static_details=start.static_details,
        )
        return await self.client.execute_update_with_start_workflow(
            workflow.decision, start_workflow_operation=operation, id=DECISION_UPDATE_ID
        )

    def handle(self, saga: words.AnySagaInput) -> WorkflowHandle[Any, Any]:
        """The saga's workflow."""
        return self.client.get_workflow_handle(saga.ref().saga_id)

    async def rows_changed(self, statement: str) -> None:
        """Change the database by hand, as time or an operator would."""
        async with self.database.engine.begin() as connection:
            await connection.execute(text(statement))

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """Read from the database."""
        async with self.database.engine.connect() as connection:
            found = await connection.execute(text(statement), values)
            return list(found.mappings())


def reached(sandbox: Sandbox) -> dict[str, Any]:
    """How a sandbox is configured as a provider."""
    return {"base_url": sandbox.base_url, "webhook_secrets": [sandbox.webhook_secret]}


def authorize_input(**changes: Any) -> AuthorizeInput:
    """An authorization of 100.00 EUR that works."""
    values: dict[str, Any] = {
        "payment_id": new_id(IdPrefix.PAYMENT),
        "merchant_id": MERCHANT,
        "amount": 10_000,
        "currency": "EUR",
        "token": "tok_ok",
        "requested_by": "backend",
        **changes,
    }
    return AuthorizeInput.model_validate(values)


@asynccontextmanager
async def running_platform(
    temporal_address: str,
    database_url: str,
    sandbox: Sandbox,
    *,
    policy_overrides: dict[str, Any] | None = None,
    beside: Mapping[str, ProviderSetup] = MappingProxyType({}),
    default_provider: str = "sandbox",
    max_cached_workflows: int = 1000,
    approves_runs: bool = True,
) -> AsyncIterator[Platform]:
    """Run the platform's workers against real parts, with one merchant whose money is available on
    capture.

    `beside` the sandbox other providers may be served, one of them as the default.
    """
    database = Database(database_url)
    transport = ObservedTransport(note_call)
    setups = {"sandbox": ProviderSetup(reached(sandbox), policy_overrides or {}), **beside}
    providers = [
        replace(
            registry.build(
                setup.adapter or name, setup.config, transport=transport, overrides=setup.policies
            ),
            name=name,
        )
        for name, setup in setups.items()
    ]
    tools = Toolbox(
        database,
        registry.Providers(providers),
        Breakers(database),
        default_provider=default_provider,
        payout_runs=PayoutRunTools(
            database, Clock(BusinessCalendar(EVERY_DAY), "UTC"), approval=approves_runs
        ),
        settlement=Settlement.of(database, {"sandbox": SANDBOX_TERMS}),
    )
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    async with database.transaction() as session:
        session.add(
            Merchant(
                id=MERCHANT,
                name="Demo",
                country="DE",
                availability_rule="on_capture",
                created_by="test",
            )
        )
    async with AsyncExitStack() as stack:
        for worker in make_workers(
            client,
            tools,
            sandboxed=True,
            graceful_shutdown_seconds=2,
            max_cached_workflows=max_cached_workflows,
        ):
            await stack.enter_async_context(worker)
        yield Platform(client, database, sandbox, tools)
    await transport.aclose()
    await database.close()
