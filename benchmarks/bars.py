"""Every figure that is printed: its name, how it is measured, and the bar it has to meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["met", "missed", ""]


@dataclass(frozen=True)
class Bar:
    """A limit that a figure has to keep."""

    sign: Literal["<=", ">="]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the value keeps it."""
        return value <= self.limit if self.sign == "<=" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}"


@dataclass(frozen=True)
class Definition:
    """What a figure is. Without a bar it is printed to be known, not to be judged."""

    title: str
    measure: str
    bar: Bar | None = None
    unit: str = ""


@dataclass(frozen=True)
class Reading:
    """One figure of one run; `low` and `high` are the extremes over its rounds, if it had any.

    `smaller`: less was filled in than its bar is for, so the bar does not judge it.
    """

    key: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""
    smaller: bool = False

    @property
    def definition(self) -> Definition:
        """What the figure is."""
        return FIGURES[self.key]

    @property
    def verdict(self) -> Verdict:
        """Whether its bar is met; empty when it has none, or is for more than was measured."""
        bar = self.definition.bar
        if bar is None or self.smaller:
            return ""
        return "met" if bar.holds(self.value) else "missed"


def _most(limit: float) -> Bar:
    return Bar("<=", limit)


def _least(limit: float) -> Bar:
    return Bar(">=", limit)


EXACT = "exact"
TO_BARE = "ratio to bare"
TO_USUAL = "ratio to usual"
TO_PEER = "ratio to peer"

_COUNTS = {
    "authorization.history": Definition("history events, one authorization", EXACT, _most(16)),
    "authorization.workflow_tasks": Definition(
        "workflow tasks up to the decision, one authorization", EXACT, _most(2)
    ),
    "authorization.activities": Definition("activities, one authorization", EXACT, _most(1)),
    "authorization.markers": Definition(
        "local-activity markers, one authorization", EXACT, _most(2)
    ),
    "capture.history": Definition("history events, one capture", EXACT, _most(16)),
    "refund.history": Definition("history events, one refund", EXACT, _most(16)),
    "payout.history": Definition(
        "history events, one payout (asynchronous, one webhook)", EXACT, _most(28)
    ),
    "authorization.transactions": Definition(
        "database transactions, one authorization, API included", EXACT, _most(4)
    ),
    "authorization.statements": Definition(
        "database statements, one authorization, API included", EXACT, _most(14)
    ),
    "authorization.provider_calls": Definition(
        "provider calls, one authorization", EXACT, _most(1)
    ),
    "capture.provider_calls": Definition("provider calls, one capture", EXACT, _most(1)),
    "refund.provider_calls": Definition("provider calls, one refund", EXACT, _most(1)),
    "payout.provider_calls": Definition(
        "provider calls, one payout: creation, and the look at what a webhook tells", EXACT
    ),
}

_THROUGHPUT = {
    "throughput.8.bare": Definition("authorizations a second, 8 in flight", TO_BARE, _least(0.8)),
    "throughput.32.bare": Definition("authorizations a second, 32 in flight", TO_BARE, _least(0.8)),
    "throughput.8.usual": Definition("authorizations a second, 8 in flight", TO_USUAL, _least(1.8)),
    "throughput.32.usual": Definition(
        "authorizations a second, 32 in flight", TO_USUAL, _least(1.8)
    ),
    "throughput.8.peer": Definition("authorizations a second, 8 in flight", TO_PEER),
    "throughput.32.peer": Definition("authorizations a second, 32 in flight", TO_PEER),
    "latency.p50.1.bare": Definition("p50, 1 in flight", TO_BARE, _most(1.4)),
    "latency.p99.8.bare": Definition("p99, 8 in flight", TO_BARE, _most(1.3)),
    "latency.p50.1.usual": Definition("p50, 1 in flight", TO_USUAL, _most(0.55)),
    "latency.p50.1.peer": Definition("p50, 1 in flight", TO_PEER),
    "slow_provider.p50.bare": Definition(
        "p50, 1 in flight, a provider that takes 200 ms", TO_BARE, _most(1.1)
    ),
    "slow_provider.p50.raw": Definition(
        "p50, 1 in flight, a provider that takes 200 ms", "ratio to the call alone"
    ),
    "cpu.bare": Definition(
        "CPU of one authorization, API and worker together", "ratio to bare's worker", _most(2.5)
    ),
    "cpu.peer": Definition(
        "CPU of one authorization, all processes together", "ratio to all of peer's"
    ),
}

_LEDGER = {
    **{
        f"ledger.{writers}.raw": Definition(
            f"postings a second, {writers} writer{'s' if writers > 1 else ''},"
            " one hot provider account",
            "ratio to raw inserts",
            _least(0.6),
        )
        for writers in (1, 8, 32)
    },
    "ledger.hot": Definition(
        "postings a second on many provider accounts, 32 writers",
        "ratio to one hot account",
        _most(1.1),
    ),
}

_GROWTH = {
    "growth.p50.1": Definition(
        "p50, 1 in flight, with 10^6 payments in the tables",
        "ratio to 10^3, both to bare",
        _most(1.1),
    ),
    "growth.time.8": Definition(
        "time for one authorization, 8 in flight, with 10^6 payments in the tables",
        "ratio to 10^3, both to bare",
        _most(1.1),
    ),
    "growth.postgres": Definition(
        "PostgreSQL's CPU for one authorization with 10^6 payments in the tables",
        "ratio to 10^3",
    ),
    "growth.merchants.ten": Definition(
        "authorizations a second, one hot merchant with half of all payments",
        "ratio to 10 merchants",
    ),
    "growth.merchants.many": Definition(
        "authorizations a second, one hot merchant with half of all payments",
        "ratio to 100,000 merchants",
    ),
}

_SCALE = {
    f"scale.{workers}.{apis}": Definition(
        f"authorizations a second, {workers} worker and {apis} API processes",
        "ratio to 1 worker and 1 API process",
    )
    for workers, apis in ((2, 1), (4, 1), (2, 2))
}

_RECOVERY = {
    "recovery.step": Definition(
        "`kill -9` of a worker inside a local step, to the decision", "time", _most(3), "s"
    ),
    "recovery.between": Definition(
        "`kill -9` of a worker between tasks, to the decision", "time", _most(4), "s"
    ),
}

_HANGING = {
    "hanging.platform": Definition(
        "payments without an outcome 20 s after `kill -9` of one of two processes", EXACT, _most(0)
    ),
    "hanging.peer": Definition("the same of the peer, its process not started again", EXACT),
}

_DEMO = {
    "demo.first_payment": Definition(
        "`make demo` from a warm cache to the first payment", "time", _most(15), "s"
    ),
}

_RECONCILE = {
    "reconcile.copy": Definition(
        "reconciliation of a large report", "ratio to COPY of the same file", _most(6)
    ),
    "reconcile.memory": Definition("the same, its process's memory", "resident", _most(300), "MB"),
}

_OVERLOAD = {
    "overload.latency": Definition(
        "p95 of what is accepted, with three times the capacity offered",
        "ratio to unloaded",
        _most(3),
    ),
    "overload.retry_after": Definition(
        "of what is shed, told when to come back", "share", _least(1)
    ),
    "overload.accepted": Definition(
        "accepted a second, with three times the capacity offered", "ratio to capacity"
    ),
    "overload.lost": Definition("accepted and not authorized in the end", EXACT, _most(0)),
}

_CACHE = {
    "cache.activation": Definition("first activation of a workflow", "CPU time", _most(5), "ms"),
    "cache.memory": Definition(
        "memory of a worker with 1,000 cached", "resident", _most(200), "MB"
    ),
}

_WARM = {
    f"warm.{key}": Definition(f"{definition.title}, after a restart", definition.measure)
    for key, definition in _THROUGHPUT.items()
    if key in {"throughput.8.bare", "latency.p50.1.bare"}
} | {
    "warm.decay": Definition(
        "authorizations a second, 8 in flight, after a restart", "ratio to before, both to bare"
    ),
}

_RUNS = {
    "runs.item": Definition(
        "payout run: time of an item among 10,000", "ratio to a run of 100", _most(1.1)
    ),
    "runs.rate": Definition("payout run: items paid a second, of 10,000", "a second"),
    "runs.memory": Definition(
        "memory of a worker in a payout run of 10,000", "resident", _most(300), "MB"
    ),
}

FIGURES: Mapping[str, Definition] = {
    **_COUNTS,
    **_THROUGHPUT,
    **_LEDGER,
    **_GROWTH,
    **_SCALE,
    **_OVERLOAD,
    **_RECOVERY,
    **_HANGING,
    **_DEMO,
    **_CACHE,
    **_RUNS,
    **_RECONCILE,
    **_WARM,
}
"""All figures by their key, in the order in which they are printed."""
