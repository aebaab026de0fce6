"""The CRM items of the portal: deals, leads, contacts, companies, smart-process items."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from carex_bitrix24.simulator import fields

HIGHEST_AUTOMATIC = 10_000_000


@dataclass(frozen=True)
class Item:
    """One item; `values` are under the names of `crm.item.*`."""

    entity_type_id: int
    id: int
    values: dict[str, Any]

    def set(self, name: str, value: Any) -> Any:
        """Store a typed value, keep the fields that hang together in step, return the old value."""
        old = self.values.get(name)
        self.values[name] = value
        if name == "contactId" and "contactIds" in self.values:
            self.values["contactIds"] = [value] if value else []
        elif name == "contactIds" and "contactId" in self.values:
            self.values["contactId"] = value[0] if value else 0
        elif name == "stageId":
            self.values["stageSemanticId"] = fields.semantics(value)
        return old


class Items:
    """All items; with `auto_create` an unknown one exists as soon as somebody asks for it."""

    def __init__(self, *, auto_create: bool, owner: int) -> None:
        self.auto_create = auto_create
        self.owner = owner
        self.missing: set[tuple[int, int]] = set()
        self.denied: set[tuple[int, int]] = set()
        self.user_fields: set[str] = set()
        self._items: dict[tuple[int, int], Item] = {}
        self._highest: dict[int, int] = {}

    def find(self, entity_type_id: int, item_id: int, now: str) -> Item | None:
        """Return the item, or None if the portal has none of this id."""
        key = (entity_type_id, item_id)
        if key in self.missing:
            return None
        found = self._items.get(key)
        automatic = self.auto_create and fields.is_known_type(entity_type_id) and 0 < item_id <= HIGHEST_AUTOMATIC
        if found is None and automatic:
            found = self.put(entity_type_id, item_id, {}, now)
        return found

    def put(self, entity_type_id: int, item_id: int | None, values: Mapping[str, Any], now: str) -> Item:
        """Create an item or replace it; raise ValueError if a value does not fit. No id means the next free one."""
        if item_id is None:
            lowest = HIGHEST_AUTOMATIC if self.auto_create else 0
            item_id = max(self._highest.get(entity_type_id, 0), lowest) + 1
        item = Item(entity_type_id, item_id, fields.blank(entity_type_id, item_id))
        item.values.update({fields.new_name(name): "" for name in self.user_fields})
        item.values.update(dict.fromkeys(("createdBy", "updatedBy", "movedBy", "assignedById"), self.owner))
        item.values.update(dict.fromkeys(("createdTime", "updatedTime", "movedTime"), now))
        for name, value in values.items():
            item.set(name, fields.typed(name, value))
        item.values["entityTypeId"] = entity_type_id
        self._items[entity_type_id, item_id] = item
        self._highest[entity_type_id] = max(self._highest.get(entity_type_id, 0), item_id)
        return item

    def readable(self, entity_type_id: int) -> list[Item]:
        """Return the items of one type that lists show, by id."""
        hidden = self.missing | self.denied
        found = [item for key, item in self._items.items() if key[0] == entity_type_id and key not in hidden]
        return sorted(found, key=lambda item: item.id)

    def clear(self) -> None:
        """Forget all items and what was said about missing and denied ones."""
        self._items.clear()
        self._highest.clear()
        self.missing.clear()
        self.denied.clear()
        self.user_fields.clear()

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)
