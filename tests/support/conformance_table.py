"""The conformance table: adapter by case, put together from the reports of all processes and
printed at the end of a run: in short, and with `--conformance=full` row by row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from _pytest.terminal import TerminalReporter

_PROPERTY = "conformance"
_NOT_APPLICABLE = "n/a: "


def note_case(item: pytest.Item, target: str, case: str) -> None:
    """Say of the present test which row and column it fills."""
    item.user_properties.append((_PROPERTY, f"{target}\t{case}"))


@dataclass(eq=False)
class ConformanceTable:
    """A plugin of the process that was started by hand."""

    full: bool
    cells: dict[tuple[str, str], str] = field(default_factory=dict)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Fill a cell. A failure of any phase stays."""
        for name, value in report.user_properties:
            if name == _PROPERTY:
                target, _, case = str(value).partition("\t")
                told = _told(report)
                if told is not None and not self.cells.get((target, case), "").startswith("wrong"):
                    self.cells[target, case] = told

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the table."""
        if not self.cells:
            return
        terminalreporter.write_sep("=", "conformance: adapter x case")
        for target in sorted({target for target, _ in self.cells}):
            kinds = Counter(
                told.partition(":")[0] for (of, _), told in self.cells.items() if of == target
            )
            counted = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            terminalreporter.write_line(f"{target:16} {counted}")
        for (target, case), told in sorted(self.cells.items()):
            if self.full or told.startswith("wrong"):
                terminalreporter.write_line(f"{target:16} {case}: {told}")


def _told(report: pytest.TestReport) -> str | None:
    """What a report says of its case; None: nothing new."""
    if report.failed:
        return "wrong"
    if hasattr(report, "wasxfail"):
        return f"known fault of the stand-in: {report.wasxfail}"
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return reason.removeprefix("Skipped: ")
    return "ok" if report.when == "call" else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--conformance=full`."""
    parser.addoption(
        "--conformance", choices=["short", "full"], default="short", help="the conformance table"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Put the table together where the run was started."""
    config.addinivalue_line("markers", "needs(*what): what a conformance case needs of its target")
    if not hasattr(config, "workerinput"):
        full = config.getoption("--conformance") == "full"
        config.pluginmanager.register(ConformanceTable(full), "conformance-table")
