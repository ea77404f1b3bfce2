"""`recompense providers`: policies in force, breakers, and a check against a live endpoint."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from activities.breakers import BreakerTable
from adapters import registry
from adapters.breaker import CLOSED, BreakerState, OperationClass, held_open
from adapters.registration import Provider
from adapters.transport import ObservedTransport
from recompense.contracts.provider import CallRecord
from recompense.ops.check_calls import CheckOptions
from recompense.ops.check_results import CheckResult, Verdict
from recompense.ops.faulty_network import FaultyNetwork
from recompense.ops.new_provider import write_skeleton
from recompense.ops.provider_check import check_provider
from recompense.ops.terminal import (
    NOT_IN_ORDER,
    Actor,
    AsJson,
    DataDir,
    Reason,
    WrongUse,
    current_actor,
    opened_database,
    print_json,
    print_table,
    run,
    settings_of,
    told_to_the_person,
)
from recompense.persistence.outbox import audit
from recompense.persistence.shadow_readings import ShadowReading, of_provider
from recompense.settings import Settings

app = typer.Typer(help="Watch and check providers.", no_args_is_help=True)

_CONFIGURED = "its configuration is valid"

Name = Annotated[str, typer.Argument(help="For example sandbox.")]


class BreakerOrder(StrEnum):
    """What a person may order. `open` holds until `close`."""

    OPEN = "open"
    CLOSE = "close"


@app.command("list")
def list_(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the served providers with their policies and breakers."""
    with told_to_the_person():
        settings = settings_of(data_dir)

    async def work() -> list[dict[str, Any]]:
        async with opened_database(settings) as database:
            table = BreakerTable(database)
            return [
                _data(
                    name, settings, {kind: await table.load(name, kind) for kind in OperationClass}
                )
                for name in settings.providers
            ]

    found = run(work(), settings)
    if as_json:
        print_json({"data": found})
        return
    columns = ["provider", "call", "tries", "gives up after", "looked up", "limits", "breaker"]
    print_table(columns, [row for one in found for row in _rows(one)])


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The adapter's name, for example acme.")],
    into: Annotated[Path, typer.Option(help="The root of the sources.")] = Path(),
) -> None:
    """Write the skeleton of an adapter: its folder, its conformance target, its registry line."""
    with told_to_the_person():
        skeleton = write_skeleton(name, into)
    for path in skeleton.files:
        typer.echo(f"written: {path}")
    typer.echo("Next:")
    for step in skeleton.next_steps:
        typer.echo(f"  {step}")


@app.command()
def check(
    name: Name,
    card: Annotated[str, typer.Option(help="Token of a card that pays.")] = "tok_ok",
    refused_card: Annotated[
        str, typer.Option(help="Token of a card that is refused.")
    ] = "tok_declined",
    account: Annotated[str, typer.Option(help="Token of a bank account.")] = "tok_ok",
    currency: Annotated[str, typer.Option(help="What the account takes.")] = "EUR",
    action_card: Annotated[
        str | None,
        typer.Option(help="Token of a card whose payer has to act; the sandbox's is known."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Check an adapter against its live endpoint: every rule, and why one is not asked.

    It moves the smallest amounts: use a test account.
    """
    with told_to_the_person():
        settings = settings_of(data_dir)
        _known(name, settings)
    if action_card is None and name == "sandbox":
        action_card = "tok_3ds"
    options = CheckOptions(card, refused_card, account, currency, action_card)

    async def work() -> tuple[CheckResult, ...]:
        network = FaultyNetwork()
        transport = ObservedTransport(_nothing_to_note, network=network)
        try:
            try:
                provider = _built(name, settings, transport)
            except ValidationError as error:
                return (CheckResult(_CONFIGURED, Verdict.WRONG, _said(error)),)
            checked = await check_provider(provider.port, provider.capabilities, options, network)
            return CheckResult(_CONFIGURED, Verdict.OK), *checked
        finally:
            await transport.aclose()

    results = run(work(), settings)
    if as_json:
        checks = [
            {"name": r.name, "passed": r.passed, "result": r.verdict, "seen": r.seen}
            for r in results
        ]
        print_json({"provider": name, "checks": checks})
    else:
        rows = [[r.name, r.verdict.value, r.seen or "-"] for r in results]
        print_table(["check", "result", "seen"], rows)
        counted = Counter(r.verdict.value for r in results)
        typer.echo(", ".join(f"{number} {kind}" for kind, number in sorted(counted.items())))
    raise typer.Exit(0 if all(r.passed for r in results) else NOT_IN_ORDER)


@app.command()
def breaker(
    name: Name,
    order: BreakerOrder,
    reason: Reason,
    actor: Actor = None,
    data_dir: DataDir = None,
) -> None:
    """Stop all calls to a provider, or let them through again.

    An order to stop holds until the opposite is ordered.
    """
    with told_to_the_person():
        settings = settings_of(data_dir)
        _known(name, settings)
    target = held_open() if order is BreakerOrder.OPEN else CLOSED

    async def work() -> None:
        async with opened_database(settings) as database:
            async with database.transaction() as session:
                audit(
                    session,
                    actor=current_actor(actor),
                    action=f"breaker_{order}",
                    target=f"provider/{name}",
                    reason=reason,
                )
            table = BreakerTable(database)
            for kind in OperationClass:
                await table.update(name, kind, lambda _: target)

    run(work(), settings)
    done = "are stopped" if order is BreakerOrder.OPEN else "go through again"
    typer.echo(f"Calls to {name} {done}; workers notice within a second.")


@app.command()
def shadow(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show what the shadow of a provider has read otherwise than the live adapter."""
    with told_to_the_person():
        settings = settings_of(data_dir)
        _known(name, settings)

    async def work() -> list[ShadowReading]:
        async with opened_database(settings) as database, database.transaction() as session:
            return await of_provider(session, name)

    found = run(work(), settings)
    if as_json:
        print_json({"provider": name, "data": [row.model_dump(mode="json") for row in found]})
        return
    columns = ["candidate", "call", "reading", "times", "last at"]
    print_table(
        columns,
        [[r.candidate, r.operation, r.difference, str(r.times), r.effect_key] for r in found],
    )
    if name not in settings.shadows:
        typer.echo(f"{name} has no shadow now; RECOMPENSE_SHADOWS names one.")


def _said(error: ValidationError) -> str:
    """What is wrong with a configuration, without what stands there: it may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


def _known(name: str, settings: Settings) -> None:
    if name not in settings.providers:
        served = ", ".join(settings.providers)
        raise WrongUse(f"There is no provider {name}; served are: {served}.")


def _built(name: str, settings: Settings, transport: ObservedTransport) -> Provider:
    return registry.build(
        name,
        settings.provider_config(name),
        transport=transport,
        overrides=settings.policy_overrides.get(name),
    )


def _data(
    name: str, settings: Settings, breakers: dict[OperationClass, BreakerState]
) -> dict[str, Any]:
    policies = registry.policies_in_force(name, settings.policy_overrides.get(name))
    return {
        "name": name,
        "capabilities": registry.registration(name).capabilities.model_dump(mode="json"),
        "policies": policies.model_dump(mode="json"),
        "breaker": {kind.value: state.phase.value for kind, state in breakers.items()},
    }


def _rows(one: dict[str, Any]) -> list[list[str]]:
    phases = ", ".join(f"{kind} {phase}" for kind, phase in one["breaker"].items())
    calls, rate = one["policies"]["calls"], one["policies"]["rate_limit_per_second"]
    limits = f"{one['policies']['maximum_concurrency']} at once"
    limits += "" if rate is None else f", {rate} a second"
    look_up = calls["lookup"]["maximum_attempts"]
    return [
        [
            one["name"],
            operation,
            str(policy["maximum_attempts"]),
            f"{policy['schedule_to_close_seconds']} s",
            "-" if operation == "lookup" else f"{look_up} times",
            limits,
            phases.replace("_", " "),
        ]
        for operation, policy in calls.items()
    ]


def _nothing_to_note(record: CallRecord) -> None:
    """The check prints its own findings."""
