"""The API's own description: the OpenAPI document, and a page made from it that needs no other host."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from carex.errors import ConfigError
from carex.plugin import Handler, Webhook
from carex.registry import Registry
from carex.server.answers import reply

ABOUT = (
    "Work comes in here and is stored before the answer. This machine needs no token; others put work under "
    "`/in/INTAKE_TOKEN/…` and do everything else with `Authorization: Bearer ADMIN_TOKEN`. "
    "Send an `Idempotency-Key` with what must not be stored twice."
)


def add_routes(app: FastAPI, registry: Registry) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return reply(200, document(app, registry))

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response("".join(_page(document(app, registry))), 200, headers, "text/html")


def document(app: FastAPI, registry: Registry) -> dict[str, Any]:
    """OpenAPI 3.1 of everything, with one path for every webhook and every handler that is loaded."""
    found = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    paths: dict[str, Any] = {path: {"post": _webhook(each)} for path, each in registry.webhooks.items()}
    paths["/tasks/{type}"] = {"post": _put("Put a task of any type", {"type": "object"}, "type")}
    paths |= {f"/tasks/{type}": {"post": _put_one(each)} for type, each in registry.handlers.items()}
    for path, operations in found.get("paths", {}).items():
        paths.setdefault(path, {}).update(operations)
    for operation in (operation for path in paths.values() for operation in path.values()):
        kept = {status: each for status, each in operation["responses"].items() if status != "422"}
        operation["responses"] = {**kept, "default": _REFUSED}  # FastAPI's own 422 is never sent
    return {**found, "paths": paths}


def _webhook(webhook: Webhook) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(webhook.function) or "A webhook").partition("\n")
    fields = {"type": "object", "additionalProperties": True}
    return {
        "summary": summary,
        "description": f"{description.strip()} Fields may come in the query too. From {webhook.plugin.name}.".strip(),
        "requestBody": {
            "required": False,
            "content": {kind: {"schema": fields} for kind in ("application/x-www-form-urlencoded", "application/json")},
        },
        "responses": _PUT,
    }


def _put_one(handler: Handler) -> dict[str, Any]:
    try:
        schema = handler.schema()
    except ConfigError as error:  # a stranger's types: one that has no JSON Schema must not cost the page
        schema = {"type": "object", "description": f"It has no JSON Schema: {error.message}"}
    if "$defs" in schema:  # its references begin at the schema, not at this document
        schema = {"$id": f"urn:carex:{handler.type}", **schema}
    return _put(handler.summary or f"Put a {handler.type}", schema)


def _put(summary: str, schema: dict[str, Any], *path: str) -> dict[str, Any]:
    text = {"type": "string"}
    key = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {**text, "maxLength": 255}}
    return {
        "summary": summary,
        "parameters": [*({"name": name, "in": "path", "required": True, "schema": text} for name in path), key],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": _PUT,
    }


def _json(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_TEXT = {"type": "string"}
_REFUSED = _json("Refused", {"error": {
    "type": "object", "required": ["code", "message"],
    "properties": {
        "code": _TEXT, "message": _TEXT, "hint": _TEXT,
        "fields": {"type": "array", "items": {"type": "object", "properties": {"field": _TEXT, "message": _TEXT}}},
    },
}})  # fmt: skip
_PUT = {
    "202": _json("Stored", {"status": {"const": "queued"}, "task_id": _TEXT}),
    "200": _json("The same work is there already", {"status": _TEXT, "task_id": _TEXT, "duplicate": {"const": True}}),
}


def _page(found: dict[str, Any]) -> Iterator[str]:
    yield "<!doctype html><html lang=en><meta charset=utf-8><title>Carex: the HTTP API</title>"
    yield "<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    yield "pre{background:#8881;padding:.75rem;overflow:auto}h2{font-size:1.1rem;margin-top:2rem}</style>"
    yield f"<h1>Carex {escape(found['info']['version'])}</h1><p>{escape(found['info']['description'])}</p>"
    yield "<p>The same for programs: <a href=openapi.json>openapi.json</a></p>"
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)


def _operation(title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(title)}</code></h2><p>{escape(operation['summary'])}</p>"
    if operation.get("description"):
        yield f"<p>{escape(operation['description'])}</p>"
    for each in operation.get("parameters", []):
        yield f"<p><code>{escape(each['name'])}</code> in the {escape(each['in'])}</p>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = json.dumps(content["schema"], indent=2, ensure_ascii=False)
        yield f"<p>Body: {escape(kind)}</p><pre>{escape(schema)}</pre>"
    said = ", ".join(f"{status} {each['description']}" for status, each in operation["responses"].items())
    yield f"<p>Answers: {escape(said)}</p>"
