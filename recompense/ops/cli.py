"""The `recompense` command: one sub-command for each area, loaded when it is asked for."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

AREAS: Mapping[str, tuple[str, str, str]] = {
    "stack": ("recompense.stack.commands", "app", "Start, watch and stop the embedded stack."),
    "db": ("recompense.stack.commands", "db_app", "Bring the database up to date."),
    "sagas": ("recompense.ops.sagas", "app", "Find, understand and repair sagas."),
    "ledger": ("recompense.ops.ledger", "app", "Check the books and read balances."),
    "statements": ("recompense.ops.statements", "app", "Write statements of merchants."),
    "providers": ("recompense.ops.providers", "app", "Watch and check providers."),
    "payout-runs": ("recompense.ops.payout_runs", "app", "Make, approve and resume payout runs."),
    "bank-files": ("recompense.ops.bank_files", "app", "See what went to banks, and what came."),
    "reconcile": ("recompense.ops.reconcile", "app", "Compare providers' reports with the books."),
    "breaks": ("recompense.ops.breaks", "app", "See and resolve what reconciliation found."),
    "webhooks": ("recompense.ops.webhooks", "app", "See webhook endpoints, and deliver again."),
    "schedules": ("recompense.ops.schedules", "app", "See, pause and resume schedules."),
    "tokens": ("recompense.ops.tokens", "app", "Make access tokens."),
    "keys": ("recompense.ops.keys", "app", "Make and revoke API keys."),
}
"""Area: the module of its Typer application, the application's name there, and one line of help."""


class LazyArea(TyperGroup):
    """Stands for an area and imports its module when one of its commands is asked for.

    The help of the whole command and a quick answer should not wait for Temporal and SQLAlchemy.
    """

    def __init__(self, name: str) -> None:
        _, _, help_line = AREAS[name]
        super().__init__(name=name, help=help_line, no_args_is_help=True)

    @cached_property
    def _area(self) -> Any:  # noqa: ANN401 - a command group of whatever click typer carries
        module, variable, _ = AREAS[self.name or ""]
        return typer.main.get_command(getattr(importlib.import_module(module), variable))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - as above
        """The names of the area's commands."""
        names: list[str] = self._area.list_commands(ctx)
        return names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above
        """One command of the area."""
        return self._area.get_command(ctx, cmd_name)


class LazyAreas(TyperGroup):
    """The whole command, its areas not yet loaded."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - as above
        """The areas' names, and the commands that stand alone."""
        return [*AREAS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above
        """An area, or a command that stands alone."""
        return LazyArea(cmd_name) if cmd_name in AREAS else super().get_command(ctx, cmd_name)


app = typer.Typer(
    cls=LazyAreas, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def recompense() -> None:
    """Run and operate Recompense: sagas, ledger, providers, payout runs, reconciliation."""


@app.command("replay-check")
def replay_check(
    histories: Annotated[
        Path, typer.Option(help="Folder of histories, as `temporal workflow show -o json` writes.")
    ] = Path("tests/replay/histories"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay the recorded histories with today's code. Exit status 1 when one does not fit."""
    from recompense.ops.replay_check import check_histories

    raise typer.Exit(check_histories(histories, as_json=as_json))


@app.command()
def verify(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for a program to read.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="RECOMPENSE_DATA_DIR", help="The data directory of the stack."),
    ] = None,
) -> None:
    """Ask what the watch asks, and check all payments. Exit status 1 when something is wrong."""
    from recompense.ops.watch import verify as verify_all

    raise typer.Exit(verify_all(data_dir, as_json=as_json))


@app.command()
def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="RECOMPENSE_DATA_DIR", help="The data directory of the stack."),
    ] = None,
) -> None:
    """Take the guided tour of a running stack: real payments, and what goes wrong with them."""
    from recompense.ops.tour import take_tour

    raise typer.Exit(take_tour(data_dir))


def main() -> None:
    """Run the command line.

    The process ends without Python's own shutdown: a thread of Temporal's SDK that has just handed
    an answer over may still have to give the interpreter back, and would abort the process.
    """
    try:
        app()
    except SystemExit as ended:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        if ended.code is None or isinstance(ended.code, int):
            os._exit(ended.code or 0)
        raise


if __name__ == "__main__":
    main()
