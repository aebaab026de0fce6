"""`1c_sync_data`: an object of 1C has these values afterwards, whether it was there before or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from carex import BpmnError, Context, Fail
from carex_onec import plugin
from carex_onec.call import conclude, key_header
from carex_onec.marks import mark_of, reference_for
from carex_onec.values import equal_to, is_guid, localised, numbered, place, same, unknown

if TYPE_CHECKING:
    from carex_onec.client import Infobase

Entity = Annotated[str, Field(pattern=r"^[A-Za-z]+_\w+$", max_length=300)]
"""A name of OData's, as in Catalog_Контрагенты."""
Key = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
TIMES = 3
NOT_DATA = {"Ref_Key": "name it as key", "DataVersion": "it is 1C's own", "Posted": "set post = true instead"}


@dataclass(frozen=True)
class Sync:
    """What 1C shall have: `data` in an object of `entity` over OData, or as the `operation` of the HTTP service.

    Which object it is says `key` (its reference, or a register's dimensions), or `match_by` (attributes in `data` whose
    values find it); with neither it is a new one, once. `data` may have tabular parts as lists of rows: they are
    replaced as a whole. `post` has a document posted afterwards.
    """

    data: dict[str, Any]
    entity: Entity | None = None
    operation: str | None = None
    key: Key | dict[str, Any] | None = None
    match_by: list[str] | str = field(default_factory=list)
    post: bool = False


@plugin.handler("1c_sync_data", attempts=10, timeout=900.0)
async def sync_data(wanted: Sync, ctx: Context) -> dict[str, Any]:
    """Create an object in 1C or bring it up to date, once; a document is posted if wanted."""
    infobase: Infobase = ctx.client
    data = localised(wanted.data, infobase.settings.time_zone)
    if (wanted.entity is None) == (wanted.operation is None):
        raise Fail("name either an entity (OData) or an operation (HTTP service)")
    if wanted.operation is not None:
        told = {"operation": wanted.operation, "key": mark_of(ctx.task), "payload": data}
        path = infobase.settings.sync_service
        said = await infobase.call("POST", path, told, headers=key_header(ctx.task), repeatable=True)
        return {"answer": conclude(infobase, path, said)}
    return await _Object(infobase, wanted, data, ctx).bring_up_to_date()


class _Object:
    """One object on its way into 1C."""

    def __init__(self, infobase: Infobase, wanted: Sync, data: Mapping[str, Any], ctx: Context) -> None:
        self.infobase, self.wanted, self.ctx = infobase, wanted, ctx
        self.entity = wanted.entity or ""
        names = [wanted.match_by] if isinstance(wanted.match_by, str) else wanted.match_by
        wrong = [f"{name} ({why})" for name, why in NOT_DATA.items() if name in data]
        wrong += [f"{name} (match_by names it)" for name in names if data.get(name) in (None, "")]
        if wrong:
            raise Fail(f"data: {', '.join(wrong)}")
        self.data = numbered(data)
        self.where = {name: data[name] for name in names}
        self.key = wanted.key or reference_for(ctx.task, self.entity, self.where)

    async def bring_up_to_date(self) -> dict[str, Any]:
        from carex_onec.client import Conflict, Exists

        for time in range(TIMES):
            there = await self._find()
            try:
                if there is None:
                    made = await self._create()
                    return await self._told(made, list(self.data), created=True)
                changes = self._changes(there)
                if changes:
                    there = await self.infobase.patch(
                        place(self.entity, self._key_of(there)), changes, there.get("DataVersion")
                    )
                return await self._told(there, list(changes), created=False)
            except (Conflict, Exists):
                if time == TIMES - 1:
                    raise
        raise AssertionError("unreachable")

    async def _find(self) -> dict[str, Any] | None:
        if self.where and self.wanted.key is None:
            found = await self.infobase.get(self.entity, **{"$filter": equal_to(self.where), "$top": 50})
            rows = found.get("value") or []
            # Somebody who merges duplicates marks those that are not to be used any more.
            rows = [row for row in rows if not row.get("DeletionMark")] or rows
            if len(rows) > 1:
                refs = [row.get("Ref_Key") for row in rows]
                raise BpmnError(
                    "AMBIGUOUS", f"{len(rows)} objects of {self.entity} have {equal_to(self.where)}", {"refs": refs}
                )
            if rows:
                return dict(rows[0])
        try:
            return await self.infobase.get(place(self.entity, self.key))
        except BpmnError as error:
            if error.code == "NOT_FOUND":
                return None
            raise

    async def _create(self) -> dict[str, Any]:
        key = self.key if isinstance(self.key, dict) else {"Ref_Key": self.key}
        made = await self.infobase.create(self.entity, {**self.data, **key})
        if is_guid(self.key) and not same(self.key, made.get("Ref_Key")):
            self.ctx.log.warning("{}: 1C gave a new object a reference of its own, not {}", self.entity, self.key)
        return made

    def _changes(self, there: Mapping[str, Any]) -> dict[str, Any]:
        self._check_names(there, "nothing was changed")
        return {name: value for name, value in self.data.items() if not same(value, there[name])}

    async def _told(self, there: Mapping[str, Any], changed: list[str], created: bool) -> dict[str, Any]:
        """The result. Looks at what 1C made of the data: it passes over what it does not know, and cuts what is too
        long, without a word."""
        self._check_names(there, "the rest was written")
        if self.wanted.post:
            # Also if nothing was changed: an earlier attempt may have got no further than that.
            await self.infobase.run(place(self.entity, self._key_of(there), "Post"), PostingModeOperational="false")
        altered = {name: there[name] for name, value in self.data.items() if not same(value, there[name])}
        if altered:
            self.ctx.log.warning("{}: 1C has other values than it was given: {}", self.entity, ", ".join(altered))
        return {
            "key": there.get("Ref_Key", self.key),
            "created": created,
            "changed": changed,
            "posted": self.wanted.post,
            "altered": altered,
        }

    def _check_names(self, there: Mapping[str, Any], so: str) -> None:
        names = unknown(self.data, there)
        if names:
            raise Fail(f"{self.entity} has no attribute {', '.join(names)}: {so}. Names are those of $metadata")

    def _key_of(self, there: Mapping[str, Any]) -> str | dict[str, Any]:
        key: str | dict[str, Any] = there.get("Ref_Key", self.key)
        return key
