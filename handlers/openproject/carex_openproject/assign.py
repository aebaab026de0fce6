"""`op_assign`: a work package gets somebody who works on it: a given user, or an employee whom Carex chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carex import BpmnError, Context, Fail
from carex_openproject import plugin
from carex_openproject.fields import id_in
from carex_openproject.work_packages import Body, Id, apply

if TYPE_CHECKING:
    from carex_openproject.client import OpenProject


@dataclass(frozen=True)
class Assignment:
    """Which work package goes to which user of OpenProject; without `user_id` Carex chooses an employee.

    `again` has Carex choose anew although it has chosen before.
    """

    work_package_id: Id
    user_id: Id | None = None
    again: bool = False


@plugin.handler("op_assign", attempts=15)
async def assign(given: Assignment, ctx: Context) -> dict[str, Any]:
    """Give a work package to a user, or to an available employee, and say to whom."""
    client: OpenProject = ctx.client
    chosen = None
    user = given.user_id
    if user is None:
        if not client.settings.users:
            raise Fail("Name a user_id, or say in plugins.openproject.users which user of OpenProject each employee is")
        # Who it is was written down before the first change, so that every repetition of this names the same person.
        chosen = await ctx.people.decide(ctx.task, f"work_package:{given.work_package_id}", again=given.again)
        user = client.settings.users.get(chosen.user_id)
        if user is None:
            raise Fail(f"plugins.openproject.users does not say which user {chosen.user_name} ({chosen.user_id}) is")
    name = await _name_of(client, given.work_package_id, user)

    async def body(_: Mapping[str, Any]) -> Body:
        return {"_links": {"assignee": {"href": f"/api/v3/users/{user}"}}}

    changed = await apply(client, given.work_package_id, body)
    if chosen is not None:
        await ctx.people.told(chosen, f"work package {given.work_package_id} is assigned to user {user}")
    ctx.log.info("work package {} → {} {}", given.work_package_id, user, name)
    return {"work_package_id": given.work_package_id, "user_id": user, "user_name": name, "changed": changed}


async def _name_of(client: OpenProject, work_package: int, user: int) -> str:
    """Raises BpmnError("NOT_ASSIGNABLE") if this user cannot be given work there."""
    async for each in client.pages(f"work_packages/{work_package}/available_assignees"):
        links = each.get("_links") or {}
        if each.get("id") == user or id_in(links.get("self")) == user:
            return str(each.get("name") or (links.get("self") or {}).get("title") or user)
    raise BpmnError(
        "NOT_ASSIGNABLE",
        f"work package {work_package} cannot be given to user {user}: make them a member of its project, with a role "
        "whose work can be assigned",
    )
