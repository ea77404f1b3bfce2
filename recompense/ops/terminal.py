"""What all commands share: options, tables, and what a person is told when something fails."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from temporalio.client import Client

from recompense.desk import SagaDesk, TemporalSilent
from recompense.persistence.database import Database
from recompense.settings import InvalidSettings, Settings, load_settings
from recompense.stack.files import StackPaths
from recompense.temporal import client_config, connect

NOT_IN_ORDER, WRONG_USE, NOT_REACHABLE = 1, 2, 3

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="RECOMPENSE_DATA_DIR", help="The data directory of the stack."),
]
Actor = Annotated[
    str | None, typer.Option(help="Who does this; your login name unless given. It is audited.")
]
Reason = Annotated[str, typer.Option(help="Why. It is audited.")]

Answer = TypeVar("Answer")


class NotInOrder(Exception):
    """What was asked for does not hold; the message says what was found."""


class WrongUse(Exception):
    """The command was given something that cannot work."""


@dataclass(frozen=True)
class Platform:
    """The parts of a running platform that a command may need."""

    settings: Settings
    database: Database
    client: Client
    desk: SagaDesk


def settings_of(data_dir: Path | None) -> Settings:
    """The settings of the stack that is meant. Raises `WrongUse` when they cannot work."""
    try:
        return load_settings(data_dir)
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """The database, closed afterwards."""
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=4,
        statement_timeout_seconds=settings.statement_timeout_seconds,
        application_name="recompense-cli",
    )
    async with AsyncExitStack() as closing:
        closing.push_async_callback(database.close)
        yield database


async def opened_client(settings: Settings) -> Client:
    """A client of Temporal. Raises `TemporalSilent`."""
    try:
        return await connect(settings)
    except RuntimeError as error:
        raise TemporalSilent(str(error)) from error
    except ValueError as error:
        if not StackPaths(settings.data_dir).stack_file.exists():
            raise TemporalSilent(f"No stack runs in {settings.data_dir}.") from error
        raise WrongUse(str(error)) from error


@asynccontextmanager
async def opened_platform(settings: Settings) -> AsyncIterator[Platform]:
    """Database and Temporal, closed afterwards."""
    async with opened_database(settings) as database:
        client = await opened_client(settings)
        desk = SagaDesk(database, client, ui_url=settings.temporal_ui_url)
        yield Platform(settings, database, client, desk)


@contextlib.contextmanager
def told_to_the_person(settings: Settings | None = None) -> Iterator[None]:
    """Turn what can go wrong into a message on stderr and an exit status."""
    try:
        yield
    except OperationalError as error:
        message = f"The database{_at_database(settings)} does not answer.{_hint(settings)}"
        raise _fail(NOT_REACHABLE, message) from error
    except TemporalSilent as error:
        message = f"Temporal{_at_temporal(settings)} does not answer.{_hint(settings)}"
        raise _fail(NOT_REACHABLE, message) from error
    except NotInOrder as error:
        raise _fail(NOT_IN_ORDER, str(error)) from error
    except WrongUse as error:
        raise _fail(WRONG_USE, str(error)) from error


def run(work: Coroutine[Any, Any, Answer], settings: Settings | None = None) -> Answer:
    """Run a command's work, and tell the person what does not work."""
    with told_to_the_person(settings):
        return asyncio.run(work)


def current_actor(actor: str | None) -> str:
    """Who is written into the audit trail."""
    if actor is not None:
        return actor
    with contextlib.suppress(OSError, KeyError):
        return f"cli:{getpass.getuser()}"
    return "cli:unknown"


def print_json(value: object) -> None:
    """One JSON document."""
    typer.echo(json.dumps(value))


def say(text: str) -> None:
    """A line for a person; colours only on a terminal, and never wrapped."""
    Console(highlight=False).print(text, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; in a pipe plain lines with a tab between the columns."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in [columns, *rows]:
            typer.echo("\t".join(row))
        return
    table = Table()
    for column in columns:
        # An id that is cut cannot be copied.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_facts(facts: Mapping[str, str | None]) -> None:
    """Names and values under each other; what has no value is left out."""
    present = {name: value for name, value in facts.items() if value}
    width = max(map(len, present), default=0)
    for name, value in present.items():
        typer.echo(f"{name.ljust(width)}  {value}")


def _fail(status: int, message: str) -> typer.Exit:
    Console(stderr=True, highlight=False).print(message, soft_wrap=True, markup=False, style="red")
    return typer.Exit(status)


def _at_database(settings: Settings | None) -> str:
    if settings is None:
        return ""
    url = make_url(settings.database_url.get_secret_value())
    return f" at {url.render_as_string(hide_password=True)}"


def _at_temporal(settings: Settings | None) -> str:
    return "" if settings is None else f" at {client_config(settings).get('target_host')}"


def _hint(settings: Settings | None) -> str:
    """What is probably wrong, when no stack has left its addresses where they are looked for."""
    if settings is None or StackPaths(settings.data_dir).stack_file.exists():
        return ""
    return f" No stack runs in {settings.data_dir}: start one with `recompense stack up`."
