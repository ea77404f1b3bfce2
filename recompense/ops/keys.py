"""`recompense keys`: API keys, shown once."""

from __future__ import annotations

from typing import Annotated

import typer

from recompense.ops.terminal import (
    Actor,
    AsJson,
    DataDir,
    NotInOrder,
    Reason,
    current_actor,
    opened_database,
    print_json,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.ops.tokens import parsed_scopes
from recompense.persistence import api_keys

app = typer.Typer(help="Make and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for, in a few words.")],
    scopes: Annotated[str, typer.Option(help="Scopes, comma separated.")],
    merchant: Annotated[str | None, typer.Option(help="Bind the key to a merchant.")] = None,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key. It is shown now and never again."""
    with told_to_the_person():
        settings, wanted = settings_of(data_dir), parsed_scopes(scopes)

    async def work() -> tuple[str, str]:
        async with opened_database(settings) as database, database.transaction() as session:
            row, key = await api_keys.create(
                session,
                name=name,
                scopes=wanted,
                merchant_id=merchant,
                actor=current_actor(actor),
            )
            return row.id, key

    key_id, key = run(work(), settings)
    if as_json:
        print_json({"id": key_id, "key": key})
    else:
        typer.echo(key)
        typer.echo(f"Its id is {key_id}. The key itself is not kept: note it now.", err=True)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="For example key_01J...")],
    reason: Reason,
    actor: Actor = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key. Callers notice within a minute."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> None:
        async with opened_database(settings) as database, database.transaction() as session:
            who = current_actor(actor)
            if not await api_keys.revoke(session, key_id, actor=who, reason=reason):
                raise NotInOrder(f"There is no key {key_id} that could be revoked.")

    run(work(), settings)
    typer.echo(f"{key_id} is revoked.")
