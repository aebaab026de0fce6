"""`bitrix_create_item`, `bitrix_update_item`, `bitrix_get_item`: CRM items of any type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from carex import Context, Fail
from carex_bitrix24 import plugin
from carex_bitrix24.crm import NAMES, ORIGINATOR, Type, item_in, mark_of, read_item
from carex_bitrix24.ids import Id

SETTLE = 10.0
"""Seconds after which an item whose creation was not answered is looked for."""


@dataclass(frozen=True)
class New:
    """The fields of a new item, named as in `crm.item.add`. `entity` is deal, lead, contact, company or a number."""

    fields: dict[str, Any]
    entity: Type = 2


@dataclass(frozen=True)
class Change:
    """Which fields of an item to set, named as in `crm.item.update`."""

    id: Id
    fields: dict[str, Any]
    entity: Type = 2


@dataclass(frozen=True)
class Wanted:
    """Which item to read, and which of its fields; all if none is named."""

    id: Id
    entity: Type = 2
    select: list[str] = field(default_factory=list)


@plugin.handler("bitrix_create_item")
async def create_item(new: New, ctx: Context) -> dict[str, Any]:
    """Create a CRM item, once: it carries the task's mark, and is looked for before it is made."""
    mark = _mark(new, mark_of(ctx.task))
    found = await ctx.client.call(
        "crm.item.list",
        {"entityTypeId": new.entity, "filter": mark, "select": ["id", *mark]},
        repeatable=True,
    )
    for item in found.get("items") or () if isinstance(found, Mapping) else ():
        if all(str(item.get(name)) == str(value) for name, value in mark.items()):  # a portal may ignore the filter
            return {"item_id": int(item["id"]), "created": False}
    result = await ctx.client.call(
        "crm.item.add", {"entityTypeId": new.entity, "fields": {**new.fields, **mark}}, settle=SETTLE
    )
    return {"item_id": int(item_in("crm.item.add", result)["id"]), "created": True}


@plugin.handler("bitrix_update_item")
async def update_item(change: Change, ctx: Context) -> dict[str, Any]:
    """Set fields of a CRM item."""
    asked = {"entityTypeId": change.entity, "id": change.id, "fields": change.fields}
    item = item_in("crm.item.update", await ctx.client.call("crm.item.update", asked, repeatable=True))
    # The portal passes over what it does not know without a word.
    unknown = [name for name in change.fields if not name.upper().startswith("UF_") and name not in item]
    if unknown:
        raise Fail(f"crm.item.update: the item has no field {', '.join(unknown)}; field names are those of crm.item.*")
    return {"item_id": change.id, "changed": {name: item[name] for name in change.fields if name in item}}


@plugin.handler("bitrix_get_item")
async def get_item(wanted: Wanted, ctx: Context) -> dict[str, Any]:
    """Read a CRM item; each field becomes a variable."""
    item = await read_item(ctx.client, wanted.entity, wanted.id)
    return {name: value for name, value in item.items() if not wanted.select or name in wanted.select}


def _mark(new: New, mark: str) -> dict[str, str]:
    """The fields that tell this item from all other. Those that the caller filled in himself are such fields, too."""
    wanted = {"originatorId": ORIGINATOR, "originId": mark} if new.entity in NAMES.values() else {"xmlId": mark}
    return {name: str(new.fields.get(name) or value) for name, value in wanted.items()}
