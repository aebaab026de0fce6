"""`op_comment`: a comment on a work package, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from carex import Context
from carex_openproject import plugin
from carex_openproject.marks import is_marked, marked, once
from carex_openproject.work_packages import Id, quietly

if TYPE_CHECKING:
    from carex_openproject.client import OpenProject


@dataclass(frozen=True)
class Comment:
    """What to say about which work package, in Markdown."""

    work_package_id: Id
    text: Annotated[str, Field(pattern=r"\S")]


@plugin.handler("op_comment")
async def comment(given: Comment, ctx: Context) -> dict[str, Any]:
    """Comment on a work package, once: the comment carries the task's mark, and is looked for before it is made."""
    client: OpenProject = ctx.client
    path = f"work_packages/{given.work_package_id}/activities"

    async def look() -> dict[str, Any] | None:
        async for each in client.pages(path):
            if is_marked(each.get("comment"), ctx.task):
                return each
        return None

    async def make() -> dict[str, Any]:
        return await client.post(path, {"comment": marked(given.text, ctx.task)}, **quietly(client))

    made, created = await once(ctx.task, look, make, client.settings.settle)
    return {"work_package_id": given.work_package_id, "activity_id": made["id"], "created": created}
