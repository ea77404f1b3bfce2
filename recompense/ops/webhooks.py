"""`recompense webhooks`: who takes our events, how deliveries stand, and one more by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from recompense.contracts.events import WebhookEndpointView
from recompense.ops.terminal import (
    Actor,
    AsJson,
    DataDir,
    NotInOrder,
    current_actor,
    opened_database,
    print_facts,
    print_json,
    print_table,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.persistence import webhooks
from recompense.persistence.reads import Filters
from recompense.persistence.webhooks import DeliveryRow

app = typer.Typer(help="See webhook endpoints, and deliver again.", no_args_is_help=True)

_COLUMNS = ("event", "type", "state", "tries", "last", "next")

Merchant = Annotated[str | None, typer.Option(help="Those of one merchant.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


@app.command("list")
def list_(
    merchant: Merchant = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the endpoints, newest first."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> list[WebhookEndpointView]:
        async with opened_database(settings) as database, database.transaction() as session:
            rows = await webhooks.listed(session, Filters(limit=limit, merchant_id=merchant))
            return [webhooks.endpoint_view(row) for row in rows[:limit]]

    found = run(work(), settings)
    if as_json:
        print_json({"data": [one.model_dump(mode="json") for one in found]})
        return
    columns = ["endpoint", "merchant", "status", "url", "events"]
    print_table(
        columns,
        [
            [one.id, one.merchant_id or "all", one.status, one.url, " ".join(one.events)]
            for one in found
        ],
    )


@app.command()
def show(
    endpoint_id: Annotated[str, typer.Argument(help="For example whe_01J...")],
    limit: Limit = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show an endpoint and its newest deliveries."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> tuple[WebhookEndpointView, str | None, list[DeliveryRow]]:
        async with opened_database(settings) as database, database.transaction() as session:
            endpoint = await webhooks.find(session, endpoint_id)
            if endpoint is None:
                raise NotInOrder(f"There is no endpoint {endpoint_id}.")
            failing = endpoint.failing_since.isoformat() if endpoint.failing_since else None
            newest = await webhooks.newest_deliveries(session, endpoint_id, limit)
            return webhooks.endpoint_view(endpoint), failing, newest

    view, failing, newest = run(work(), settings)
    if as_json:
        shown = view.model_dump(mode="json") | {"failing_since": failing}
        print_json(shown | {"deliveries": [_data(row) for row in newest]})
        return
    print_facts(
        {
            "endpoint": view.id,
            "merchant": view.merchant_id or "all",
            "url": view.url,
            "events": " ".join(view.events),
            "status": view.status,
            "failing since": failing,
        }
    )
    print_table(_COLUMNS, [_row(row) for row in newest])


@app.command()
def redeliver(
    event_id: Annotated[str, typer.Argument(help="For example evt_01J...")],
    endpoint: Annotated[
        str | None, typer.Option(help="To this endpoint only; else to all that take it.")
    ] = None,
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Deliver an event once more, under its id. Workers send it within a second."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> list[DeliveryRow]:
        async with opened_database(settings) as database, database.transaction() as session:
            event = await webhooks.find_event(session, event_id)
            if event is None:
                raise NotInOrder(f"There is no event {event_id}.")
            who = current_actor(actor)
            await webhooks.send_again(session, event, seen_by=None, endpoint_id=endpoint, actor=who)
            rows = await webhooks.deliveries_of(session, event_id, seen_by=None)
            return [row for row in rows if row.state == "pending"]

    under_way = run(work(), settings)
    if as_json:
        print_json({"data": [_data(row) for row in under_way]})
    elif under_way:
        typer.echo(f"{event_id} goes to {', '.join(row.endpoint_id for row in under_way)}.")
    else:
        typer.echo(f"No enabled endpoint takes {event_id}.")


def _data(row: DeliveryRow) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in asdict(row).items()
    }


def _row(row: DeliveryRow) -> list[str]:
    last = " ".join(str(word) for word in (row.last_outcome, row.last_status) if word)
    following = row.next_attempt_at.isoformat(timespec="seconds") if row.next_attempt_at else "-"
    return [row.event_id, row.type, row.state, str(row.tries), last or "-", following]
