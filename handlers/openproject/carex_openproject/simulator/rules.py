"""What OpenProject takes for a work package, and what its form says about it."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from carex_openproject.simulator.answers import API, Refusal, blank, error, link
from carex_openproject.simulator.instance import Instance, Project, WorkPackage

COLLECTIONS = {
    "project": "projects",
    "type": "types",
    "status": "statuses",
    "priority": "priorities",
    "assignee": "users",
    "responsible": "users",
    "author": "users",
    "parent": "work_packages",
    "version": "versions",
    "category": "categories",
}
PLAIN = ("subject", "description", "startDate", "dueDate", "estimatedTime", "percentageDone", "scheduleManually")
READ_ONLY = ("createdAt", "updatedAt", "author")
DATES = ("startDate", "dueDate")
Body = dict[str, Any]
Place = Project | None


def kind_of(instance: Instance, name: str, type: int) -> str:
    """The kind of a plain property, empty if a work package of this type has none of this name."""
    if name in PLAIN:
        return {"description": "Formattable", "percentageDone": "Integer", "scheduleManually": "Boolean"}.get(
            name, "Date" if name in DATES else "Duration" if name == "estimatedTime" else "String"
        )
    field = instance.custom_fields.get(name)
    return "String" if field and not field.options and type in field.types else ""


def id_of(body: Body, name: str) -> int | None:
    """Where a link of a body leads; raises a refusal if it leads to something else."""
    given = (body.get("_links") or {}).get(name)
    href = given.get("href") if isinstance(given, dict) else None
    if href is None:
        return None
    wanted = COLLECTIONS.get(name, "custom_options")
    match = re.search(r"/api/v3/(\w+)/([^/]+)$", str(href))
    if not match or (match[1] != wanted and not (wanted == "users" and match[1] == "groups")):
        text = f"For property '{name}' a link like '{API}/{wanted}/:id' is expected, but got '{href}'."
        raise Refusal(422, "ResourceTypeMismatch", text, name)
    return int(match[2]) if match[2].isdigit() else 0


def problems_of(instance: Instance, place: Place, body: Body, one: WorkPackage | None) -> dict[str, Body]:
    """What is wrong, by attribute. Dates that are none, and links to something else, are refused at once."""
    for name in DATES:
        if body.get(name) is not None and not _is_date(body[name]):
            text = f"Invalid format for property '{name}': Expected format like 'YYYY-MM-DD', but got '{body[name]}'."
            raise Refusal(422, "PropertyFormatError", text, name)
    problems: dict[str, Body] = {}
    if place is None:
        problems["project"] = blank("project")
    if not str((body if one is None or "subject" in body else one.values).get("subject") or "").strip():
        problems["subject"] = blank("subject")
    for name in READ_ONLY:
        if name in body or name in (body.get("_links") or {}):
            problems[name] = error(
                "PropertyIsReadOnly", f"{name} was attempted to be written but is not writable.", name
            )
    type = id_of(body, "type") or (one.links["type"] if one else place.types[0] if place else 1)
    if place is not None and type not in place.types:
        problems["type"] = _violation("type", "Type is not set to one of the allowed values.")
    status, before = id_of(body, "status"), one.links["status"] if one else 1
    if status is not None and status not in {before, *instance.workflow.get(before, ())}:
        problems["status"] = _violation(
            "status",
            "Status is invalid because no valid transition exists from old to new status for the user's roles.",
        )
    for name in ("assignee", "responsible"):
        person = id_of(body, name)
        if place is not None and person is not None and person not in place.members:
            problems[name] = _violation(name, f"The chosen user is not allowed to be '{name.title()}'.")
    for name, field in instance.custom_fields.items():
        there = body.get(name) or id_of(body, name) or (one and (one.values.get(name) or one.links.get(name)))
        if field.required and type in field.types and not there:
            problems[name] = _violation(name, f"{field.name} can't be blank.")
    return problems


def schema_of(instance: Instance, place: Place, type: int, one: WorkPackage | None) -> Body:
    """The schema of a form. Which statuses there may be depends on the one there is; which fields, on the type."""
    now = one.links["status"] if one else 1
    statuses = [now, *sorted(instance.workflow.get(now, ()))]
    assignees = {"href": f"{API}/projects/{place.id if place else 0}/available_assignees"}
    allowed: Body = {
        "type": [link("types", each, instance.types[each]) for each in (place.types if place else [])],
        "status": [link("statuses", each, instance.statuses[each]) for each in statuses],
        "priority": [link("priorities", each, title) for each, title in instance.priorities.items()],
        "assignee": assignees,
        "responsible": assignees,
    }
    schema: Body = {"_type": "Schema", "_dependencies": [], "lockVersion": {"type": "Integer", "writable": False}}
    for name in PLAIN:
        schema[name] = {"type": kind_of(instance, name, type), "name": name, "writable": True}
    for name, values in allowed.items():
        schema[name] = {
            "type": name.capitalize(),
            "name": name,
            "location": "_links",
            "_links": {"allowedValues": values},
        }
    for name, field in instance.custom_fields.items():
        if type in field.types:
            schema[name] = {"type": "String", "name": field.name, "required": field.required, "_links": {}}
            if field.options:
                options = [link("custom_options", number, title) for number, title in enumerate(field.options, 1)]
                schema[name] |= {"type": "CustomOption", "location": "_links", "_links": {"allowedValues": options}}
    return schema


def _violation(name: str, text: str) -> Body:
    return error("PropertyConstraintViolation", text, name)


def _is_date(value: Any) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", str(value))) and bool(date.fromisoformat(str(value)))
    except ValueError:
        return False
