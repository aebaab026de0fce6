"""`/work_packages`, and what lies below it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from carex_openproject.simulator.answers import API, Refusal, collection, formattable, link, violation, whole
from carex_openproject.simulator.instance import Activity, Instance, Project, WorkPackage
from carex_openproject.simulator.projects import conditions, form_of
from carex_openproject.simulator.projects import found as project_of
from carex_openproject.simulator.rules import COLLECTIONS, id_of, kind_of, problems_of, schema_of

Body = dict[str, Any]
DEFAULT_FILTER = '[{"status": {"operator": "o", "values": []}}]'


def found(instance: Instance, request: Request) -> WorkPackage:
    """Hidden is as good as missing."""
    one = instance.work_packages.get(request.path_params["id"])
    if one is None or instance.projects[one.links["project"]].hidden:
        raise Refusal(404, "NotFound", "The requested resource could not be found.")
    return one


def index(instance: Instance, request: Request, body: Body) -> Body:
    """Without `filters` only what is open; with an empty list, all."""
    place = project_of(instance, request.path_params["project"]) if "project" in request.path_params else None
    visible = {each.id for each in instance.seen()}
    wanted = [each for each in instance.work_packages.values() if each.links["project"] in visible]
    if place is not None:
        wanted = [each for each in wanted if each.links["project"] == place.id]
    known = {"status": "o c * =", "status_id": "o c * =", "description": "~", "subject": "~ =", "subjectOrId": "**"}
    known |= {name: "= ~" for name, field in instance.custom_fields.items() if not field.options}
    query = dict(request.query_params)
    query.setdefault("filters", DEFAULT_FILTER)
    for name, operator, values in conditions(query, known):
        wanted = [each for each in wanted if _holds(instance, each, name, operator, values)]
    return collection("work_packages", [shape(instance, each) for each in wanted], query, instance.largest_page)


def show(instance: Instance, request: Request, body: Body) -> Body:
    return shape(instance, found(instance, request))


def create(instance: Instance, request: Request, body: Body) -> tuple[Body, int]:
    place = _place(instance, request, body)
    problems = problems_of(instance, place, body, None)
    if place is None or problems:
        raise violation(problems)
    links = {"project": place.id, "type": place.types[0], "status": 1, "priority": 8, "author": instance.me}
    made = WorkPackage(instance.new_id(), {"description": ""}, links)
    _set(instance, made, body)
    instance.work_packages[made.id] = made
    instance.notified.append(request.query_params.get("notify") != "false")
    return shape(instance, made), instance.created_status


def create_form(instance: Instance, request: Request, body: Body) -> Body:
    place = _place(instance, request, body)
    problems = problems_of(instance, place, body, None)
    type = id_of(body, "type") or (place.types[0] if place else 1)
    return form_of(body, schema_of(instance, place, type, None), problems, f"{API}/work_packages")


def update(instance: Instance, request: Request, body: Body) -> Body:
    """A missing `lockVersion` is as wrong as an old one."""
    one = found(instance, request)
    if instance.meanwhile:
        instance.meanwhile.pop(0)()
    if "edit_work_packages" not in instance.permissions:
        raise Refusal(403, "MissingPermission", "You are not allowed to edit the content of the work package.")
    _same(one, body)
    problems = problems_of(instance, instance.projects[one.links["project"]], body, one)
    if problems:
        raise violation(problems)
    _set(instance, one, body)
    instance.notified.append(request.query_params.get("notify") != "false")
    return shape(instance, one)


def update_form(instance: Instance, request: Request, body: Body) -> Body:
    one = found(instance, request)
    if body:
        _same(one, body)
    place = instance.projects[one.links["project"]]
    schema = schema_of(instance, place, id_of(body, "type") or one.links["type"], one)
    return form_of(body, schema, problems_of(instance, place, body, one), f"{API}/work_packages/{one.id}")


def activities(instance: Instance, request: Request, body: Body) -> Body:
    """All at once: this collection has no pages."""
    one = found(instance, request)
    shown = [_activity(each) for each in instance.activities if each.work_package == one.id]
    return whole(f"work_packages/{one.id}/activities", shown)


def comment(instance: Instance, request: Request, body: Body) -> tuple[Body, int]:
    one = found(instance, request)
    if "add_comments" not in instance.permissions:
        raise Refusal(403, "MissingPermission", "You are not allowed to create a comment here.")
    text = str((body.get("comment") or {}).get("raw") or "")
    made = Activity(instance.new_id(), one.id, text, instance.me)
    instance.activities.append(made)
    one.lock += 1  # a comment is a change, too
    instance.notified.append(request.query_params.get("notify") != "false")
    return _activity(made), 201


def available_assignees(instance: Instance, request: Request, body: Body) -> Body:
    if "project" in request.path_params:
        place = project_of(instance, request.path_params["project"])
    else:
        place = instance.projects[found(instance, request).links["project"]]
    return whole(f"projects/{place.id}/available_assignees", [user(instance, each) for each in place.members])


def user(instance: Instance, id: int) -> Body:
    name = instance.users[id]
    return {"_type": "User", "id": id, "name": name, "_links": {"self": link("users", id, name)}}


def shape(instance: Instance, one: WorkPackage) -> Body:
    """As the token's owner sees it: without the right to change it there is no link `update`."""
    titles = {
        "project": {each.id: each.name for each in instance.projects.values()},
        "type": instance.types,
        "status": instance.statuses,
        "priority": instance.priorities,
        **dict.fromkeys(("assignee", "responsible", "author"), instance.users),
    }
    links: Body = {"self": link("work_packages", one.id, one.values["subject"])}
    for name, collection_name in COLLECTIONS.items():
        id = one.links.get(name)
        links[name] = link(collection_name, id, titles.get(name, {}).get(id, "") if id else None)
    if "edit_work_packages" in instance.permissions:
        links["update"] = {"href": f"{API}/work_packages/{one.id}/form", "method": "post"}
    values = {key: value for key, value in one.values.items() if key not in ("subject", "description")}
    for name, field in instance.custom_fields.items():
        if one.links["type"] in field.types:
            if field.options:
                chosen = one.links.get(name)
                links[name] = link("custom_options", chosen, field.options[chosen - 1] if chosen else None)
            else:
                values.setdefault(name, None)
    return {
        "_type": "WorkPackage",
        "id": one.id,
        "lockVersion": one.lock,
        "subject": one.values["subject"],
        "description": formattable(one.values["description"]),
        "startDate": None,
        "dueDate": None,
        **values,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
        "_links": links,
    }


def _place(instance: Instance, request: Request, body: Body) -> Project | None:
    """The project from the path or from the link; None if none is named."""
    ref = request.path_params.get("project") or id_of(body, "project")
    if ref is None:
        return None
    place = project_of(instance, str(ref))
    if "add_work_packages" not in instance.permissions:
        raise Refusal(403, "MissingPermission", "You are not allowed to add work packages to this project.")
    return place


def _same(one: WorkPackage, body: Body) -> None:
    if body.get("lockVersion") != one.lock:
        text = (
            "Your changes could not be saved, because the work package was changed since you've seen it the last time."
        )
        raise Refusal(409, "UpdateConflict", text)


def _set(instance: Instance, one: WorkPackage, body: Body) -> None:
    """Take over what is known, and pass over the rest without a word. What changes nothing is no change."""
    type = id_of(body, "type") or one.links["type"]
    changes: Body = {}
    for name, value in body.items():
        if kind_of(instance, name, type):
            changes[name] = str((value or {}).get("raw") or "") if name == "description" else value
    values = {name: value for name, value in changes.items() if one.values.get(name) != value}
    links = {}
    for name in body.get("_links") or {}:
        known = name in COLLECTIONS or (name in instance.custom_fields and type in instance.custom_fields[name].types)
        if known and one.links.get(name) != id_of(body, name):
            links[name] = id_of(body, name)
    if values or links:
        one.values.update(values)
        one.links.update(links)
        one.lock += one.id in instance.work_packages
        one.history.append({**values, **links})


def _activity(each: Activity) -> Body:
    return {
        "_type": "Activity::Comment",
        "id": each.id,
        "comment": formattable(each.comment),
        "_links": {
            "self": link("activities", each.id),
            "workPackage": link("work_packages", each.work_package),
            "user": link("users", each.user),
        },
    }


def _holds(instance: Instance, one: WorkPackage, name: str, operator: str, values: list[Any]) -> bool:
    if name in ("status", "status_id"):
        status = one.links["status"]
        closed = status in instance.closed_statuses
        return {"o": not closed, "c": closed, "*": True, "=": str(status) in map(str, values)}[operator]
    if name == "subjectOrId":
        return any(str(each).lower() in one.values["subject"].lower() or str(each) == str(one.id) for each in values)
    text = str(one.values.get(name) or "")
    if operator == "=":
        return text in map(str, values)
    # Contains: every word of it.
    return all(word.lower() in text.lower() for each in values for word in str(each).split())
