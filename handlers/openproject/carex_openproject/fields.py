"""Fields as people write them, and as the API wants them.

People write `{"status": "In progress", "assignee": 5, "customField3": "Red"}`. The API wants links: `{"_links":
{"status": {"href": "/api/v3/statuses/7"}, …}}`. Which names there are, and what they stand for, its forms tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carex import BpmnError, Fail


@dataclass(frozen=True)
class Kind:
    """What is known about a kind of resource without asking: its plain properties, and where its links lead."""

    properties: frozenset[str]
    links: Mapping[str, str]


PROJECT = Kind(
    frozenset({"name", "identifier", "description", "public", "active", "statusExplanation"}),
    {"parent": "projects", "status": "project_statuses"},
)
WORK_PACKAGE = Kind(
    frozenset(
        {
            "subject",
            "description",
            "startDate",
            "dueDate",
            "date",
            "duration",
            "estimatedTime",
            "remainingTime",
            "percentageDone",
            "scheduleManually",
        }
    ),
    {
        "type": "types",
        "status": "statuses",
        "priority": "priorities",
        "assignee": "users",
        "responsible": "users",
        "parent": "work_packages",
        "version": "versions",
        "category": "categories",
        "project": "projects",
    },
)
TEXTS = frozenset({"description", "statusExplanation"})
Schema = Mapping[str, Any]


async def body_of(
    kind: Kind, fields: Mapping[str, Any], ask: Callable[[Mapping[str, Any]], Awaitable[Schema]]
) -> dict[str, Any]:
    """The body of a request that sets these fields. `ask` gives the schema of the form for a body.

    Raises Fail for a field that there is not (OpenProject would pass over it without a word), and BpmnError("INVALID")
    for a name that is not among those allowed. Without names and custom fields nothing is asked.
    """
    body: dict[str, Any] = {}
    links: dict[str, Any] = dict(fields.get("_links") or {})
    open_questions: dict[str, Any] = {}
    for name, value in fields.items():
        if name in kind.properties:
            body[name] = {"raw": value} if name in TEXTS and isinstance(value, str) else value
        elif name != "_links" and not (name in kind.links and _link(kind.links[name], value, links, name)):
            open_questions[name] = value
    if links:
        body["_links"] = links
    if open_questions:
        # What the others may be depends on the type.
        for names in ({"type"} & open_questions.keys(), open_questions.keys() - {"type"}):
            if names:
                schema = await ask(body)
                for name in sorted(names):
                    _answer(body, name, open_questions[name], schema)
    return body


def values_of(resource: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What a resource, or a body, has for everything that `body` sets: texts, values and the targets of links."""
    links = resource.get("_links") or {}
    found = {name: _text(resource.get(name)) for name in body if name not in ("_links", "lockVersion")}
    return {**found, **{f"_links.{name}": _target(links.get(name)) for name in body.get("_links", {})}}


def id_in(link: Any) -> int:
    """The id at the end of a link, 0 if it leads nowhere."""
    last = str(_target(link) or "").rpartition("/")[2]
    return int(last) if last.isascii() and last.isdigit() else 0


def _link(collection: str, value: Any, links: dict[str, Any], name: str) -> bool:
    """Set a link if it is clear without asking where it leads."""
    text = str(value).strip()
    if value is None or value == "":
        links[name] = {"href": None}
    elif isinstance(value, Mapping):
        links[name] = dict(value)
    elif text.isascii() and text.isdigit():
        links[name] = {"href": f"/api/v3/{collection}/{text}"}
    elif text.startswith("/"):
        links[name] = {"href": text}
    return name in links


def _answer(body: dict[str, Any], name: str, value: Any, schema: Schema) -> None:
    about = schema.get(name)
    if not isinstance(about, Mapping):
        known = ", ".join(
            sorted(each for each, what in schema.items() if isinstance(what, Mapping) and each[:1] != "_")
        )
        raise Fail(f"OpenProject has no field {name!r} here. It has: {known}")
    allowed = (about.get("_links") or {}).get("allowedValues")
    links = body.setdefault("_links", {}) if allowed is not None or about.get("location") == "_links" else None
    if links is None:
        body[name] = value
    elif value is None or isinstance(value, Mapping):
        links[name] = value or {"href": None}
    elif isinstance(value, list):
        links[name] = [_choose(name, each, allowed) for each in value]
    else:
        links[name] = _choose(name, value, allowed)


def _choose(name: str, value: Any, allowed: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(allowed, Sequence):
        raise Fail(f"{name}: give an id or {{'href': …}}; OpenProject does not say what {value!r:.40} could stand for")
    wanted = str(value).strip().casefold()
    for each in allowed:
        if wanted in (str(each.get("title", "")).casefold(), str(each.get("href", "")).rpartition("/")[2].casefold()):
            return {"href": each["href"]}
    names = ", ".join(str(each.get("title")) for each in allowed)
    reason = f"{name} cannot be {value!r:.40} here; allowed: {names or 'nothing'}"
    raise BpmnError("INVALID", reason, {"problems": {name: reason}})


def _text(value: Any) -> Any:
    return (value.get("raw") or "") if isinstance(value, Mapping) and "raw" in value else value


def _target(link: Any) -> Any:
    if isinstance(link, Mapping):
        href = link.get("href")
        return href[href.find("/api/v3/") :] if isinstance(href, str) and "/api/v3/" in href else href
    return [_target(each) for each in link] if isinstance(link, list) else link
