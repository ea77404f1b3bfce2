"""`recompense reconcile`: compare a provider's report with the books, and read how that went."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from recompense.contracts.reconciliation import (
    FIRST_REPORT_DATE,
    LAST_REPORT_DATE,
    ReconciliationStatus,
    ReconciliationView,
)
from recompense.desk import reconciliations
from recompense.desk.executions import answered
from recompense.domain.ids import IdPrefix, new_id
from recompense.ops.terminal import (
    NOT_IN_ORDER,
    Actor,
    AsJson,
    DataDir,
    WrongUse,
    current_actor,
    opened_database,
    opened_platform,
    print_facts,
    print_json,
    print_table,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.persistence import reconciling
from recompense.persistence.settlement_tables import Reconciliation
from recompense.persistence.settlement_views import reconciliation_view

app = typer.Typer(help="Compare providers' reports with the books.", no_args_is_help=True)

_COLUMNS = ["reconciliation", "provider", "date", "status", "lines", "matched", "breaks", "why"]


@app.command("run")
def run_(
    provider: Annotated[str, typer.Argument(help="For example sandbox.")],
    report_date: Annotated[str, typer.Argument(metavar="DATE", help="YYYY-MM-DD.")],
    actor: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Fetch the report of a date, compare it, and wait. Exit status 1 when it is not clean."""
    with told_to_the_person():
        settings = settings_of(data_dir)
        day = _date(report_date)
        if provider not in settings.providers:
            served = ", ".join(settings.providers)
            raise WrongUse(f"There is no provider {provider}; served are: {served}.")

    async def work() -> ReconciliationView:
        async with opened_platform(settings) as platform:
            given = await reconciliations.begin(
                platform.database,
                new_id(IdPrefix.RECONCILIATION),
                provider=provider,
                report_date=day,
                requested_by=current_actor(actor),
            )
            await answered(reconciliations.start(platform.client, given))
            await platform.client.get_workflow_handle(given.workflow_id).result()
            async with platform.database.transaction() as session:
                row = await session.get(Reconciliation, given.reconciliation_id)
        if row is None:
            raise WrongUse("The reconciliation is not there any more.")
        return reconciliation_view(row)

    found = run(work(), settings)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_facts(dict(zip(_COLUMNS, _row(found), strict=True)))
    raise typer.Exit(0 if found.status is ReconciliationStatus.CLEAN else NOT_IN_ORDER)


@app.command("list")
def list_(
    provider: Annotated[str | None, typer.Option(help="Only of this provider.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List reconciliations, the newest first."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> list[ReconciliationView]:
        async with opened_database(settings) as database, database.transaction() as session:
            found = await reconciling.listed(
                session, provider=provider, status=None, before=None, limit=limit
            )
            return [reconciliation_view(row) for row in found[:limit]]

    found = run(work(), settings)
    if as_json:
        print_json({"data": [one.model_dump(mode="json") for one in found]})
        return
    print_table(_COLUMNS, [_row(one) for one in found])


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise WrongUse(f"{text} is no date; write it as YYYY-MM-DD.") from error
    if not FIRST_REPORT_DATE <= day <= LAST_REPORT_DATE:
        raise WrongUse(f"No provider reports of {text}.")
    return day


def _row(one: ReconciliationView) -> list[str]:
    why = "" if one.failure is None else f"{one.failure.code}: {one.failure.message}"
    figures = [str(count) for count in (one.lines, one.matched, one.breaks)]
    return [one.id, one.provider, one.date.isoformat(), one.status.value, *figures, why]
