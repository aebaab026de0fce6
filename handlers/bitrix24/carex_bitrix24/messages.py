"""`bitrix_comment` and `bitrix_notify`: telling people something, once."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carex import Context, Fail, Task
from carex_bitrix24 import plugin
from carex_bitrix24.crm import ORIGINATOR, Type, mark_of, name_of
from carex_bitrix24.ids import Id

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal

SETTLE = 10.0
"""Seconds after which a comment whose answer was lost is looked for."""
FRESH = 2.0
"""Seconds since it came in which a task cannot have been tried before: a `Wait` leaves no other trace."""


@dataclass(frozen=True)
class Comment:
    """What to write into the timeline of which item. `entity` is deal, lead, contact, company or a number."""

    id: Id
    text: str
    entity: Type = 2


@dataclass(frozen=True)
class Notice:
    """What to tell an employee."""

    user_id: Id
    text: str


@plugin.handler("bitrix_comment")
async def comment(given: Comment, ctx: Context) -> dict[str, Any]:
    """Write a comment into the timeline of an item, once."""
    return {"comment_id": await say_in_timeline(ctx.client, given.entity, given.id, given.text, ctx.task)}


@plugin.handler("bitrix_notify")
async def notify(given: Notice, ctx: Context) -> dict[str, Any]:
    """Send a notification to an employee, once."""
    return {"notification_id": await send_notice(ctx.client, given.user_id, given.text, ctx.task)}


async def say_in_timeline(portal: Portal, type: int, item: int, text: str, task: Task) -> int:
    """Comment on an item. A line with the task's mark tells a repetition that it was done already."""
    if not text.strip():
        raise Fail("the comment's text is empty")
    mark = f"#carex-{hashlib.sha256(mark_of(task).encode()).hexdigest()[:12]}"
    owner = {"ENTITY_ID": item, "ENTITY_TYPE": name_of(type)}
    if task.repeated or time.time() - task.created > FRESH:
        asked = {"filter": owner, "select": ["ID", "COMMENT"], "order": {"ID": "DESC"}}
        async for row in portal.list("crm.timeline.comment.list", asked):
            if isinstance(row, dict) and mark in str(row.get("COMMENT", "")):
                return int(row["ID"])
    asked = {"fields": {**owner, "COMMENT": f"{text}\n{mark}"}}
    return int(await portal.call("crm.timeline.comment.add", asked, settle=SETTLE))


async def send_notice(portal: Portal, user: int, text: str, task: Task) -> int:
    """Notify an employee. The portal puts a notification in the place of an earlier one with the same tag."""
    asked = {"USER_ID": user, "MESSAGE": text, "TAG": f"carex|{mark_of(task)}", "CLIENT_ID": ORIGINATOR}
    sent = await portal.call("im.notify.system.add", asked, repeatable=True)
    if not sent:
        raise Fail(f"im.notify.system.add: the portal cannot notify {user}; is this an active employee?")
    return int(sent)
