"""What the portal knows about employees now: who was dismissed, is absent, has not clocked in, has how much open.

Each is a source that `people.sources` may list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from carex import Fail
from carex_bitrix24 import plugin
from carex_bitrix24.crm import DEAL, whole

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal

YES = (True, "Y", "1", 1, "true")


@plugin.presence("active")
async def inactive(portal: Portal, ids: Sequence[int], now: datetime) -> Mapping[int, str]:
    """Who is dismissed, or no employee at all. Needs the scope user_brief."""
    asked = {"FILTER": {"ID": list(ids)}, "sort": "ID", "order": "ASC"}
    active = {whole(each.get("ID")) async for each in portal.list("user.get", asked) if each.get("ACTIVE") in YES}
    return {id: "inactive in the portal" for id in ids if id not in active}


@plugin.presence("absence")
async def absent(portal: Portal, ids: Sequence[int], now: datetime) -> Mapping[int, str]:
    """Who is absent by the absence chart. Needs the scope calendar."""
    days = [(now + timedelta(days=ahead)).date().isoformat() for ahead in (-1, 1)]
    asked = {"users": list(ids), "from": days[0], "to": days[1]}
    found = await portal.call("calendar.accessibility.get", asked, repeatable=True)
    if not isinstance(found, Mapping):  # PHP writes an empty map as an empty list
        return {}
    away = {}
    for id in ids:
        ends = [_end_of(each, now) for each in found.get(str(id)) or ()]
        if any(ends):
            away[id] = f"absent until {max(filter(None, ends))}"
    return away


@plugin.presence("clock")
async def not_clocked_in(portal: Portal, ids: Sequence[int], now: datetime) -> Mapping[int, str]:
    """Who has not begun their working day, or is on a break, of those whose time is tracked: all others look as if they
    never came. Needs the scope timeman.
    """
    settings = await asyncio.gather(*(_of(portal, "timeman.settings", id) for id in ids))
    tracked = [id for id, each in zip(ids, settings, strict=True) if each.get("UF_TIMEMAN") in YES]
    clocks = await asyncio.gather(*(_of(portal, "timeman.status", id) for id in tracked))
    away = {}
    for id, clock in zip(tracked, clocks, strict=True):
        status = clock.get("STATUS")
        if status == "PAUSED":
            away[id] = "paused in the portal"
        elif status != "OPENED":  # EXPIRED is a day that nobody closed
            away[id] = f"not_clocked_in ({str(status).lower()})"
    return away


@plugin.presence("open_deals")
async def open_deals(portal: Portal, ids: Sequence[int], now: datetime) -> Mapping[int, int]:
    """How many deals each has in progress. Needs the scope crm."""
    counts = await asyncio.gather(*(portal.count("crm.item.list", _open_deals_of(id)) for id in ids))
    return dict(zip(ids, counts, strict=True))


def _open_deals_of(id: int) -> dict[str, Any]:
    return {"entityTypeId": DEAL, "filter": {"=assignedById": id, "=stageSemanticId": "P"}, "select": ["id"]}


async def _of(portal: Portal, method: str, id: int) -> Mapping[str, Any]:
    found = await portal.call(method, {"USER_ID": id}, repeatable=True)
    if not isinstance(found, Mapping):
        raise Fail(f"{method}: the portal's answer about {id} is no map")
    return found


def _end_of(entry: Mapping[str, Any], now: datetime) -> date | None:
    """The last day of an absence that is on now; None for any other entry."""
    if entry.get("ACCESSIBILITY") != "absent":
        return None
    try:
        start, end = (
            datetime.fromtimestamp(int(entry[key]), timezone.utc) for key in ("DATE_FROM_TS_UTC", "DATE_TO_TS_UTC")
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if entry.get("DT_SKIP_TIME") in YES:  # whole days, in nobody's time zone: both are included
        return end.date() if start.date() <= now.date() <= end.date() else None
    return end.astimezone(now.tzinfo).date() if start <= now.astimezone(timezone.utc) < end else None
