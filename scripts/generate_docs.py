"""Writes the pages of docs/ that are made from code: the settings and the error codes.

`python scripts/generate_docs.py` writes them; a house check fails while they are out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from api.catalogue import CATALOGUE
from recompense.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"

CONFIGURATION = """# Configuration

This page is made from `recompense/settings.py` by `scripts/generate_docs.py`. Change the code and
run the script.

Every setting is an environment variable. An empty variable counts as unset. A value that cannot
work stops the process at its start, and the message names the variable and never its value. What
is not set comes from the embedded stack in `RECOMPENSE_DATA_DIR`, where there is one, and else
from the defaults below.

How Temporal is reached is Temporal's own client configuration and works as it does for its
command line: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS`, the
`TEMPORAL_TLS_*` files, or a profile chosen by `TEMPORAL_PROFILE` and `TEMPORAL_CONFIG_FILE`.

| variable | value | default | meaning |
|---|---|---|---|
"""

ERROR_CODES = """# Error codes

This page is made from `api/catalogue.py` by `scripts/generate_docs.py`. Change the code and run
the script.

A refusal is an RFC 9457 document, `application/problem+json`, with the members `type`, `title`,
`status`, `detail`, `code` and `request_id`; a validation failure adds `errors`, a list of
`{field, code, message}`. `code` is stable: build on it and on the status, never on the words.
"""

PLAIN_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
    SecretStr: "secret",
}


def configuration_page() -> str:
    """The page of all settings, in the order in which they are declared."""
    known: dict[str, Any] = {}
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data=known)
        known[name] = default
        cells = (f"`RECOMPENSE_{name.upper()}`", value_of(field), shown(default), field.description)
        rows.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return CONFIGURATION + "\n".join(rows) + "\n"


def value_of(field: FieldInfo) -> str:
    """What may be written for a setting, in words."""
    return _type_words(field.annotation) + _bounds(field.metadata)


def _type_words(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_words(arguments[0]) + _bounds(arguments[1:])
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin in {Union, UnionType}:
        return _type_words(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return "list, comma separated"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "JSON object"
    return PLAIN_TYPES[annotation]


def _bounds(metadata: Any) -> str:  # noqa: ANN401 - pydantic's constraints, of many classes
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    found = [
        f"{sign} {getattr(constraint, name):,}".replace(",", " ")
        for constraint in _flat(metadata)
        for name, sign in signs.items()
        if getattr(constraint, name, None) is not None
    ]
    return f" {', '.join(found)}" if found else ""


def _flat(metadata: Any) -> list[Any]:  # noqa: ANN401 - as above
    return [inner for one in metadata for inner in (getattr(one, "metadata", None) or [one])]


def shown(default: Any) -> str:  # noqa: ANN401 - the default of any setting
    """A default as it would be written in the environment."""
    if default is None or default in ((), {}) or isinstance(default, BaseModel):
        return "unset"
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, tuple):
        default = ",".join(str(one) for one in default)
    if isinstance(default, bool):
        default = str(default).lower()
    return f"`{default.value if isinstance(default, Enum) else default}`"


def error_codes_page() -> str:
    """The page of all problems that the API answers with, by status."""
    by_status = sorted(CATALOGUE.items(), key=lambda item: (item[1].status, item[0]))
    parts = [ERROR_CODES]
    for status, entries in groupby(by_status, key=lambda item: item[1].status):
        rows = "\n".join(f"| `{code}` | {entry.title} |" for code, entry in entries)
        phrase = HTTPStatus(status).phrase
        parts.append(f"## {status} {phrase}\n\n| code | title |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration_page,
    "error-codes.md": error_codes_page,
}


def write() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        typer.echo(f"docs/{name}")


if __name__ == "__main__":
    typer.run(write)
