"""`recompense stack` and `recompense db`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from recompense.settings import InvalidSettings, Settings, load_settings
from recompense.stack.control import PartReport, Stack, StackReport, followed, tail
from recompense.stack.errors import NOT_IN_ORDER, UNREACHABLE, WRONG_USE, StackError, WrongUse
from recompense.stack.files import StackFile
from recompense.stack.launch import StackFailed, start_in_background
from recompense.stack.options import StackOptions
from recompense.stack.state import PartState

app = typer.Typer(
    help="Start, watch and stop the embedded stack.", no_args_is_help=True, add_completion=False
)
db_app = typer.Typer(
    help="Bring the database up to date.", no_args_is_help=True, add_completion=False
)

GROUPS = ("postgres", "temporal", "sandbox", "codec", "api", "workers")
DEFAULT_DATA_DIR: Path = Settings.model_fields["data_dir"].default

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar="RECOMPENSE_DATA_DIR", help="Where the stack keeps all it has."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
PartName = Annotated[str, typer.Argument(metavar="PART", help=f"One of: {', '.join(GROUPS)}.")]


@app.command()
def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port_base: Annotated[
        int | None, typer.Option(help="First of six ports in a row, instead of the usual ones.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many worker processes to run.")
    ] = None,
    no_restart: Annotated[
        bool, typer.Option("--no-restart", help="Leave a part that dies as it is.")
    ] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay until Ctrl-C or SIGTERM, logging to stderr.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="Do not start a part: you run your own. Repeatable."),
    ] = None,
) -> None:
    """Start the stack; done when every part answers."""
    options = StackOptions(
        data_dir=data_dir.resolve(),
        port_base=port_base,
        workers=workers,
        restart=not no_restart,
        without=tuple(without or ()),
    )
    with _told_to_the_person():
        _check_groups(options.without)
        if Stack(data_dir).supervisor() is not None:
            _report_running_stack(Stack(data_dir))
        elif foreground:
            from recompense.stack.serve import supervise

            raise typer.Exit(supervise(options))
        else:
            start_in_background(options, _progress(Console(stderr=True)))
            _print_addresses(Stack(data_dir).stack_file())


@app.command()
def down(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Drain the stack in order. Its state stays."""
    with _told_to_the_person():
        was_up = Stack(data_dir).down()
    typer.echo("The stack is down." if was_up else f"No stack runs in {data_dir}.")


@app.command()
def status(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Show every part. Exit status 3 when one does not answer."""
    with _told_to_the_person():
        report = Stack(data_dir).report()
        if report is None:
            raise StackError(f"no stack runs in {data_dir}")
        if as_json:
            typer.echo(json.dumps(_as_data(report)))
        else:
            _print_report(report)
        raise typer.Exit(0 if report.in_order else UNREACHABLE)


@app.command()
def logs(
    part: PartName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the log of a part (also: supervisor, migrate)."""
    with _told_to_the_person():
        files = Stack(data_dir).logs(part)
        if not follow:
            for file in files:
                typer.echo(file.read_text(encoding="utf-8", errors="replace"), nl=False)
            return
        with contextlib.suppress(KeyboardInterrupt):
            for text in followed(files):
                typer.echo(text, nl=False)


@app.command()
def restart(part: PartName, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop a part as `down` would, and start it again."""
    with _told_to_the_person():
        Stack(data_dir).restart(part)
    typer.echo(f"{part} was started again.")


@app.command()
def reset(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Take the stack down and empty it: database, sagas, secrets, logs."""
    with _told_to_the_person():
        Stack(data_dir).reset()
    typer.echo(f"The stack in {data_dir} is empty.")


@app.command()
def prepare(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Register the search attributes at a Temporal server that is not the stack's own."""
    import asyncio

    from temporalio.client import Client
    from temporalio.service import RPCError

    from recompense.stack.temporal_server import add_search_attributes
    from recompense.temporal import client_config

    async def run(settings: Settings) -> list[str]:
        config = client_config(settings)
        try:
            return await add_search_attributes(await Client.connect(**config))
        except (RPCError, RuntimeError) as error:
            raise StackError(f"Temporal at {config['target_host']}: {error}") from error

    with _told_to_the_person():
        added = asyncio.run(run(load_settings(data_dir)))
    typer.echo(f"Registered: {', '.join(added)}." if added else "All search attributes are there.")


@db_app.command()
def migrate(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database to this version's schema."""
    from recompense.persistence.migrations import upgrade

    with _told_to_the_person():
        url = load_settings(data_dir).owner_database_url
        with _database_errors(url):
            upgrade(url)
    typer.echo("The database is up to date.")


@db_app.command()
def check(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Compare the database with this version. Exit status 1 when it is behind or ahead."""
    from recompense.persistence.migrations import head_revision
    from recompense.stack.revision import database_revision

    with _told_to_the_person():
        url = load_settings(data_dir).database_url.get_secret_value()
        with _database_errors(url):
            found, expected = database_revision(url), head_revision()
    if as_json:
        typer.echo(json.dumps({"revision": found, "expected": expected}))
    else:
        typer.echo(f"The database is at {found or 'nothing'}; this version expects {expected}.")
    raise typer.Exit(0 if found == expected else NOT_IN_ORDER)


@contextlib.contextmanager
def _told_to_the_person() -> Iterator[None]:
    """Turn what can go wrong into a message and an exit status."""
    try:
        yield
    except StackFailed as error:
        if error.failure.log is not None:
            typer.secho(f"--- the end of {error.failure.log}", err=True, dim=True)
            typer.echo(tail(Path(error.failure.log)), err=True)
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(error.exit_status) from error
    except StackError as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(error.exit_status) from error
    except InvalidSettings as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(WRONG_USE) from error


@contextlib.contextmanager
def _database_errors(url: str) -> Iterator[None]:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        place = make_url(url)
        address = f"{place.host}:{place.port or 5432}"
        raise StackError(f"PostgreSQL at {address} does not answer: {error.orig}") from error


def _check_groups(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in GROUPS:
            raise WrongUse(f"there is no part {name!r}; there are: {', '.join(GROUPS)}")


def _report_running_stack(stack: Stack) -> None:
    report = stack.report()
    if report is None or not report.in_order:
        raise StackError(
            "the stack runs, and a part does not answer: see `recompense stack status`"
        )
    typer.echo("The stack runs already.")
    _print_addresses(stack.stack_file())


def _progress(console: Console) -> Callable[[PartState], None]:
    def on_part(part: PartState) -> None:
        if part.phase == "ready":
            console.print(f"  {part.title} is ready at {part.address}", highlight=False)

    return on_part


def _print_addresses(stack: StackFile) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("API", f"{stack.api_url}/docs"),
        ("Temporal UI", stack.temporal.ui_url),
        ("sandbox provider", stack.sandbox_url),
        ("logs", stack.logs),
    ):
        table.add_row(name, value)
    Console().print(table, highlight=False, soft_wrap=True)


def _print_report(report: StackReport) -> None:
    table = Table("part", "state", "pid", "restarts", "address")
    for part in report.parts:
        table.add_row(*_row(part))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if not report.supervised:
        typer.secho("The supervisor is gone: `recompense stack up` starts afresh.", err=True)
    for part in report.parts:
        if not part.answers:
            typer.secho(f"{part.state.title} does not answer at {part.state.address}", err=True)


def _row(part: PartReport) -> tuple[str, str, str, str, str]:
    state = "answers" if part.answers else part.state.phase
    name, address = part.state.name, part.state.address
    return name, state, str(part.pid or ""), str(part.state.restarts), address


def _as_data(report: StackReport) -> dict[str, Any]:
    return {
        "supervised": report.supervised,
        "in_order": report.in_order,
        "parts": [
            {
                "name": part.state.name,
                "state": part.state.phase,
                "answers": part.answers,
                "pid": part.pid,
                "restarts": part.state.restarts,
                "address": part.state.address,
                "log": part.state.log,
            }
            for part in report.parts
        ],
    }
