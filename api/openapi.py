"""What the routes say of themselves in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response

from api.access import Allows
from api.catalogue import CATALOGUE
from api.problems import MEDIA_TYPE, ProblemDocument
from recompense.contracts.scopes import Scope

_SCHEMA = "#/components/schemas/{name}"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": _SCHEMA.format(name="ProblemDocument")}}}
_BODIES: dict[str, type[BaseModel]] = {}

_REFUSALS = {
    400: "The Idempotency-Key or the body cannot be read.",
    401: "No valid token or API key.",
    403: "The token lacks the scope.",
    404: "There is no such resource, or it is another merchant's.",
    409: "The state forbids it, or the first request with this key is still open.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The body or a parameter is not valid, or the key was used with another body.",
    429: "Too many requests; `Retry-After` says when to come back.",
    503: "A part is down; nothing is lost, retry with the same key.",
}
_OF_READS = (401, 403, 404, 422, 429, 503)
_OF_WRITES = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)

_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "1 to 255 visible ASCII characters: the same key moves money once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~][!-~]*$"},
    "example": "order-1001-payment",
}
_PREFER_PARAMETER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N`: how many seconds (0 to 30, by default 10) to wait for the outcome.",
    "schema": {"type": "string"},
    "example": "wait=5",
}


def reads(view: type[BaseModel], summary: str) -> dict[str, Any]:
    """A route that reads."""
    return {"summary": summary, "responses": {200: {"model": view}, **refusals(*_OF_READS)}}


def downloads(media_types: Mapping[str, str], summary: str) -> dict[str, Any]:
    """A route that answers with a file, in one of these media types."""
    content = {
        kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in media_types.values()
    }
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {
            200: {"description": "The file, as it is made.", "content": content},
            **refusals(*_OF_READS, 409),
        },
    }


def creates(view: type[BaseModel], summary: str) -> dict[str, Any]:
    """A route that makes a resource: 201 when its outcome is known, else 202."""
    accepted = {"model": view, "description": "Under way; `Location` tells where to look."}
    return {
        "summary": summary,
        "status_code": 201,
        "responses": {201: {"model": view}, 202: accepted, **refusals(*_OF_WRITES)},
    }


def acts(view: type[BaseModel], summary: str) -> dict[str, Any]:
    """A route that acts on a resource: 200 when the outcome is known, else 202."""
    accepted = {"model": view, "description": "Under way; `Location` tells where to look."}
    return {
        "summary": summary,
        "responses": {200: {"model": view}, 202: accepted, **refusals(*_OF_WRITES)},
    }


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route answers with."""
    return {status: {"description": _REFUSALS[status], "content": _PROBLEM} for status in statuses}


def body_of(
    model: type[BaseModel], *, optional: bool = False, needs_key: bool = True, waits: bool = False
) -> dict[str, Any]:
    """The body of a route, which it reads itself, and the headers that go with it."""
    _BODIES[model.__name__] = model
    key = _KEY_PARAMETER if needs_key else {**_KEY_PARAMETER, "required": False}
    return {
        "parameters": [key, *([_PREFER_PARAMETER] if waits else [])],
        "requestBody": {
            "required": not optional,
            "content": {
                "application/json": {"schema": {"$ref": _SCHEMA.format(name=model.__name__)}}
            },
        },
    }


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        models: list[type[BaseModel]] = [*_BODIES.values(), ProblemDocument]
        for model in models:
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        made["components"]["securitySchemes"] = _security_schemes()
        _name_scopes(app, made)
        made["x-problem-codes"] = {code: entry._asdict() for code, entry in CATALOGUE.items()}
        app.openapi_schema = made
    return app.openapi_schema


def scopes_of(route: APIRoute) -> frozenset[Scope] | None:
    """The scopes that a route asks for: one of them is enough.

    Empty: public. None: it says nothing.
    """
    declared = [
        dependency.call.scopes
        for dependency in route.dependant.dependencies
        if isinstance(dependency.call, Allows)
    ]
    return declared[0] if len(declared) == 1 else None


def _security_schemes() -> dict[str, Any]:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, or a JSON Web Token with `sub`, `scope` and, where it is"
            " bound to one merchant, `merchant_id`.",
        }
    }


def _name_scopes(app: FastAPI, made: dict[str, Any]) -> None:
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        scopes = sorted(scopes_of(route) or ())
        for method in route.methods or ():
            operation = made["paths"][route.path_format][method.lower()]
            operation["security"] = [{"bearer": []}] if scopes else []
            if scopes:
                wanted = " or ".join(f"`{scope}`" for scope in scopes)
                text = operation.get("description", "")
                operation["description"] = f"{text}\n\nScope: {wanted}.".strip()
