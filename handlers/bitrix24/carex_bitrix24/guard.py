"""Whether somebody else was faster: a person has given away what Carex was asked to give away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    somebody other than the webhook's owner has changed the item since. If the item does not say when it was changed,
    it is one of the people whom Carex gives work to: a portal's default holder rarely is. Whom Carex itself chose for
    this item does not count.
    """
    portal: Portal = ctx.client
    holder = whole(item.get("assignedById"))
    seen = portal.first_seen(f"{ctx.task.id} {entity}", holder)
    if was is not None:
        changed = holder not in (0, was)
    elif holder != seen:
        changed = holder != 0
    else:
        idle = {0, portal.user_id, whole(item.get("createdBy")), *holders}
        changed = holder not in idle and await _changed_since(item, ctx.task.created + portal.ahead, holder, ctx)
    if not changed:
        return 0
    ours = await ctx.people.decisions(entity=entity)
    return 0 if any(each.user_id == holder for each in ours[:1]) else holder


async def _changed_since(item: Mapping[str, Any], moment: float, holder: int, ctx: Context) -> bool:
    """Whether a person has changed the item after a time of the portal's clock."""
    portal: Portal = ctx.client
    if "updatedBy" in item and whole(item["updatedBy"]) in (0, portal.user_id):
        return False
    try:
        return datetime.fromisoformat(str(item["updatedTime"])).timestamp() > moment
    except (KeyError, ValueError, OverflowError):
        return any(user.id == holder for user in await ctx.people.users())
