"""`op_create_project`: a project, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from carex import Context
from carex_openproject import plugin
from carex_openproject.fields import PROJECT, Schema, body_of
from carex_openproject.marks import is_marked, marked, once

if TYPE_CHECKING:
    from carex_openproject.client import OpenProject

Ref = Annotated[
    str,
    BeforeValidator(lambda value: str(value).strip() if isinstance(value, (int, str)) else value),
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100),
]
"""A project by its id or its identifier."""


@dataclass(frozen=True)
class NewProject:
    """A new project. `fields` are further fields of the API: public, status, statusExplanation, customField1 …

    Without `identifier` OpenProject makes one from the name. `parent` is a project's id or identifier.
    """

    name: str
    identifier: Ref | None = None
    description: str = ""
    parent: Ref | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@plugin.handler("op_create_project")
async def create_project(new: NewProject, ctx: Context) -> dict[str, Any]:
    """Create a project, once: it carries the task's mark, and is looked for before it is made."""
    from carex_openproject.client import filters

    client: OpenProject = ctx.client

    async def look() -> dict[str, Any] | None:
        asked = filters("name_and_identifier", "=", new.identifier or new.name)
        async for each in client.pages("projects", filters=asked):
            if is_marked(each.get("description"), ctx.task):
                return each
        return None

    async def schema(body: Mapping[str, Any]) -> Schema:
        return schema_in(await client.post("projects/form", body, repeatable=True))

    async def make() -> dict[str, Any]:
        wanted = {**new.fields, "name": new.name, "description": marked(new.description, ctx.task)}
        if new.identifier:
            wanted["identifier"] = new.identifier
        if new.parent:
            wanted["parent"] = await id_of_project(client, new.parent)
        return await client.post("projects", await body_of(PROJECT, wanted, schema))

    project, created = await once(ctx.task, look, make, client.settings.settle)
    ctx.log.info("project {} ({}) {}", project["identifier"], project["id"], "made" if created else "was made before")
    return {
        "project_id": project["id"],
        "project_identifier": project["identifier"],
        "project_url": f"{client.url}/projects/{project['identifier']}",
        "created": created,
    }


async def id_of_project(client: OpenProject, ref: str) -> int:
    """Raises BpmnError("NOT_FOUND") if there is no such project."""
    return int(ref) if ref.isdigit() else int((await client.get(f"projects/{ref}"))["id"])


def schema_in(form: Mapping[str, Any]) -> Schema:
    """The schema in a form; one without is empty."""
    found = (form.get("_embedded") or {}).get("schema")
    return found if isinstance(found, Mapping) else {}
