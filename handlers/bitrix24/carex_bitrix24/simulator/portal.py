"""The simulated Bitrix24 portal: its state, its time and its settings.

Everything lives in memory and follows one clock, so a test can throw hours of work at it in a second.
"""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import httpx
from starlette.types import ASGIApp

from carex_bitrix24.simulator import employees as people
from carex_bitrix24.simulator import robot
from carex_bitrix24.simulator.app import build_app
from carex_bitrix24.simulator.bucket import Bucket, Buckets
from carex_bitrix24.simulator.call import Call, Method
from carex_bitrix24.simulator.events import Events, Happened, Subscription, crm_event
from carex_bitrix24.simulator.faults import Faults
from carex_bitrix24.simulator.fields import typed
from carex_bitrix24.simulator.items import Item, Items
from carex_bitrix24.simulator.ledger import BY_HAND, Change, Created, Ledger
from carex_bitrix24.simulator.meanwhile import Meddlers
from carex_bitrix24.simulator.messages import Comment, Notification
from carex_bitrix24.simulator.methods import TABLE, TABLE_V3
from carex_bitrix24.simulator.operating import Operating
from carex_bitrix24.simulator.replays import Replays
from carex_bitrix24.simulator.selection import PORTAL_ZONE
from carex_bitrix24.simulator.tasks import Tasks

SCOPES = frozenset({"crm", "user_brief", "department", "task", "tasks", "im", "timeman", "calendar"})
TINY_COST = 0.001
WEBHOOK_CODE = "s3cr3t0simulated"


class Portal:
    """A portal with one webhook. `speed` makes its time run faster than ours; `latency` and `jitter` are in ours."""

    def __init__(
        self,
        *,
        rate: float = 2.0,
        capacity: float = 50.0,
        refusals_fill: bool = False,
        stepwise: bool = False,
        per_address: bool = False,
        secret: str = WEBHOOK_CODE,
        user_id: int = 1,
        latency: float = 0.0,
        jitter: float = 0.0,
        speed: float = 1.0,
        auto_create: bool = True,
        employees: int = 8,
        clock: Callable[[], float] = time.monotonic,
        require_https: bool = False,
        operating_limit: float | None = 480.0,
        operating_cost: Mapping[str, float] | None = None,
        batch_billing: Literal["inner", "outer"] = "inner",
        counters_in_429: bool = False,
        longest_request: float = 60.0,
        v3_system_errors: Literal["map", "flat"] = "map",
        strict_users: bool = False,
        refuse_dismissed: bool = False,
        seed: int = 0,
    ) -> None:
        self.secret = secret
        self.user_id = user_id
        self.latency = latency
        self.jitter = jitter
        self.speed = speed
        self.require_https = require_https
        self.operating_cost = dict(operating_cost or {})
        self.batch_billing = batch_billing
        self.counters_in_429 = counters_in_429
        self.longest_request = longest_request
        self.v3_system_errors = v3_system_errors
        self.strict_users = strict_users
        self.refuse_dismissed = refuse_dismissed
        self.scopes: set[str] = set(SCOPES)
        self.methods: dict[str, Method] = dict(TABLE)
        self.methods_v3: dict[str, Method] = dict(TABLE_V3)
        self.buckets = Buckets(rate, capacity, refusals_fill=refusals_fill, stepwise=stepwise, per_address=per_address)
        self.operating = Operating(operating_limit)
        self.faults = Faults(seed, self.now)
        self._random = random.Random(seed)  # noqa: S311
        self.items = Items(auto_create=auto_create, owner=user_id)
        self.tasks = Tasks()
        self.replays = Replays()
        self.meanwhile = Meddlers()
        self._clock = clock
        self._born = clock()
        self._epoch = time.time()
        self.events = Events(self._epoch)
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
        self.buckets.empty()
        self.operating.empty()
        self.tasks.clear()
        self.replays.clear()
        self.meanwhile.clear()
        self.events.clear()

    @property
    def bucket(self) -> Bucket:
        """The bucket of the whole portal; with `per_address`, that of callers without one."""
        return self.buckets.of()

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
        moment = datetime.fromtimestamp(self.unix(self.now() if now is None else now), PORTAL_ZONE)
        return moment.isoformat(timespec="seconds")

    def delay(self) -> float:
        """Return how many of our seconds this request takes: `latency`, and by chance up to `jitter` more."""
        return self.latency + self.jitter * self._random.random() if self.jitter else self.latency

    def cost(self, method: str) -> float:
        """Return the operating seconds that one call of a method takes."""
        return self.operating_cost.get(method, TINY_COST)

    def next_number(self) -> int:
        """Return an id for a new comment or notification."""
        self._serial += 1
        return self._serial

    def add_item(self, entity_type_id: int, item_id: int | None = None, /, **values: Any) -> Item:
        """Create an item; values have the names of `crm.item.*`. Subscribers hear of it, the ledger does not."""
        item = self.items.put(entity_type_id, item_id, values, self.iso())
        self.events.tell(crm_event(entity_type_id, item.id, "ADD", self.now()))
        return item

    def by_hand(self, entity_type_id: int, item_id: int, /, **values: Any) -> None:
        """Change an item as a person does in the browser. The ledger says so; it is nobody's decision through REST."""
        item = self.find(entity_type_id, item_id)
        if item is None:
            raise KeyError(f"no item {item_id} of type {entity_type_id}")
        self.write(item, {name: typed(name, value) for name, value in values.items()}, BY_HAND, 0)

    def subscribe(self, url: str, /, **options: Any) -> Subscription:
        """Have events posted to a URL (see Subscription); `serve` posts them, or `events.deliver()`."""
        subscription = Subscription(url, **options)
        self.events.subscriptions.append(subscription)
        return subscription

    def tell(self, event: Happened) -> None:
        """Let subscribers know."""
        self.events.tell(event)

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
            self.tell(crm_event(item.entity_type_id, item.id, "UPDATE", at))

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

    def record_created(self, kind: str, number: int, call: Call) -> None:
        """Write one new thing into the ledger, with what the call asked for."""
        content = json.dumps(call.params, sort_keys=True, ensure_ascii=False)
        self.ledger.created.append(Created(self.now(), kind, number, call.method, call.request_no, content))

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
