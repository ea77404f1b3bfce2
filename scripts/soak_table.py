"""Print what a soak has covered, from the files that its test runs have written."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

TABLES = (
    "cases by fault",
    "cases by disturbance",
    "simulated cases",
    "cases by crash point",
    "cases by reset point",
    "effects counted",
    "invariants checked",
    "mutants caught",
    "tests",
    "failures",
)
"""The tables in the order in which they are read; others follow by name."""


def read(files: list[Path]) -> dict[str, Counter[str]]:
    """Add the numbers of all files up, by table."""
    found: dict[str, Counter[str]] = {name: Counter() for name in TABLES}
    for file in files:
        for table, row, cases in json.loads(file.read_text(encoding="utf-8")):
            found.setdefault(table, Counter())[row] += cases
    return found


def rendered(tables: dict[str, Counter[str]]) -> Table:
    """One table of all; a part without rows says so."""
    whole = Table("what", "", "cases", title="What the soak has covered")
    for name, rows in tables.items():
        whole.add_section()
        whole.add_row(name, "", str(sum(rows.values()) or "none"))
        for row, cases in sorted(rows.items()):
            whole.add_row("", row, str(cases))
    return whole


def main(arguments: list[str]) -> int:
    """Print the table. The exit status is 1 when anything failed or nothing was run."""
    tables = read([Path(argument) for argument in arguments])
    Console().print(rendered(tables))
    return 1 if tables["failures"] or not tables["tests"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
