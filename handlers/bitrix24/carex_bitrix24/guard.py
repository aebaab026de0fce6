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
    Otherwise it is somebody who is neither the item's creator nor the webhook's owner nor named in `holders`, and the
    item was changed since. Whom Carex itself chose for this item does not count.
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
        changed = holder not in idle and _changed_since(item, ctx.task.created + portal.ahead)
    if not changed:
        return 0
    ours = await ctx.people.decisions(entity=entity)
    return 0 if any(each.user_id == holder for each in ours[:1]) else holder


def _changed_since(item: Mapping[str, Any], moment: float) -> bool:
    """Whether the item was changed after a time of the portal's clock; an item that does not say it may have been."""
    try:
        return datetime.fromisoformat(str(item["updatedTime"])).timestamp() > moment
    except (KeyError, ValueError, OverflowError):
        return True
