"""Every refusal of the API, as RFC 9457 problem documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.catalogue import CATALOGUE, Entry
from recompense.contracts.sagas import Refusal

MEDIA_TYPE = "application/problem+json"
RETRY_SOON = {"Retry-After": "1"}

_RESERVED = frozenset({"type", "title", "status", "detail", "code", "request_id", "errors"})


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(frozen=True)

    field: str
    code: str
    message: str


class ProblemDocument(BaseModel):
    """The body of every refusal. Some codes add members of their own, such as `existing_id`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable: decide by this, never by the texts.")
    request_id: str
    errors: list[FieldError] | None = None


class Problem(Exception):
    """Refuse a request with one code of the catalogue."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, str] | None = None,
    ) -> None:
        # A refusal that a saga decided may have a code of its own: it is a conflict like the
        # others.
        entry = CATALOGUE.get(code, Entry(409, "The state forbids it"))
        super().__init__(detail or entry.title)
        self.code = code
        self.status = entry.status
        self.title = entry.title
        self.detail = detail or f"{entry.title}."
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def document(self, request_id: str) -> str:
        """The problem as JSON."""
        body: dict[str, Any] = {
            "type": f"/docs#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = [error.model_dump() for error in self.errors]
        body |= {name: value for name, value in self.members.items() if name not in _RESERVED}
        return json.dumps(body)

    def response(self, request_id: str) -> Response:
        """The problem as an answer."""
        return Response(self.document(request_id), self.status, self.headers, MEDIA_TYPE)


def of_refusal(refusal: Refusal) -> Problem:
    """A saga's refusal as the caller sees it."""
    return Problem(refusal.code, refusal.message, members=refusal.members)


def invalid(field: str, code: str, message: str) -> Problem:
    """One field that is not valid."""
    error = FieldError(field=field, code=code, message=message)
    return Problem("validation_failed", f"{field}: {message}", errors=[error])
