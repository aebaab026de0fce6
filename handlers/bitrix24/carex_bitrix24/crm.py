"""What the handlers of CRM items share: the types of items, how one is read, and how a task leaves its mark."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from carex import Fail, Task

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal

LEAD, DEAL, CONTACT, COMPANY = 1, 2, 3, 4
"""The portal's entityTypeId of each."""
NAMES = {"lead": LEAD, "deal": DEAL, "contact": CONTACT, "company": COMPANY}
ORIGINATOR = "carex"
LONGEST_MARK = 100


def read_type(value: Any) -> int:
    """An entityTypeId from a name (deal, lead, contact, company, dynamic_128) or the number itself."""
    text = str(value).strip().lower()
    number = text.removeprefix("dynamic_")
    if text in NAMES:
        return NAMES[text]
    if number.isascii() and number.isdigit() and int(number) > 0:
        return int(number)
    raise ValueError(f"expected deal, lead, contact, company or the number of a smart process, got {text[:40]!r}")


def name_of(type: int) -> str:
    """The type's name as `crm.timeline.comment.add` takes it."""
    return next((name for name, number in NAMES.items() if number == type), f"dynamic_{type}")


Type = Annotated[int, BeforeValidator(read_type, json_schema_input_type=int | str)]


def mark_of(task: Task) -> str:
    """What tells this work from all other: the same for every attempt, and for each time the engine sends it again."""
    mark = task.key or task.id
    if len(mark) <= LONGEST_MARK and all("!" <= letter <= "~" for letter in mark):
        return mark
    return hashlib.sha256(mark.encode()).hexdigest()


async def read_item(portal: Portal, type: int, item: int) -> Mapping[str, Any]:
    """Raises BpmnError("NOT_FOUND") if there is no such item."""
    result = await portal.call("crm.item.get", {"entityTypeId": type, "id": item}, repeatable=True)
    return item_in("crm.item.get", result)


def item_in(method: str, result: Any) -> Mapping[str, Any]:
    found = result.get("item") if isinstance(result, Mapping) else None
    if not isinstance(found, Mapping):
        raise Fail(f"{method}: the portal's answer has no item")
    return found


def whole(value: Any) -> int:
    """An id as the portal gives it, as number or text; 0 for none."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else 0
