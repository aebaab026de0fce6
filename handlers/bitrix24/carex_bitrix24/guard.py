"""Whether somebody else was faster: a person has given away what Carex was asked to give away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from carex import Context
from carex_bitrix24.crm import whole

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal


async def who_was_faster(
    item: Mapping[str, Any], entity: str, was: int | None, holders: Sequence[int], ctx: Context
) -> int:
    """The responsible person whom somebody else has chosen since the task came, or 0.

    If the task says who was responsible then (`was`), or an earlier attempt has seen it, anybody else is such a person.
    Otherwise it is somebody who is neither the item's creator nor the webhook's owner nor named in `holders`, and
    somebody other than the webhook's owner has changed the item since, as far as it says; and it is in the directory: a
    portal's default holder rarely is. Whom Carex itself chose for this item does not count. For a task taken over from
    another system it is whoever has it already.
    """
    portal: Portal = ctx.client
    holder = whole(item.get("assignedById"))
    seen = portal.first_seen(_sight(entity, ctx), holder)
    if was is not None:
        changed = holder not in (0, was)
    elif holder != seen:
        changed = holder != 0
    elif not ctx.task.created:  # it waited in another system, and nobody knows since when
        colleagues = {user.id for user in await ctx.people.users()}
        changed = taken_by(item, portal.user_id, holders, colleagues) != 0
    else:
        idle = {0, portal.user_id, whole(item.get("createdBy")), *holders}
        changed = holder not in idle and _changed_since(item, ctx.task.created + portal.ahead, portal.user_id)
        changed = changed and any(user.id == holder for user in await ctx.people.users())
    if not changed:
        return 0
    ours = await ctx.people.decisions(entity=entity)
    return 0 if any(each.user_id == holder for each in ours[:1]) else holder


def has_looked(entity: str, ctx: Context) -> bool:
    """Whether an earlier attempt in this process has seen who was responsible."""
    portal: Portal = ctx.client
    return portal.has_seen(_sight(entity, ctx))


def _sight(entity: str, ctx: Context) -> str:
    return f"{ctx.task.id} {entity}"


def taken_by(item: Mapping[str, Any], owner: int, holders: Sequence[int], colleagues: Collection[int]) -> int:
    """The colleague whom somebody has made responsible for an item that no task has come for, or 0.

    It is neither its creator nor the webhook's owner nor one of `holders`, and the item was changed since its creation;
    if it does not say when, it says at least who created it. When in doubt it is theirs: who was left out can be made
    up for, what was taken away cannot.
    """
    holder, creator = whole(item.get("assignedById")), whole(item.get("createdBy"))
    if holder in (owner, creator, *holders) or holder not in colleagues:
        return 0
    created, updated = moment_of(item, "createdTime"), moment_of(item, "updatedTime")
    changed = updated > created if created is not None and updated is not None else creator != 0
    return holder if changed else 0


def moment_of(item: Mapping[str, Any], name: str) -> float | None:
    """A time of the portal's clock, in Unix seconds; None if the item does not say."""
    try:
        return datetime.fromisoformat(str(item[name])).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def _changed_since(item: Mapping[str, Any], moment: float, owner: int) -> bool:
    """Whether a person may have changed the item after a time of the portal's clock."""
    if "updatedBy" in item and whole(item["updatedBy"]) in (0, owner):
        return False
    updated = moment_of(item, "updatedTime")
    return updated is None or updated > moment
