"""What people, crashes and time do to a running saga, at a named point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy.exc import OperationalError

from tests.simulation.executions import Killed
from tests.simulation.runs import Run
from tests.simulation.world import SIMULATED_POLICIES, Asked, World, id_of

COPY = "/copy"
OVERTAKEN_SECONDS = 1.0
"""How long an answer travels that the final word of a webhook overtakes."""


@dataclass(frozen=True)
class Disturbance:
    """`kind@point` or `kind@point:kept`. The point counts commits, tasks or calls, from 1."""

    kind: str
    point: float = 0
    kept: int = 0

    def __str__(self) -> str:
        point = f"{self.point:g}"
        return f"{self.kind}@{point}" + (f":{self.kept}" if self.kind in RESETS else "")


def parsed(text: str) -> Disturbance:
    """Read what `str` wrote."""
    kind, _, rest = text.partition("@")
    point, _, kept = rest.partition(":")
    return Disturbance(kind, float(point or 0), int(kept or 0))


RESETS = frozenset({"reset", "reset_late", "reset_twice"})
AT_COMMIT = ("crash_before", "crash_after", "cut_before", "cut_after")
AT_TASK = ("crash_task", "cancel", "copy", "restart", "lose_task")
ANYWHERE = (
    Disturbance("hook", 0.5),
    Disturbance("hook", 0.02),
    Disturbance("hook", 259_200),
    Disturbance("hook_twice", 0.5),
    Disturbance("hook_unnamed", 0.5),
    Disturbance("still", 2.5),
    Disturbance("still", 7),
    Disturbance("still", 30),
    Disturbance("behind", 3.3),
    Disturbance("overtaken", 0.02),
    Disturbance("overtaken", 0.5),
    Disturbance("copy_late"),
)


def _forget(run: Run) -> None:
    """Whoever started it does not look at it again."""


class Trouble:
    """The disturbances of one case, armed on its world."""

    def __init__(self, world: World, asked: Asked, wanted: tuple[Disturbance, ...]) -> None:
        self._world = world
        self._asked, self._id = asked, id_of(asked)
        self._wanted = wanted
        self.fired: set[Disturbance] = set()
        self.commits = self.tasks = self.calls = 0
        self.main_tasks = 0
        world.store.before_commit = self._before_commit
        world.store.after_commit = self._after_commit
        world.server.on_task = self._on_task
        world.server.on_history = self._on_history
        world.executor.on_try = lambda order, attempt: self._on_try(order.name)
        world.provider.on_effect = self._on_effect
        for disturbance in wanted:
            self._habit(disturbance)

    def late(self) -> Run | None:
        """What is done to a saga that has ended: the run that came of it."""
        late: Run | None = None
        for disturbance in self._wanted:
            if disturbance not in self.fired and disturbance.kind in {"copy_late", "reset_late"}:
                self.fired.add(disturbance)
                if disturbance.kind == "copy_late":
                    late = self._copy()
                else:
                    run = self._latest()
                    late = self._world.server.reset(
                        run, min(disturbance.kept, max(len(run.history) - 1, 0))
                    )
        return late

    def _take(self, kind: str, count: int) -> bool:
        for disturbance in self._wanted:
            if disturbance.kind == kind and int(disturbance.point) == count:
                if disturbance not in self.fired:
                    self.fired.add(disturbance)
                    return True
        return False

    def _habit(self, disturbance: Disturbance) -> None:
        habits = self._world.provider.habits
        match disturbance.kind:
            case "hook" | "hook_twice" | "hook_unnamed":
                habits.webhook_after_seconds = disturbance.point
                habits.webhook_copies = 2 if disturbance.kind == "hook_twice" else 1
                habits.webhook_names_key = disturbance.kind != "hook_unnamed"
                self.fired.add(disturbance)
            case "overtaken":
                habits.answer_travels_seconds = OVERTAKEN_SECONDS
                habits.settles_after_seconds = OVERTAKEN_SECONDS / 10
                habits.webhook_after_seconds = disturbance.point
                self.fired.add(disturbance)
            case "still" | "behind":
                if disturbance.kind == "behind":
                    habits.clock_behind_seconds = SIMULATED_POLICIES.clock_skew_seconds
                habits.still_running_seconds = disturbance.point
                self.fired.add(disturbance)

    # Points

    def _before_commit(self) -> None:
        self.commits += 1
        if self._take("crash_before", self.commits):
            raise Killed
        if self._take("cut_before", self.commits):
            raise OperationalError("COMMIT", None, ConnectionError("cut before"))

    def _after_commit(self) -> None:
        if self._take("crash_after", self.commits):
            raise Killed
        if self._take("cut_after", self.commits):
            raise OperationalError("COMMIT", None, ConnectionError("cut after"))

    def _on_task(self, run: Run) -> None:
        self.tasks += 1
        if self._take("crash_task", self.tasks):
            raise Killed

    def _on_history(self, run: Run) -> None:
        """A task has become history: act once the server has carried it out."""
        if not run.workflow_id.startswith(self._id):
            return
        self.main_tasks += 1
        count = self.main_tasks
        acts: dict[str, Callable[[], None]] = {
            "cancel": lambda: self._world.server.cancel(run),
            "copy": lambda: _forget(self._copy()),
            "restart": lambda: self._restart(run),
            "lose_task": lambda: self._world.server.crash(),
        }
        for kind, act in acts.items():
            if self._take(kind, count):
                self._world.clock.after(0.005, act)
        for disturbance in self._wanted:
            if (
                disturbance.kind in {"reset", "reset_twice"}
                and int(disturbance.point) == count
                and disturbance not in self.fired
            ):
                self.fired.add(disturbance)
                self._world.clock.after(0.005, partial(self._reset, run, disturbance))

    def _reset(self, run: Run, disturbance: Disturbance) -> None:
        again = self._reset_to(run, disturbance.kept)
        if disturbance.kind == "reset_twice":
            self._world.clock.after(0.3, lambda: _forget(self._world.server.reset(again, 0)))

    def _reset_to(self, run: Run, kept: int) -> Run:
        return self._world.server.reset(run, min(kept, max(len(run.history) - 1, 0)))

    def _restart(self, run: Run) -> None:
        self._world.server.terminate(run)
        self._copy()

    def _copy(self) -> Run:
        return self._world.ask(self._asked, workflow_id=self._id + COPY)

    def _on_try(self, name: str) -> None:
        if name.startswith("provider."):
            self.calls += 1
            if self._take("lose_try", self.calls):
                # The worker of the provider's queue dies alone, half-way through the call.
                self._world.clock.after(0.05, self._world.executor.kill_all)

    def _on_effect(self, sent: bool, count: int) -> None:
        if self._take("crash_sent" if sent else "crash_sending", count):
            raise Killed

    def _latest(self) -> Run:
        return [run for run in self._world.server.runs if run.workflow_id == self._id][-1]
