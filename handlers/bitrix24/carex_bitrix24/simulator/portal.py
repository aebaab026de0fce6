"""The simulated Bitrix24 portal: its state, its time and its settings.

Everything lives in memory and follows one clock, so a test can throw hours of work at it in a second.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import httpx
from starlette.types import ASGIApp

from carex_bitrix24.simulator import employees as people
from carex_bitrix24.simulator import robot
from carex_bitrix24.simulator.app import build_app
from carex_bitrix24.simulator.bucket import Bucket
from carex_bitrix24.simulator.call import Method
from carex_bitrix24.simulator.faults import Faults
from carex_bitrix24.simulator.items import Item, Items
from carex_bitrix24.simulator.ledger import Change, Ledger
from carex_bitrix24.simulator.messages import Comment, Notification
from carex_bitrix24.simulator.methods import TABLE, TABLE_V3
from carex_bitrix24.simulator.operating import Operating

SCOPES = frozenset({"crm", "user_brief", "department", "task", "tasks", "im", "timeman", "calendar"})
TINY_COST = 0.001
WEBHOOK_CODE = "s3cr3t0simulated"
_MOSCOW = timezone(timedelta(hours=3))


class Portal:
    """A portal with one webhook. `speed` makes its time run faster than ours; `latency` is in our seconds."""

    def __init__(
        self,
        *,
        rate: float = 2.0,
        capacity: float = 50.0,
        refusals_fill: bool = False,
        secret: str = WEBHOOK_CODE,
        user_id: int = 1,
        latency: float = 0.0,
        speed: float = 1.0,
        auto_create: bool = True,
        employees: int = 8,
        clock: Callable[[], float] = time.monotonic,
        require_https: bool = False,
        operating_limit: float | None = 480.0,
        operating_cost: Mapping[str, float] | None = None,
        batch_billing: Literal["inner", "outer"] = "inner",
        strict_users: bool = False,
        refuse_dismissed: bool = False,
        seed: int = 0,
    ) -> None:
        self.secret = secret
        self.user_id = user_id
        self.latency = latency
        self.speed = speed
        self.require_https = require_https
        self.operating_cost = dict(operating_cost or {})
        self.batch_billing = batch_billing
        self.strict_users = strict_users
        self.refuse_dismissed = refuse_dismissed
        self.scopes: set[str] = set(SCOPES)
        self.methods: dict[str, Method] = dict(TABLE)
        self.methods_v3: dict[str, Method] = dict(TABLE_V3)
        self.bucket = Bucket(rate, capacity, refusals_fill)
        self.operating = Operating(operating_limit)
        self.faults = Faults(seed)
        self.items = Items(auto_create=auto_create, owner=user_id)
        self._clock = clock
        self._born = clock()
        self._epoch = time.time()
        self._headcount = employees
        self._serial = 0
        self.reset()

    def reset(self) -> None:
        """Go back to an untouched portal; its settings and its time stay."""
        self.ledger = Ledger()
        self.employees = {number: people.employee(number) for number in range(1, self._headcount + 1)}
        self.departments = people.DEPARTMENTS
        self.comments: list[Comment] = []
        self.notifications: dict[int, Notification] = {}
        self.items.clear()
        self.faults.clear()
        self.bucket.empty()
        self.operating.empty()

    @property
    def missing(self) -> set[tuple[int, int]]:
        """(type, id) of items that are not found, whatever `auto_create` says."""
        return self.items.missing

    @property
    def denied(self) -> set[tuple[int, int]]:
        """(type, id) of items that the owner of the webhook may not touch."""
        return self.items.denied

    @property
    def user_fields(self) -> set[str]:
        """UF_CRM_… names that items created from now on have."""
        return self.items.user_fields

    def now(self) -> float:
        """Return the portal's seconds since its creation."""
        return (self._clock() - self._born) * self.speed

    def unix(self, now: float) -> float:
        """Return the unix time of a portal second."""
        return self._epoch + now

    def iso(self, now: float | None = None) -> str:
        """Return a portal second as the portal writes dates."""
        moment = datetime.fromtimestamp(self.unix(self.now() if now is None else now), _MOSCOW)
        return moment.isoformat(timespec="seconds")

    def cost(self, method: str) -> float:
        """Return the operating seconds that one call of a method takes."""
        return self.operating_cost.get(method, TINY_COST)

    def next_number(self) -> int:
        """Return an id for a new comment or notification."""
        self._serial += 1
        return self._serial

    def add_item(self, entity_type_id: int, item_id: int | None = None, /, **values: Any) -> Item:
        """Create an item; values have the names of `crm.item.*`. Nothing is written into the ledger."""
        return self.items.put(entity_type_id, item_id, values, self.iso())

    def find(self, entity_type_id: int, item_id: int) -> Item | None:
        """Return an item, or None if it does not exist."""
        return self.items.find(entity_type_id, item_id, self.iso())

    def set_employee(self, number: int, **changes: Any) -> people.Employee:
        """Change a person, or hire one if the id is new."""
        known = self.employees.get(number) or people.employee(number)
        self.employees[number] = dataclasses.replace(known, **changes)
        return self.employees[number]

    def accepts_responsible(self, number: int) -> bool:
        """Whether this person can be made responsible. What a real portal says to a stranger is not known."""
        known = self.employees.get(number)
        if known is None:
            return not self.strict_users
        return known.active or not self.refuse_dismissed

    def write(self, item: Item, values: Mapping[str, Any], method: str, request_no: int) -> None:
        """Set typed values and record each of them; an update that changes nothing leaves the item's dates alone."""
        at = self.now()
        changed = False
        for name, value in values.items():
            old = item.set(name, value)
            changed = changed or old != value
            self.record(item.entity_type_id, item.id, name, old, value, method, request_no, at=at)
        if changed:
            item.values["updatedTime"] = self.iso(at)
            item.values["updatedBy"] = self.user_id

    def record(
        self,
        entity_type_id: int,
        item_id: int,
        field: str,
        old: Any,
        new: Any,
        method: str,
        request_no: int,
        *,
        at: float | None = None,
    ) -> None:
        """Write one applied change into the ledger."""
        at = self.now() if at is None else at
        self.ledger.add(Change(at, entity_type_id, item_id, field, old, new, method, request_no, old != new))

    def responsible(self, entity_type_id: int, item_id: int) -> int | None:
        """Return who is responsible for an item now."""
        found = self.find(entity_type_id, item_id)
        return found.values["assignedById"] if found else None

    def asgi(self) -> ASGIApp:
        """Return the portal as an ASGI application."""
        return build_app(self)

    async def robot_post(
        self,
        url: str,
        deal_id: int,
        contact_id: int | str | None = None,
        extra_query: Mapping[str, str] | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> int | None:
        """Call a URL as the portal's robot does: once. Return the status, or None if no answer came."""
        return await robot.post(url, deal_id, contact_id, extra_query, transport=transport)
