"""`/projects`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from carex_openproject.simulator.answers import (
    API,
    Refusal,
    blank,
    collection,
    error,
    formattable,
    link,
    violation,
)
from carex_openproject.simulator.instance import Instance, Project

STATUSES = {"on_track": "On track", "at_risk": "At risk", "off_track": "Off track"}
Body = dict[str, Any]


def found(instance: Instance, ref: str) -> Project:
    """Hidden is as good as missing."""
    project = instance.project(ref)
    if project is None:
        raise Refusal(404, "NotFound", "The requested resource could not be found.")
    return project


def index(instance: Instance, request: Request, body: Body) -> Body:
    seen = list(instance.seen())
    for name, _, values in conditions(request.query_params, {"name_and_identifier": "=", "id": "="}):
        wanted = {str(value).lower() for value in values}
        if name == "id":
            seen = [each for each in seen if str(each.id) in wanted]
        else:
            seen = [each for each in seen if {each.name.lower(), each.identifier.lower()} & wanted]
    shown = [shape(instance, each) for each in seen]
    return collection("projects", shown, request.query_params, instance.largest_page)


def show(instance: Instance, request: Request, body: Body) -> Body:
    return shape(instance, found(instance, request.path_params["project"]))


def create(instance: Instance, request: Request, body: Body) -> tuple[Body, int]:
    _may(instance)
    problems = _problems(instance, body)
    if problems:
        raise violation(problems)
    parent, status = _linked(body, "parent"), _linked(body, "status")
    made = instance.add_project(
        str(body["name"]),
        body.get("identifier"),
        description=str((body.get("description") or {}).get("raw") or ""),
        parent=int(parent) if parent else None,
        public=bool(body.get("public", False)),
        status=status,
    )
    return shape(instance, made), 201


def form(instance: Instance, request: Request, body: Body) -> Body:
    _may(instance)
    problems = _problems(instance, body)
    statuses = [link("project_statuses", id, title) for id, title in STATUSES.items()]
    schema: Body = {
        "_type": "Schema",
        "name": {"type": "String", "name": "Name", "required": True},
        "identifier": {"type": "String", "name": "Identifier", "required": False},
        "description": {"type": "Formattable", "name": "Description"},
        "public": {"type": "Boolean", "name": "Public"},
        "statusExplanation": {"type": "Formattable", "name": "Status description"},
        "status": {"type": "ProjectStatus", "name": "Status", "_links": {"allowedValues": statuses}},
        "parent": {
            "type": "Project",
            "name": "Subproject of",
            "_links": {"allowedValues": {"href": f"{API}/projects/available_parent_projects"}},
        },
    }
    return form_of(body, schema, problems, f"{API}/projects")


def form_of(payload: Mapping[str, Any], schema: Body, problems: Mapping[str, Any], commit: str) -> Body:
    """A form. The link `commit` is there only if nothing is wrong."""
    links: Body = {"self": {"href": f"{commit}/form", "method": "post"}}
    if not problems:
        links["commit"] = {"href": commit, "method": "post"}
    return {
        "_type": "Form",
        "_embedded": {"payload": dict(payload), "schema": schema, "validationErrors": dict(problems)},
        "_links": links,
    }


def conditions(query: Mapping[str, str], known: Mapping[str, str]) -> list[tuple[str, str, list[Any]]]:
    """The filters of a request: name, operator and values. `known` are the names with the operators that they take."""
    try:
        given = json.loads(query.get("filters") or "[]")
        pairs = [(name, what["operator"], what.get("values") or []) for each in given for name, what in each.items()]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refusal(400, "InvalidQuery", "Filters is not valid JSON.") from None
    for name, operator, _ in pairs:
        if name not in known:
            raise Refusal(400, "InvalidQuery", f"Filters {name} filter does not exist.")
        if operator not in known[name].split():
            raise Refusal(400, "InvalidQuery", f"Filters {name} Operator is not set to one of the allowed values.")
    return pairs


def shape(instance: Instance, project: Project) -> Body:
    parent = instance.projects.get(project.parent) if project.parent else None
    return {
        "_type": "Project",
        "id": project.id,
        "identifier": project.identifier,
        "name": project.name,
        "active": True,
        "public": project.public,
        "description": formattable(project.description),
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
        "_links": {
            "self": link("projects", project.id, project.name),
            "parent": link("projects", project.parent, parent.name if parent else None),
            "status": link("project_statuses", project.status, STATUSES.get(project.status or "")),
        },
    }


def _may(instance: Instance) -> None:
    if "add_project" not in instance.permissions:
        raise Refusal(403, "MissingPermission", "You are not authorized to access this resource.")


def _linked(body: Body, name: str) -> str | None:
    href = ((body.get("_links") or {}).get(name) or {}).get("href")
    return str(href).rpartition("/")[2] if href else None


def _problems(instance: Instance, body: Body) -> dict[str, Body]:
    problems: dict[str, Body] = {}
    if not str(body.get("name") or "").strip():
        problems["name"] = blank("name")
    identifier, parent = body.get("identifier"), _linked(body, "parent")
    if identifier is not None:
        # A hidden project's identifier is taken, too.
        if any(each.identifier == identifier for each in instance.projects.values()):
            text = "Identifier has already been taken."
            problems["identifier"] = error("PropertyConstraintViolation", text, "identifier")
        elif not re.fullmatch(r"[a-z0-9_-]+", str(identifier)) or str(identifier).isdigit():
            text = "Identifier is invalid."
            problems["identifier"] = error("PropertyConstraintViolation", text, "identifier")
    if parent is not None and instance.project(parent) is None:
        problems["parent"] = error("PropertyConstraintViolation", "Subproject of is invalid.", "parent")
    return problems
