"""`1c_get`: objects of 1C, by reference, by values or by a condition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from carex import Context, Fail
from carex_onec import plugin
from carex_onec.sync import Entity, Key
from carex_onec.values import equal_to, localised, place

if TYPE_CHECKING:
    from carex_onec.client import Infobase

Limit = Annotated[int, Field(ge=1, le=10_000)]
REFERENCES = (
    "Catalog", "Document", "ChartOfAccounts", "ChartOfCharacteristicTypes", "ChartOfCalculationTypes", "ExchangePlan",
    "BusinessProcess", "Task",
)  # fmt: skip
"""The kinds of objects that have a reference, by which their pages can be ordered."""


@dataclass(frozen=True)
class Wanted:
    """Which objects to read, and which attributes of them.

    One by its `key` (a reference, or a register's dimensions); or all up to `limit` whose attributes have the values in
    `where` and that fit `filter`, a condition in OData's words. `table` is a virtual table, as in SliceLast() or
    Balance(Condition='…'). With `allowed_only` the rows that the user may not see are left out instead of refused.
    """

    entity: Entity
    key: Key | dict[str, Any] | None = None
    where: dict[str, Any] = field(default_factory=dict)
    filter: str = ""
    table: Annotated[str, Field(pattern=r"^$|^[A-Za-z]+\([^?#]*\)$")] = ""
    select: list[str] = field(default_factory=list)
    order_by: str = ""
    expand: list[str] = field(default_factory=list)
    limit: Limit = 100
    allowed_only: bool = False


@plugin.handler("1c_get", attempts=8, timeout=900.0)
async def get(wanted: Wanted, ctx: Context) -> dict[str, Any]:
    """Read an object of 1C, or those that fit."""
    infobase: Infobase = ctx.client
    query = {
        "$select": ",".join(wanted.select),
        "$expand": ",".join(wanted.expand),
        "allowedOnly": "true" if wanted.allowed_only else "",
    }
    if wanted.key is not None:
        if wanted.where or wanted.filter or wanted.table:
            raise Fail("name either a key, or what to look for")
        return {"object": await infobase.get(place(wanted.entity, wanted.key), **query)}
    where = equal_to(localised(wanted.where, infobase.settings.time_zone))
    conditions = [each for each in (where, f"({wanted.filter})" if where and wanted.filter else wanted.filter) if each]
    has_reference = wanted.entity.startswith(REFERENCES) and not wanted.table
    query["$filter"] = " and ".join(conditions)
    query["$orderby"] = wanted.order_by or ("Ref_Key" if has_reference else "")
    path = f"{wanted.entity}/{wanted.table}" if wanted.table else wanted.entity
    found = [row async for row in infobase.pages(path, wanted.limit, **query)]
    return {"objects": found, "count": len(found)}
