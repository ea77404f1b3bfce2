"""A case: a scene, what fails at the provider, what is done to the saga, and a seed; and how it is
played.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from zlib import crc32

from temporalio.workflow import UnfinishedUpdateHandlersWarning

from recompense.contracts.payout_runs import PayoutRunInput
from recompense.persistence.saga_tables import ProviderEventRow
from tests.simulation.clock import Stuck
from tests.simulation.disturbances import Disturbance, Trouble, parsed
from tests.simulation.instances import NotDeterministic, TaskFailed
from tests.simulation.invariants import INVARIANTS, histories_replay
from tests.simulation.memory_runs import runs_in_memory
from tests.simulation.plain_rows import plain_rows
from tests.simulation.provider_log import Fault
from tests.simulation.scenes import SCENES, Scene
from tests.simulation.snapshots import world_of
from tests.simulation.world import World

logging.getLogger("temporalio").setLevel(logging.CRITICAL)
ANSWERS_BY_PEOPLE = 6
REPLAY_EVERY = 4
"""Every crash replays what it has to. At the end, every fourth case's histories are enough."""


@dataclass(frozen=True)
class Case:
    """`scene/fault+fault/disturbance+disturbance/seed`: all that is needed to play it."""

    scene: str
    faults: tuple[Fault, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    seed: int = 1

    def __str__(self) -> str:
        faults = "+".join(f"{f.kind}@{f.call}#{f.nth}x{f.times}" for f in self.faults)
        troubles = "+".join(map(str, self.disturbances))
        return f"{self.scene}/{faults or '-'}/{troubles or '-'}/{self.seed}"


def case_of(name: str) -> Case:
    """Read a case's name."""
    scene, faults, troubles, seed = name.split("/")
    return Case(
        scene,
        tuple(_fault(text) for text in faults.split("+") if text != "-"),
        tuple(parsed(text) for text in troubles.split("+") if text != "-"),
        int(seed),
    )


def _fault(text: str) -> Fault:
    kind, _, rest = text.partition("@")
    call, _, counts = rest.partition("#")
    nth, _, times = counts.partition("x")
    return Fault(kind, call, int(nth), int(times))


@dataclass
class Outcome:
    """How a case went. `points` is what there was to disturb."""

    case: Case
    wrong: list[str] = field(default_factory=list)
    fired: bool = True
    commits: int = 0
    tasks: int = 0
    main_tasks: int = 0
    calls: int = 0
    sent: int = 0
    reached: int = 0
    effects: int = 0
    asked_people: int = 0
    replays: int = 0
    faults_fired: tuple[str, ...] = ()


def play(case: Case) -> Outcome:
    """Play a case to its end and look at every invariant."""
    with warnings.catch_warnings(), plain_rows(), runs_in_memory():
        # A run that ends while somebody waits for its word leaves them without: a failure here.
        warnings.simplefilter("error", UnfinishedUpdateHandlersWarning)
        return _played(case)


def _played(case: Case) -> Outcome:
    world = world_of(case.scene, case.seed)
    scene = SCENES[case.scene]
    world.provider.faults = list(case.faults)
    trouble = Trouble(world, scene.saga, case.disturbances)
    outcome = Outcome(case)
    before = len(world.provider.effects)
    try:
        world.ask(scene.saga)
        if scene.play is not None:
            scene.play(world)
        _to_the_end(world, scene, trouble, outcome)
        outcome.wrong += [
            f"{invariant.__name__}: {words}"
            for invariant in INVARIANTS
            if invariant is not histories_replay or crc32(str(case).encode()) % REPLAY_EVERY == 0
            for words in invariant(world)
        ]
        if outcome.asked_people and not case.faults and not case.disturbances and not scene.asks:
            outcome.wrong.append("nobody_is_asked_in_vain: nothing failed, and people were asked")
    except (Stuck, TaskFailed, NotDeterministic, UnfinishedUpdateHandlersWarning) as broken:
        outcome.wrong.append(f"{type(broken).__name__}: {broken}")
    outcome.fired = trouble.fired == set(case.disturbances) and _fired(case, world)
    outcome.commits, outcome.tasks = trouble.commits, trouble.tasks
    outcome.main_tasks, outcome.calls = trouble.main_tasks, trouble.calls
    outcome.reached = world.provider.reached
    outcome.sent, outcome.replays = len(world.provider.sent), world.server.replays
    outcome.effects = len(world.provider.effects) - before
    outcome.faults_fired = tuple(world.provider.fired)
    return outcome


def _to_the_end(world: World, scene: Scene, trouble: Trouble, outcome: Outcome) -> None:
    """Let everything happen; then the faults stop and people answer what is asked."""
    world.clock.run()
    world.provider.heal()
    late = trouble.late()
    if late is not None or isinstance(scene.saga, PayoutRunInput):
        # A run is looked at again when all is well: its failed items are worth another try.
        _insist(world, scene)
        world.clock.run()
    for _ in range(ANSWERS_BY_PEOPLE):
        if any(row.status == "received" for row in world.store.rows(ProviderEventRow)):
            world.server.start("RelayProviderEvents", "relay", None)
            world.clock.run()
        parked = world.parked()
        if not parked:
            settled = world.settle_orphans()
            outcome.asked_people += settled
            if not settled:
                return
        for run in parked:
            outcome.asked_people += 1
            world.answer_truly(run)
        _insist(world, scene)
        world.clock.run()


def _insist(world: World, scene: Scene) -> None:
    """What the people of the scene want, they still want of what goes on now."""
    if scene.play is not None:
        scene.play(world)


def _fired(case: Case, world: World) -> bool:
    fired = set(world.provider.fired)
    return all(f"{fault.kind}@{fault.call}" in fired for fault in case.faults)
