"""Request bodies: bounded, strict JSON, no card numbers, nothing unknown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Generic, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from api.problems import FieldError, Problem, invalid
from recompense.domain.card_numbers import holds_card_number

_LONGEST_NUMBER = 32
_BEYOND_ALL_AMOUNTS = 10**30
_LONGEST_NAME_SHOWN = 100


class Body(BaseModel):
    """A request body: what it does not name is refused, and no type is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Body)


class JsonBody(Generic[Model]):
    """The dependency that reads a route's body.

    With `optional` an absent body is an empty object.
    """

    def __init__(self, model: type[Model], *, optional: bool = False) -> None:
        self.model = model
        self.optional = optional

    async def __call__(self, request: Request) -> Model:
        """Read and check the body, and note its fingerprint for the idempotency key."""
        limit: int = request.app.state.parts.options.max_body_bytes
        raw = await read_bounded(request, limit)
        document: Any = {}
        if raw or not self.optional:
            if raw and not _is_json(request.headers.get("content-type", "")):
                raise Problem("unsupported_media_type")
            document = parsed(raw)
        refuse_unstorable(document)
        refuse_card_numbers(document)
        try:
            body = self.model.model_validate(document)
        except ValidationError as error:
            raise of_validation(error) from None
        request.state.fingerprint = fingerprint(document)
        return body


async def read_bounded(request: Request, limit: int) -> bytes:
    """The raw body. Raises `Problem` 413 as soon as it is too long, whatever its headers claim."""
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit:
            raise Problem("body_too_large", f"A body has at most {limit} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def parsed(raw: bytes) -> Any:  # noqa: ANN401 - JSON holds anything
    """Parse strict JSON in UTF-8. Raises `Problem` 400."""
    try:
        return json.loads(raw.decode(), parse_int=_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Problem("malformed_json") from None


def fingerprint(document: Any) -> bytes:  # noqa: ANN401 - JSON holds anything
    """The digest of a body that does not depend on key order and white space."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def refuse_unstorable(document: Any) -> None:  # noqa: ANN401 - JSON holds anything
    """Refuse text that no database can hold: NUL characters and halves of surrogate pairs."""
    for path, text in strings(document):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise invalid(path or "body", "invalid_text", "holds a character that is not text")


def refuse_card_numbers(document: Any) -> None:  # noqa: ANN401 - JSON holds anything
    """Refuse a body that holds what looks like a card number, in any string, keys included."""
    for path, text in strings(document):
        if holds_card_number(text):
            shown = "body" if holds_card_number(path) else path
            error = FieldError(
                field=shown, code="pan_not_accepted", message="looks like a card number"
            )
            raise Problem(
                "pan_not_accepted",
                "Send a provider's token instead of a card number.",
                errors=[error],
            )


def strings(document: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """All strings of a document with their paths; a key stands under its object's path."""
    if isinstance(document, str):
        yield path, document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield f"{path}.(name)" if path else "(name)", key
            yield from strings(value, f"{path}.{key}" if path else key)
    elif isinstance(document, list):
        for value in document:
            yield from strings(value, path)


def of_validation(error: ValidationError) -> Problem:
    """What pydantic found, in our words; the values themselves are never repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        FieldError(
            field=".".join(map(str, one["loc"]))[:_LONGEST_NAME_SHOWN] or "body",
            code=one["type"],
            message=_message(one["type"], one["msg"]),
        )
        for one in found
    ]
    return Problem("validation_failed", f"{errors[0].field}: {errors[0].message}", errors=errors)


def _message(kind: str, message: str) -> str:
    return "Unknown field" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def _integer(digits: str) -> int:
    # Python refuses to read very long numbers at all; to us they are all too large.
    return int(digits) if len(digits) <= _LONGEST_NUMBER else _BEYOND_ALL_AMOUNTS


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
