"""The command line of the benchmarks."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report, results
from benchmarks.bench import OF_THE_BARS, OF_THE_WHOLE, Sizes
from benchmarks.runner import OF_ANOTHER, PARTS, Thoroughness, run_parts

app = typer.Typer(
    help="The platform and its controls in one run.", add_completion=False, no_args_is_help=True
)

SECONDS_OF_A_PART, SECONDS_OF_THE_WHOLE = 2.0, 1.5
WRONG_USE = 2
SOMETHING_FAILED = 1


def _console() -> Console:
    """As wide as the terminal; in a pipe wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


@app.command()
def run(
    parts: Annotated[
        str, typer.Option(envvar="BENCH", help="Parts to run, comma separated; empty runs all.")
    ] = "",
    rounds: Annotated[
        int, typer.Option(envvar="BENCH_ROUNDS", min=1, help="Interleaved rounds.")
    ] = 3,
    seconds: Annotated[
        float | None,
        typer.Option(envvar="BENCH_SECONDS", min=0.5, help="Seconds of each measurement."),
    ] = None,
    payments: Annotated[
        int | None,
        typer.Option(envvar="BENCH_PAYMENTS", min=1_000, help="Payments that growth fills in."),
    ] = None,
    items: Annotated[
        int | None,
        typer.Option(envvar="BENCH_ITEMS", min=100, help="Items of the long payout run."),
    ] = None,
    lines: Annotated[
        int | None, typer.Option(envvar="BENCH_LINES", min=1_000, help="Lines of the report.")
    ] = None,
) -> None:
    """Measure, print every figure beside its bar, keep the result and its plots.

    What is not said: the bars' sizes for parts that are named; for the whole smaller ones, and less
    time for each measurement.
    """
    console = _console()
    named = [name.strip() for name in parts.split(",") if name.strip()]
    chosen = named or [name for name in PARTS if name not in OF_ANOTHER]
    for name in chosen:
        if name not in PARTS:
            console.print(f"There is no part {name!r}; there are: {', '.join(PARTS)}.")
            raise typer.Exit(WRONG_USE)
    usual = OF_THE_BARS if named else OF_THE_WHOLE
    sizes = Sizes(payments or usual.payments, items or usual.items, lines or usual.lines)
    thorough = Thoroughness(
        rounds=rounds,
        few_rounds=min(rounds, 2) if named else 1,
        seconds=seconds or (SECONDS_OF_A_PART if named else SECONDS_OF_THE_WHOLE),
        sizes=sizes,
    )
    result = asyncio.run(run_parts(chosen, thorough, Console(stderr=True)))
    console.print(report.table(result))
    for name, why in result.failures.items():
        console.print(f"[bold red]{name} could not be measured:[/] {why}", highlight=False)
    console.print(f"Kept as {result.file.relative_to(results.ROOT)}.")
    raise typer.Exit(SOMETHING_FAILED if result.failures else 0)


@app.command()
def compare(
    names: Annotated[
        list[str] | None, typer.Argument(help="Two results; without any, the last two.")
    ] = None,
) -> None:
    """Print what has changed between two results."""
    console = _console()
    try:
        console.print(report.comparison(*results.two(names or [])))
    except results.NoSuchResult as error:
        console.print(str(error))
        raise typer.Exit(WRONG_USE) from error
