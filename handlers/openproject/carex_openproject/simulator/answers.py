"""Errors, links and collections in the shape of HAL, as OpenProject writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

API = "/api/v3"


class Refusal(Exception):
    """A request ends with this status and error. Several problems at once are told as MultipleErrors."""

    def __init__(self, status: int, name: str, message: str, attribute: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = error(name, message, attribute)
        self.headers: dict[str, str] = {}


def error(name: str, message: str, attribute: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "_type": "Error",
        "errorIdentifier": f"urn:openproject-org:api:v3:errors:{name}",
        "message": message,
    }
    if attribute is not None:
        found["_embedded"] = {"details": {"attribute": attribute}}
    return found


def violation(problems: Mapping[str, Mapping[str, Any]]) -> Refusal:
    """Problems by attribute as one refusal: alone, or all of them in one."""
    refusal = Refusal(422, "MultipleErrors", "Multiple field constraints have been violated.")
    if len(problems) == 1:
        refusal.body = dict(next(iter(problems.values())))
    else:
        refusal.body["_embedded"] = {"errors": list(problems.values())}
    return refusal


def blank(attribute: str) -> dict[str, Any]:
    return error("PropertyConstraintViolation", f"{attribute.capitalize()} can't be blank.", attribute)


def hal(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=False)
    return Response(text, status, headers, media_type="application/hal+json; charset=utf-8")


def link(collection: str, id: Any, title: str | None = None) -> dict[str, Any]:
    if id is None:
        return {"href": None}
    return {"href": f"{API}/{collection}/{id}", **({"title": title} if title is not None else {})}


def formattable(text: str) -> dict[str, Any]:
    return {"format": "markdown", "raw": text, "html": f"<p>{text}</p>" if text else ""}


def collection(path: str, elements: Sequence[Any], query: Mapping[str, str], most: int) -> dict[str, Any]:
    """One page. `offset` is its number, beginning with 1; the server allows at most `most` elements on it."""
    size = min(_whole(query, "pageSize", 20), most)
    page = max(_whole(query, "offset", 1), 1)
    shown = elements[(page - 1) * size : page * size]
    links: dict[str, Any] = {"self": {"href": f"{API}/{path}"}}
    for name, number in (("nextByOffset", page + 1), ("previousByOffset", page - 1)):
        if 0 < (number - 1) * size < len(elements) or (number == 1 and page == 2):
            links[name] = {"href": f"{API}/{path}?offset={number}&pageSize={size}"}
    return {
        "_type": "WorkPackageCollection" if path.endswith("work_packages") else "Collection",
        "total": len(elements),
        "count": len(shown),
        "pageSize": size,
        "offset": page,
        "_embedded": {"elements": shown},
        "_links": links,
    }


def whole(path: str, elements: Sequence[Any]) -> dict[str, Any]:
    """A collection without pages."""
    return {
        "_type": "Collection",
        "total": len(elements),
        "count": len(elements),
        "_embedded": {"elements": list(elements)},
        "_links": {"self": {"href": f"{API}/{path}"}},
    }


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise Refusal(400, "BadRequest", f"Bad request: {name} is invalid")
    return int(text)
