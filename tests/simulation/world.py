"""One simulated platform: store, provider, clock, server and workers, and those who use it."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from activities.breakers import Breakers
from activities.plans import saga_of as ref_of
from activities.registry import in_house_activities, provider_activities
from activities.toolbox import PayoutRunTools, Toolbox
from adapters.sandbox.policy import CAPABILITIES, POLICIES
from recompense.contracts.payout_runs import PayoutRunInput
from recompense.contracts.policies import PendingPolicy, ProviderPolicies
from recompense.contracts.provider import (
    Capabilities,
    ProviderEvent,
    ProviderOperation,
    ProviderPort,
)
from recompense.contracts.sagas import (
    DECISION_UPDATE_ID,
    ProviderEventInput,
    Resolution,
    ResolveDecision,
)
from recompense.contracts.starting import (
    APPLY_PROVIDER_EVENT,
    FORGET_ORPHANS,
    WORKFLOW_TYPES,
    event_workflow_id,
)
from recompense.contracts.steps import ForgetOrphans, Park
from recompense.contracts.words import AnySagaInput
from recompense.domain.calendar import EVERY_DAY, BusinessCalendar
from recompense.domain.payout_dates import Clock as Dates
from recompense.domain.states import SagaState
from recompense.persistence.database import Database
from recompense.persistence.saga_tables import JournalRow, Operation, Orphan, ProviderEventRow
from recompense.persistence.tables import DomainEvent, Merchant
from tests.simulation.clock import Clock
from tests.simulation.executions import Executor
from tests.simulation.instances import decoded
from tests.simulation.memory_runs import MemoryDatabase
from tests.simulation.memory_store import MemoryStore
from tests.simulation.provider import ModelProvider
from tests.simulation.provider_log import Effect
from tests.simulation.runs import Run
from tests.simulation.server import Server

PROVIDER, SPARE = "model", "spare"
MERCHANT = "mer_1"
BUSINESS_DATES = Dates(BusinessCalendar(EVERY_DAY), "UTC")
Asked = AnySagaInput | PayoutRunInput
"""What a scene is about: a saga, or a run of payouts with theirs."""

_PATIENT = PendingPolicy(
    poll_interval_seconds=3,
    maximum_poll_interval_seconds=20,
    deadline_seconds=40,
    action_poll_interval_seconds=20,
    action_deadline_seconds=60,
)
SIMULATED_POLICIES = POLICIES.model_copy(
    update={"pending": {operation: _PATIENT for operation in POLICIES.pending}}
)
"""The sandbox's policies, polling less: the same ways through a saga in fewer steps."""


class ModelledProviders:
    """The registry of providers, with the model in it; under a second name too, where a scene's
    merchant has terms that route. Both names have one log, and what fails, fails at either.
    """

    def __init__(self, port: ProviderPort) -> None:
        self._port = port
        self.names: Collection[str] = (PROVIDER,)

    def port(self, provider: str) -> ProviderPort:
        """The model."""
        return self._port

    def policies(self, provider: str) -> ProviderPolicies:
        """The sandbox's terms, which the model keeps."""
        return SIMULATED_POLICIES

    def capabilities(self, provider: str) -> Capabilities:
        """The sandbox's capabilities."""
        return CAPABILITIES


class World:
    """Everything of one case. Two worlds of one seed live the same life."""

    def __init__(self, seed: int = 1) -> None:
        random.seed(seed)
        self.clock = Clock()
        self.store = MemoryStore(self.clock.now)
        self.provider = ModelProvider(self.clock, self.deliver)
        self.provider.name_of = self._provider_of
        self.providers = ModelledProviders(self.provider)
        self.tools = Toolbox(
            self.store,
            self.providers,
            Breakers(self.store, now=self.clock.now),
            default_provider=PROVIDER,
            now=self.clock.now,
            payout_runs=PayoutRunTools(
                cast(Database, MemoryDatabase(self.store.work)), BUSINESS_DATES
            ),
        )
        self.executor = Executor(self.clock, _by_name(self.tools))
        self.server = Server(self.clock, self.executor)
        self.asked: list[Asked] = []
        self._kept: set[str] = set()

    def merchant(self, **changes: Any) -> None:
        """Set the scene: the merchant."""
        values = {
            "id": MERCHANT,
            "name": "Demo",
            "country": "DE",
            "availability_rule": "on_capture",
            "created_by": "test",
            "fees": {
                "basis_points": 100,
                "fixed": 10,
                "on_refund": "returned",
                "payout_return": 7,
            },
            "reserve": {"basis_points": 50, "days": 30},
            **changes,
        }
        self.store.put(Merchant(**values))
        self.route(changes)

    def route(self, merchant: Mapping[str, Any]) -> None:
        """Serve a second provider where the merchant's terms speak of it."""
        if "routing" in merchant:
            self.providers.names = (PROVIDER, SPARE)

    def _provider_of(self, effect: Effect) -> str:
        """Under which name an effect was asked for."""
        journaled = (row for row in self.store.rows(JournalRow))
        named = (row.provider for row in journaled if row.effect_key == effect.effect_key)
        return next(named, PROVIDER)

    # Who uses it

    def ask(self, asked: Asked, *, workflow_id: str | None = None) -> Run:
        """Start a saga as the API does, or a copy of it under another id as an operator may."""
        self.asked.append(asked)
        update = DECISION_UPDATE_ID if workflow_id is None else None
        return self.server.start(type_of(asked), workflow_id or id_of(asked), asked, update=update)

    def deliver(self, event: ProviderEvent) -> None:
        """A verified webhook comes in: stored once, applied by its workflow."""
        stored = {(row.provider, row.event_id) for row in self.store.rows(ProviderEventRow)}
        if (event.provider, event.event_id) not in stored:
            self.store.put(
                ProviderEventRow(
                    provider=event.provider,
                    event_id=event.event_id,
                    event_type=event.event_type,
                    object_reference=event.object_reference,
                    operation_id=event.operation_id,
                    effect_key=event.effect_key,
                    payload={},
                    status="received",
                )
            )
        named = ProviderEventInput(provider=event.provider, event_id=event.event_id)
        self.server.start(APPLY_PROVIDER_EVENT, event_workflow_id(named), named)

    def parked(self) -> list[Run]:
        """The runs that wait for a person."""
        return [run for run in self.server.runs if run.open and run.attention]

    def answer_truly(self, run: Run) -> None:
        """A person looks into the provider's log, and answers a parked saga."""
        effect = self._asked_about(run)
        if effect is not None and effect.status in {"pending", "requires_action"}:
            # Whoever says that it failed has made sure at the provider that it never will succeed.
            effect.status, effect.payout_state = "declined", None
        voided = effect is not None and effect.operation is ProviderOperation.AUTHORIZE
        made = effect is not None and (
            effect.status == "made" or (voided and effect.status == "taken back")
        )
        resolution = Resolution(
            decision=ResolveDecision.SUCCEEDED if made else ResolveDecision.FAILED,
            actor="ops",
            reason="looked into the provider's log",
            provider_reference=effect.reference if effect and made else None,
        )
        self.server.update(run, "resolve", f"resolve-{len(run.answers)}", resolution)

    def settle_orphans(self) -> int:
        """A person looks at what stands at the provider and was taken back here. Returns how many
        sagas were settled.

        What can be kept is kept: the saga is run again, and takes it up. Anything else is undone in
        the provider's own books.
        """
        asked = {
            event.data["object"]["workflow_id"]
            for event in self.store.rows(DomainEvent)
            if event.type == "saga.parked"
        }
        parked = {row.saga_id for row in self.store.rows(Orphan) if row.status == "parked"} & asked
        for saga_id in sorted(parked):
            operation = next(row for row in self.store.rows(Operation) if row.saga_id == saga_id)
            if operation.saga_state == SagaState.FAILED and saga_id not in self._kept:
                self._kept.add(saga_id)
                runs = [run for run in self.server.runs if saga_of(run) == saga_id]
                self.server.reset(runs[-1], 0)
            else:
                self._undo_orphans(operation)
        return len(parked)

    def _undo_orphans(self, operation: Operation) -> None:
        references = {
            str(row.outcome["reference"])
            for row in self.store.rows(Orphan)
            if row.saga_id == operation.saga_id and row.status == "parked"
        }
        for effect in self.provider.effects:
            if effect.reference in references:
                effect.status = "taken back"
                effect.closed = effect.operation is ProviderOperation.AUTHORIZE
        told = ForgetOrphans(saga=ref_of(operation), actor="ops", reason="undone there")
        self.server.start(FORGET_ORPHANS, f"orphans/{operation.saga_id}/{self.clock.seconds}", told)

    def _asked_about(self, run: Run) -> Effect | None:
        """The effect that the run's last question is about, as the provider knows it."""
        parked = [order for order in self.executor.parks if order.run_id in _family(self, run)]
        (park,) = decoded(parked[-1].arguments, [Park])
        keys = {
            row.effect_key
            for row in self.store.rows(JournalRow)
            if (row.saga_id, row.step, row.attempt, row.leg)
            == (park.saga.saga_id, park.step, park.attempt, park.leg)
        }
        made = [effect for effect in self.provider.effects if effect.effect_key in keys]
        return made[-1] if made else None


def _family(world: World, run: Run) -> set[str]:
    """The run and those it was reset from: it has inherited their questions."""
    return {other.run_id for other in world.server.runs if other.workflow_id == run.workflow_id}


def id_of(asked: Asked) -> str:
    """The id under which it is started."""
    return asked.workflow_id if isinstance(asked, PayoutRunInput) else asked.ref().saga_id


def type_of(asked: Asked) -> str:
    """The workflow that carries it out."""
    return "PayoutRun" if isinstance(asked, PayoutRunInput) else WORKFLOW_TYPES[asked.ref().kind]


def saga_of(run: Run) -> str:
    """The operation that a run works on, under whatever id."""
    return run.workflow_id.removesuffix("/copy")


def _by_name(tools: Toolbox) -> Mapping[str, Callable[..., Any]]:
    found = [*in_house_activities(tools), *provider_activities(tools)]
    return {function.__temporal_activity_definition.name: function for function in found}  # type: ignore[attr-defined]
