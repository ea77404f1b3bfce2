"""`recompense tokens`: access tokens of the embedded stack."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer

from recompense.contracts.scopes import Scope
from recompense.ops.terminal import (
    AsJson,
    DataDir,
    WrongUse,
    print_json,
    settings_of,
    told_to_the_person,
)
from recompense.stack.tokens import TokenIssuer

app = typer.Typer(help="Make access tokens.", no_args_is_help=True)

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@app.callback()
def tokens() -> None:
    """Make access tokens."""


@app.command()
def mint(
    scopes: Annotated[str, typer.Option(help="Scopes, comma separated: payments:read,ops:read.")],
    subject: Annotated[
        str | None, typer.Option(help="Who is meant; a new one each time unless given.")
    ] = None,
    merchant: Annotated[str | None, typer.Option(help="Bind the token to a merchant.")] = None,
    ttl: Annotated[str, typer.Option(help="How long it lives: 60s, 30m, 8h, 1d.")] = "1h",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Sign a token with the secret of the embedded stack."""
    with told_to_the_person():
        settings = settings_of(data_dir)
        if settings.jwt_secret is None:
            raise WrongUse(
                "There is no RECOMPENSE_JWT_SECRET, and no stack in the data directory:"
                " tokens come from your identity provider then."
            )
        wanted, lifetime = parsed_scopes(scopes), parsed_ttl_seconds(ttl)
    issuer = TokenIssuer(
        secret=settings.jwt_secret.get_secret_value(),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )
    token, expires_at = issuer.mint(
        subject=subject or f"minted-{uuid.uuid4().hex}",
        scopes=wanted,
        merchant_id=merchant,
        lifetime_seconds=lifetime,
    )
    if as_json:
        expires = datetime.fromtimestamp(expires_at, UTC).isoformat().replace("+00:00", "Z")
        print_json({"token": token, "expires_at": expires})
    else:
        typer.echo(token)


def parsed_scopes(scopes: str) -> tuple[Scope, ...]:
    """Scopes from a comma-separated list. Raises `WrongUse` for one that does not exist."""
    names = [name.strip() for name in scopes.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Scope)]
    if unknown or not names:
        raise WrongUse(f"Unknown scopes: {', '.join(unknown) or 'none'}; there are: {_known()}.")
    return tuple(Scope(name) for name in names)


def parsed_ttl_seconds(ttl: str) -> float:
    """Seconds from `60s`, `30m`, `8h` or `1d`. Raises `WrongUse`."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", ttl)
    if match is None or int(match[1]) == 0:
        raise WrongUse(f"{ttl!r} is not a time to live: 60s, 30m, 8h, 1d.")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def _known() -> str:
    return ", ".join(Scope)
