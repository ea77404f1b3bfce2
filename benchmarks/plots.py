"""The plots, as SVG files beside the result, drawn without a screen."""

from __future__ import annotations

from typing import Any

from benchmarks.results import Result

COLOURS = {
    "platform": "#1b6ac9",
    "bare": "#777777",
    "usual": "#d98200",
    "peer": "#2c9a4b",
    "raw": "#777777",
    "hot account": "#1b6ac9",
    "many": "#8a4fc7",
}
SIZE_INCHES = (7.0, 4.0)
SHOWN_PERCENT = 99.5


def draw(result: Result) -> None:
    """Draw what the result has series for."""
    series = result.series
    if "authorize" in series:
        for in_flight in sorted({one["in_flight"] for one in series["authorize"]}):
            _latencies(result, series["authorize"], in_flight)
        title = "Authorizations a second"
        _throughput(result, series["authorize"], "throughput", title, "in flight")
    if "ledger" in series:
        _throughput(result, series["ledger"], "ledger", "Postings a second", "writers")
    if "growth" in series:
        _growth(result, series["growth"])
    if "runs" in series:
        _runs(result, series["runs"])
    if "cpu" in series:
        _cpu(result, series["cpu"])


def _latencies(result: Result, series: list[dict[str, Any]], in_flight: int) -> None:
    """What share of the operations was answered within how many milliseconds."""
    figure, axes = _figure(f"Latency, {in_flight} in flight", "ms", "answered within, %")
    most = 0.0
    for one in series:
        values = one["latencies_ms"]
        if one["in_flight"] == in_flight and values:
            shares = [100 * (rank + 1) / len(values) for rank in range(len(values))]
            axes.plot(values, shares, label=one["subject"], color=COLOURS.get(one["subject"]))
            most = max(most, values[min(len(values) - 1, int(len(values) * SHOWN_PERCENT / 100))])
    axes.set_xlim(0, most * 1.05 or 1)
    _save(result, figure, axes, f"latency-{in_flight}")


def _throughput(
    result: Result, series: list[dict[str, Any]], name: str, title: str, callers: str
) -> None:
    """Rates against concurrency: the median of the rounds, the extremes as bars."""
    figure, axes = _figure(title, callers, "a second")
    for subject in dict.fromkeys(one["subject"] for one in series):
        mine = [one for one in series if one["subject"] == subject]
        rates = [sorted(one["rates"]) for one in mine]
        middles = [found[len(found) // 2] for found in rates]
        below = [middle - found[0] for middle, found in zip(middles, rates, strict=True)]
        above = [found[-1] - middle for middle, found in zip(middles, rates, strict=True)]
        levels = [one["in_flight"] for one in mine]
        axes.errorbar(
            levels,
            middles,
            yerr=[below, above],
            label=subject,
            color=COLOURS.get(subject),
            marker="o",
            capsize=3,
        )
    axes.set_xscale("log", base=2)
    levels = sorted({one["in_flight"] for one in series})
    axes.set_xticks(levels, [str(level) for level in levels])
    axes.set_ylim(bottom=0)
    _save(result, figure, axes, name)


def _growth(result: Result, series: list[dict[str, Any]]) -> None:
    """Cost, as a ratio to bare, against how many payments there are."""
    figure, axes = _figure("Cost against table size", "payments in the tables", "ratio to bare")
    sizes = [one["payments"] for one in series]
    for key, label in (("p50_to_bare", "p50, 1 in flight"), ("time_to_bare", "time, 8 in flight")):
        middles = [sorted(one[key])[len(one[key]) // 2] for one in series]
        axes.plot(sizes, middles, label=label, marker="o")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    _save(result, figure, axes, "growth")


def _runs(result: Result, series: list[dict[str, Any]]) -> None:
    """Time for each item and the largest worker, against how many items a payout run has."""
    figure, axes = _figure("Payout run size", "items", "ms for each item")
    sizes = [one["items"] for one in series]
    axes.plot(sizes, [one["item_ms"] for one in series], label="time for each item", marker="o")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    memory = axes.twinx()
    memory.plot(
        sizes, [one["megabytes"] for one in series], label="a worker", color="#d98200", marker="o"
    )
    memory.set_ylabel("MB")
    memory.set_ylim(bottom=0)
    memory.legend(frameon=False, loc="lower right")
    _save(result, figure, axes, "runs")


def _cpu(result: Result, series: dict[str, dict[str, float]]) -> None:
    """CPU milliseconds of one authorization, by process."""
    figure, axes = _figure("CPU of one authorization, 8 in flight", "", "ms")
    own = {"platform": ("API", "worker"), "bare": ("bare",), "usual": ("usual",), "peer": ("peer",)}
    shared = ("Temporal", "PostgreSQL", "sandbox")
    names = list(series)
    bottoms = [0.0] * len(names)
    groups = dict.fromkeys([*(group for name in names for group in own.get(name, ())), *shared])
    for group in groups:
        heights = [
            series[name].get(group, 0.0) if group in (*own.get(name, ()), *shared) else 0.0
            for name in names
        ]
        axes.bar(names, heights, bottom=bottoms, label=group)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    _save(result, figure, axes, "cpu")


def _figure(title: str, across: str, up: str) -> tuple[Any, Any]:
    # Imported here: it takes a second, and who compares results needs no plots.
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=across, ylabel=up)
    axes.grid(alpha=0.25)
    return figure, axes


def _save(result: Result, figure: Any, axes: Any, name: str) -> None:  # noqa: ANN401 - matplotlib's
    axes.legend(frameon=False)
    figure.savefig(result.beside(f"{name}.svg"), format="svg", metadata={"Date": None})
