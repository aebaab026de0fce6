"""`bitrix_create_task`, `bitrix_update_task`, `bitrix_complete_task`: the tasks that employees see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from carex import Context, Fail
from carex_bitrix24 import plugin
from carex_bitrix24.crm import Type, mark_of, whole
from carex_bitrix24.ids import Id

DONE = 5
"""The status of a completed task, in the old methods."""
_LETTERS = {1: "L", 2: "D", 3: "C", 4: "CO"}


@dataclass(frozen=True)
class NewTask:
    """A task for an employee. `deadline` is written as 2026-01-31T18:00:00+03:00; `item_id` ties it to a CRM item.

    Without `creator_id` it comes from the webhook's owner. `fields` are further fields of REST 3.
    """

    title: str
    responsible_id: Id
    description: str = ""
    deadline: str | None = None
    creator_id: Id | None = None
    item_id: Id | None = None
    entity: Type = 2
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskChange:
    """Which fields of a task to set, named as in `tasks.task.update`: TITLE, RESPONSIBLE_ID, DEADLINE …"""

    task_id: Id
    fields: dict[str, Any]


@dataclass(frozen=True)
class TaskDone:
    """The task to complete."""

    task_id: Id


@plugin.handler("bitrix_create_task")
async def create_task(new: NewTask, ctx: Context) -> dict[str, Any]:
    """Create a task for an employee, exactly once."""
    fields: dict[str, Any] = {
        "title": new.title,
        "creatorId": new.creator_id or ctx.client.user_id,
        "responsibleId": new.responsible_id,
    }
    if new.description:
        fields["description"] = new.description
    if new.deadline:
        fields["deadline"] = new.deadline
    if new.item_id:
        fields["crmItemIds"] = [f"{_LETTERS.get(new.entity) or f'T{new.entity:x}'}_{new.item_id}"]
    # The portal keeps the answer of a call with this key for a day, and gives it to every repetition of the same bytes.
    result = await ctx.client.call("tasks.task.add", {"fields": {**fields, **new.fields}}, key=mark_of(ctx.task))
    item = result.get("item") if isinstance(result, Mapping) else None
    if not isinstance(item, Mapping) or not whole(item.get("id")):
        raise Fail("tasks.task.add: the portal's answer has no task")
    return {"task_id": whole(item["id"])}


@plugin.handler("bitrix_update_task")
async def update_task(change: TaskChange, ctx: Context) -> dict[str, Any]:
    """Set fields of an employee's task."""
    asked = {"taskId": change.task_id, "fields": change.fields}
    await ctx.client.call("tasks.task.update", asked, repeatable=True)
    return {"task_id": change.task_id}


@plugin.handler("bitrix_complete_task")
async def complete_task(done: TaskDone, ctx: Context) -> dict[str, Any]:
    """Complete an employee's task; one that is completed already is fine."""
    try:
        await ctx.client.call("tasks.task.complete", {"taskId": done.task_id}, repeatable=True)
    except Fail:  # the portal does not complete what is completed
        found = await ctx.client.call("tasks.task.get", {"taskId": done.task_id}, repeatable=True)
        task = found.get("task") if isinstance(found, Mapping) else None
        if not isinstance(task, Mapping) or whole(task.get("status")) != DONE:
            raise
    return {"task_id": done.task_id}
