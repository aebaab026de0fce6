"""`op_create_work_package`, `op_update_work_package`: made once, and changed without undoing what others change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from carex import BpmnError, Context, Fail, Retry
from carex_openproject import plugin
from carex_openproject.fields import WORK_PACKAGE, Schema, body_of, values_of
from carex_openproject.marks import is_marked, mark_of, marked, once, word_of
from carex_openproject.projects import Ref, id_of_project, schema_in

if TYPE_CHECKING:
    from carex_openproject.client import OpenProject

TRIES = 3
Id = Annotated[int, Field(ge=1)]
Body = dict[str, Any]


@dataclass(frozen=True)
class NewWorkPackage:
    """A new work package. `project` is an id or identifier; `type` an id or name, without one the project's first.

    `fields` are further fields of the API: status, priority, assignee, parent, version, startDate, customField1 …
    """

    project: Ref
    subject: str
    type: str | int | None = None
    description: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkPackageChange:
    """Which fields of a work package to set, named as in the API; links by id or name, null takes them away."""

    work_package_id: Id
    fields: Annotated[dict[str, Any], Field(min_length=1)]


@plugin.handler("op_create_work_package")
async def create_work_package(new: NewWorkPackage, ctx: Context) -> dict[str, Any]:
    """Create a work package, once: it carries the task's mark, and is looked for before it is made."""
    from carex_openproject.client import filters

    client: OpenProject = ctx.client
    place, field = f"projects/{new.project}/work_packages", client.settings.marker_field
    mark = mark_of(ctx.task)

    async def look() -> Body | None:
        # In all projects and all states: meanwhile it may have been moved or closed.
        asked = filters(field, "=", mark) if field else filters("description", "~", word_of(ctx.task))
        async for each in client.pages("work_packages", filters=asked):
            if each.get(field) == mark if field else is_marked(each.get("description"), ctx.task):
                return each
        return None

    async def schema(body: Mapping[str, Any]) -> Schema:
        return schema_in(await client.post(f"{place}/form", body, repeatable=True))

    async def make() -> Body:
        text: Any = new.description if field else marked(new.description, ctx.task)
        wanted = {**new.fields, "subject": new.subject, "description": text}
        if new.type is not None:
            wanted["type"] = new.type
        body = await body_of(WORK_PACKAGE, await _with_project(client, wanted), schema)
        made = await client.post(place, {**body, field: mark} if field else body, **quietly(client))
        if field and made.get(field) != mark:
            ctx.log.warning("{} is not a field of work packages like {}: repetitions are not found", field, made["id"])
        return made

    found, created = await once(ctx.task, look, make, client.settings.settle)
    ctx.log.info("work package {} {}", found["id"], "made" if created else "was made before")
    return {
        "work_package_id": found["id"],
        "work_package_url": f"{client.url}/work_packages/{found['id']}",
        "created": created,
    }


@plugin.handler("op_update_work_package")
async def update_work_package(change: WorkPackageChange, ctx: Context) -> dict[str, Any]:
    """Set fields of a work package; what somebody else changes meanwhile is kept."""
    client: OpenProject = ctx.client
    fields = {name: value for name, value in change.fields.items() if name != "lockVersion"}
    fields = await _with_project(client, fields)

    async def body(now: Mapping[str, Any]) -> Body:
        async def schema(so_far: Mapping[str, Any]) -> Schema:
            lock = {"lockVersion": now["lockVersion"]}
            path = f"work_packages/{change.work_package_id}/form"
            return schema_in(await client.post(path, {**so_far, **lock}, repeatable=True))

        return await body_of(WORK_PACKAGE, fields, schema)

    changed = await apply(client, change.work_package_id, body)
    ctx.log.info("work package {} {}", change.work_package_id, "changed" if changed else "was like that already")
    return {"work_package_id": change.work_package_id, "changed": changed}


async def apply(client: OpenProject, id: int, body_for: Callable[[Mapping[str, Any]], Awaitable[Body]]) -> bool:
    """Set what `body_for` makes of the work package as it is; return False if it was like that already.

    Whoever changes other fields at the same time does not disturb. Raises BpmnError("CONFLICT") if somebody has changed
    the same fields since they were first read, and Retry if it was changed too often.
    """
    from carex_openproject.client import Conflict

    path = f"work_packages/{id}"
    first: Mapping[str, Any] | None = None
    for _ in range(TRIES):
        now = await client.get(path)
        try:
            body = await body_for(now)
            wanted, there = values_of(body, body), values_of(now, body)
            if there == wanted:
                return False
            before = values_of(first, body) if first is not None else there
            taken = [name for name in wanted if there[name] not in (before[name], wanted[name])]
            if taken:
                fields = ", ".join(name.removeprefix("_links.") for name in taken)
                reason = f"work package {id}: somebody else has just changed {fields}"
                raise BpmnError("CONFLICT", reason, {"problems": dict.fromkeys(taken, reason)})
            answer = await client.patch(path, {**body, "lockVersion": now["lockVersion"]}, **quietly(client))
        except Conflict:
            first = first if first is not None else now
            continue
        ignored = [name for name in body if name not in ("_links", *answer)]
        if ignored:
            raise Fail(f"work package {id}: OpenProject has passed over {', '.join(ignored)}")
        return True
    raise Retry(f"work package {id} was changed by somebody else {TRIES} times while it was being changed")


async def _with_project(client: OpenProject, fields: dict[str, Any]) -> dict[str, Any]:
    """A project is named by its identifier everywhere but in links."""
    ref = fields.get("project")
    if not isinstance(ref, str) or ref.startswith("/"):
        return fields
    return {**fields, "project": await id_of_project(client, ref.strip())}


def quietly(client: OpenProject) -> dict[str, Any]:
    """The parameter that keeps OpenProject from telling watchers, if that is wanted."""
    return {} if client.settings.notify else {"notify": "false"}
