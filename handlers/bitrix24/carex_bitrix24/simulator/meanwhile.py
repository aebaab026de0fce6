"""What people do meanwhile: somebody changes an item in the browser just as a program works on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from carex_bitrix24.simulator import fields
from carex_bitrix24.simulator.call import Call, whole

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal

_TYPES = {"lead": fields.LEAD, "deal": fields.DEAL, "contact": fields.CONTACT, "company": fields.COMPANY}


@dataclass(frozen=True)
class Meanwhile:
    """Right before or after a call of `method` (a pattern, inside a batch too), set `values` by hand, `count` times.

    Without `item_id` it happens to the item that the call is about, and only to items of `entity_type_id`.
    """

    method: str
    values: dict[str, Any] = field(default_factory=dict)
    entity_type_id: int = fields.DEAL
    item_id: int | None = None
    moment: Literal["before", "after"] = "after"
    count: int = 1

    def __post_init__(self) -> None:
        if self.moment not in ("before", "after"):
            raise ValueError(f"moment is before or after, not {self.moment!r}")


class Meddlers:
    """The people who will meddle, in the order in which they were told to."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Meanwhile, int]] = []

    def add(self, *waiting: Meanwhile) -> None:
        """Let somebody wait for a call."""
        self._waiting.extend((one, one.count) for one in waiting)

    def act(self, portal: Portal, call: Call, moment: str) -> None:
        """Let those act who waited for this moment of this call."""
        for number, (one, left) in enumerate(list(self._waiting)):
            if left == 0 or one.moment != moment or not fnmatchcase(call.method, one.method):
                continue
            item_id = one.item_id if one.item_id is not None else _about(call, one.entity_type_id)
            if item_id is None:
                continue
            self._waiting[number] = (one, left - 1)
            portal.by_hand(one.entity_type_id, item_id, **one.values)

    def clear(self) -> None:
        """Send everybody home."""
        self._waiting.clear()


def _about(call: Call, entity_type_id: int) -> int | None:
    """Return the item that a call is about, if it is one of this type."""
    noun = call.method.partition(".")[2].partition(".")[0]
    named = whole(call.given("entityTypeId")) or _TYPES.get(noun)
    return whole(call.given("id")) if named == entity_type_id else None
