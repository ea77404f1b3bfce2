"""The reference as one page, made on the server: it loads nothing from anywhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem;
  box-sizing: border-box;  border-right: 1px solid #8884; font-size: .85rem; }
nav a { display: block; text-decoration: none; padding: .1rem 0; }
main { padding: 1rem 2rem 6rem; max-width: 56rem; }
section { border-top: 1px solid #8884; padding-top: 1rem; margin-top: 2rem; }
code, pre { font: .85em/1.45 ui-monospace, monospace; }
pre { background: #8881; padding: .75rem; overflow: auto; border-radius: .4rem; }
b.method { display: inline-block; min-width: 3.5rem; }
b.get { color: #0969da; } b.post { color: #1a7f37; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid #8883; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; } }
"""


def render(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(document['info']['title'])}</title><style>{_STYLE}</style>"
        f"<nav>{_contents(operations)}</nav><main>{_intro(document)}"
        + "".join(_operation(document, *operation) for operation in operations)
        + _codes(document)
        + "</main></html>"
    )


def _contents(operations: list[tuple[str, str, dict[str, Any]]]) -> str:
    links, last_tag = [], ""
    for _, method, operation in operations:
        tag = operation.get("tags", [""])[0]
        if tag != last_tag:
            links.append(f"<p><b>{escape(tag.capitalize())}</b></p>")
            last_tag = tag
        links.append(
            f"<a href='#{escape(operation['operationId'])}'>{_method(method)} "
            f"{escape(operation['summary'])}</a>"
        )
    return "".join(links) + "<p><a href='#codes'><b>Problem codes</b></a></p>"


def _intro(document: dict[str, Any]) -> str:
    info = document["info"]
    return (
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        f"{_paragraphs(info.get('description', ''))}"
        "<p>The same for programs: <a href='/openapi.json'>/openapi.json</a>.</p>"
    )


def _operation(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    return (
        f"<section id='{escape(operation['operationId'])}'><h2>{escape(operation['summary'])}</h2>"
        f"<p>{_method(method)} <code>{escape(path)}</code></p>"
        f"{_paragraphs(operation.get('description', ''))}"
        f"{_parameters(operation)}{_body(document, operation)}"
        f"{_responses(document, operation)}</section>"
    )


def _parameters(operation: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(parameter['in'])}"
        f"<td>{'required' if parameter.get('required') else ''}"
        f"<td>{_inline(parameter.get('description', ''))}"
        for parameter in operation.get("parameters", [])
    ]
    return f"<h3>Parameters</h3><table>{''.join(rows)}</table>" if rows else ""


def _body(document: dict[str, Any], operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return ""
    schema = _resolved(document, content["schema"])
    example = "".join(
        f"<pre>{escape(json.dumps(one, indent=2))}</pre>" for one in schema.get("examples", [])
    )
    return f"<h3>Body</h3>{_fields(document, schema)}{example}"


def _responses(document: dict[str, Any], operation: dict[str, Any]) -> str:
    parts = []
    for status, response in operation["responses"].items():
        content: dict[str, Any] = next(iter(response.get("content", {}).values()), {})
        schema = _resolved(document, content.get("schema", {}))
        fields = _fields(document, schema) if status.startswith("2") else ""
        opened = f"<details><summary>Fields</summary>{fields}</details>" if fields else ""
        parts.append(
            f"<tr><td><b>{escape(status)}</b><td>{_inline(response.get('description', ''))}{opened}"
        )
    return f"<h3>Answers</h3><table>{''.join(parts)}</table>"


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> str:
    required = set(schema.get("required", []))
    rows = [
        f"<tr><td><code>{escape(name)}</code><td>{escape(_type(field))}"
        f"<td>{'required' if name in required else ''}"
        f"<td>{_inline(_described(document, field))}"
        for name, field in schema.get("properties", {}).items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _described(document: dict[str, Any], field: dict[str, Any]) -> str:
    return str(field.get("description") or _resolved(document, field).get("description", ""))


def _codes(document: dict[str, Any]) -> str:
    rows = [
        f"<tr id='{escape(code)}'><td><code>{escape(code)}</code><td>{entry['status']}"
        f"<td>{escape(entry['title'])}"
        for code, entry in document["x-problem-codes"].items()
    ]
    return (
        "<section id='codes'><h2>Problem codes</h2>"
        "<p>Every refusal is <code>application/problem+json</code>"
        f" with one of these in <code>code</code>.</p><table>{''.join(rows)}</table></section>"
    )


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    name = reference.rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"].get(name, {})
    return found


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _method(method: str) -> str:
    return f"<b class='method {method}'>{method.upper()}</b>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part.strip())


def _inline(text: str) -> str:
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
