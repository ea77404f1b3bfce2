"""Statements and transactions as PostgreSQL saw them, told from its log.

The lab gives each line the application's name and the virtual transaction's id, so the statements
of one transaction are found together whatever else went on.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg

_LINE = re.compile(
    r"^\S+ \S+ \S+ \[\d+\] <(?P<application>[^>]*)> \{(?P<transaction>\d+/\d+)\} "
    r"LOG:  (?:statement|execute [^:]*): (?P<statement>.*)$"
)
_FRAME = re.compile(r"^(BEGIN|COMMIT|ROLLBACK)\b", re.IGNORECASE)
OURS = ("recompense-api", "recompense-worker")

UPKEEP = re.compile(r"\bledger_seals\b|\bbreakers\b")
"""Tables of what runs by the clock, and oftener where a machine is slow: no operation's own."""

Transaction = tuple[str, ...]
"""The statements of one transaction in their order, BEGIN and COMMIT left out; the application
stands before them.
"""


def transactions(lines: Iterable[str]) -> Counter[Transaction]:
    """How often each transaction of the platform was run."""
    found: dict[str, list[str]] = defaultdict(list)
    for application, transaction, statement in _statements(lines):
        key = f"{application} {transaction}"
        if not found[key]:
            found[key].append(application)
        if not _FRAME.match(statement):
            found[key].append(" ".join(statement.split()))
    return Counter(tuple(one) for one in found.values() if len(one) > 1)


def _statements(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    head: tuple[str, str] | None = None
    text: list[str] = []
    for line in lines:
        if head and line.startswith("\t"):
            text.append(line)
            continue
        if head:
            yield (*head, "".join(text))
            head = None
        matched = _LINE.match(line)
        if matched and matched["application"] in OURS:
            head, text = (matched["application"], matched["transaction"]), [matched["statement"]]
    if head:
        yield (*head, "".join(text))


def of_each(
    during: Counter[Transaction], idle: Counter[Transaction], operations: int
) -> list[Transaction]:
    """The transactions of one operation, from a log of so many of them.

    What runs by the clock is left out: the seals, the breakers' look at their table, and whatever
    also runs when nothing is asked. One that ran twice in each operation stands twice in the list.
    """
    return [
        transaction
        for transaction, times in during.items()
        if transaction not in idle and not any(map(UPKEEP.search, transaction))
        for _ in range(round(times / operations))
    ]


@contextmanager
def logged(superuser_url: str) -> Iterator[None]:
    """Have the server log every statement meanwhile, in sessions that are open already too."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("SELECT pg_reload_conf()")
