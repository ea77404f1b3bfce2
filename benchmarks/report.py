"""The tables: each figure beside its bar, and the change between two runs."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.bars import FIGURES, Reading
from benchmarks.results import Result

STYLES = {"met": "green", "missed": "bold red", "": "dim"}


def number(value: float) -> str:
    """A figure as a person reads it: three digits that matter, whole numbers whole."""
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def shown(reading: Reading) -> str:
    """The figure with its spread over rounds."""
    unit = reading.definition.unit
    text = f"{number(reading.value)}{f' {unit}' if unit else ''}"
    if reading.low is None or reading.high is None:
        return text
    return f"{text} ({number(reading.low)} to {number(reading.high)})"


def table(result: Result) -> Table:
    """Every figure of a run: figure, measure, bar, met or missed."""
    made = Table(title=f"make bench, {result.name}", title_justify="left")
    for heading in ("what", "figure", "measure", "bar", ""):
        made.add_column(heading)
    for key in FIGURES:
        reading = result.reading(key)
        if reading is not None:
            definition, verdict = reading.definition, reading.verdict
            bar = str(definition.bar) if definition.bar else ""
            what = f"{definition.title}\n{reading.note}" if reading.note else definition.title
            verdict_text = Text(verdict, style=STYLES[verdict])
            made.add_row(what, shown(reading), definition.measure, bar, verdict_text)
    return made


def comparison(before: Result, after: Result) -> Group:
    """What has changed between two runs, figure by figure."""
    made = Table(title=f"{before.name} to {after.name}", title_justify="left")
    for heading in ("what", "measure", "before", "after", "change", "bar", ""):
        made.add_column(heading)
    for key, definition in FIGURES.items():
        old, new = before.reading(key), after.reading(key)
        if old is None or new is None:
            continue
        change = f"{100 * (new.value / old.value - 1):+.1f} %" if old.value else ""
        bar = str(definition.bar) if definition.bar else ""
        verdict = new.verdict if new.verdict == old.verdict else f"{old.verdict}, now {new.verdict}"
        made.add_row(
            definition.title, definition.measure, shown(old), shown(new), change, bar, verdict
        )
    return Group(made, *_differences(before, after))


def _differences(before: Result, after: Result) -> list[Text]:
    """A change of the machine explains a change of a figure before anything else does."""
    differing = [
        Text(f"{name}: {before.machine.get(name)} before, {after.machine.get(name)} after")
        for name in ("cores", "memory_gigabytes", "cpu", "system", "python", "packages")
        if before.machine.get(name) != after.machine.get(name)
    ]
    return differing
