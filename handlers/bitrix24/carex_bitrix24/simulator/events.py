"""What the portal tells others: robots and outgoing webhooks post a form, once, whether or not anybody listens."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import httpx

from carex_bitrix24.simulator import fields, robot

# A receiver that takes longer is called less often; the vendor says that it is so, but not from when on.
SLOW_SECONDS = 1.0
AT_ONCE = 100
_NOUNS = {fields.LEAD: "LEAD", fields.DEAL: "DEAL", fields.CONTACT: "CONTACT", fields.COMPANY: "COMPANY"}
_CLASSES = {fields.LEAD: "Lead", fields.DEAL: "Deal", fields.CONTACT: "Contact", fields.COMPANY: "Company"}


@dataclass(frozen=True)
class Subscription:
    """Somebody's URL and the events (patterns) that are posted to it, each `copies` times.

    As a `robot`, what is posted is a robot's form without token, and `{{ID}}` in the URL becomes the item's id.
    """

    url: str
    events: tuple[str, ...] = ("ONCRM*ADD",)
    token: str = "simulated-application-token"  # noqa: S105
    copies: int = 1
    robot: bool = False
    handler_id: int = 1


@dataclass(frozen=True)
class Happened:
    """One event: its name, the item, and the fields that are posted with it."""

    name: str
    entity_type_id: int
    item_id: int
    at: float
    data: Mapping[str, str]


def crm_event(entity_type_id: int, item_id: int, what: str, at: float, **more: object) -> Happened:
    """Return what the portal says when an item was added or updated (`what` is ADD, UPDATE, MOVETOCATEGORY)."""
    noun = _NOUNS.get(entity_type_id)
    data = {"data[FIELDS][ID]": str(item_id)} | {f"data[FIELDS][{name}]": str(value) for name, value in more.items()}
    if noun is None:
        data["data[FIELDS][ENTITY_TYPE_ID]"] = str(entity_type_id)
    return Happened(f"ONCRM{noun or 'DYNAMICITEM'}{what}", entity_type_id, item_id, at, data)


def task_event(task_id: int, what: str, at: float) -> Happened:
    """Return what the portal says when a task was added or updated."""
    new = what == "ADD"
    data = {
        "data[FIELDS_BEFORE]" + ("" if new else "[ID]"): "undefined" if new else str(task_id),
        "data[FIELDS_AFTER][ID]": str(task_id),
        "data[IS_ACCESSIBLE_BEFORE]": "N" if new else "undefined",
        "data[IS_ACCESSIBLE_AFTER]": "undefined",
    }
    return Happened(f"ONTASK{what}", 0, task_id, at, data)


def event_form(event: Happened, subscription: Subscription, ts: float) -> dict[str, str]:
    """Return the form that is posted. Only the id is told; who wants more asks for it."""
    noun = _NOUNS.get(event.entity_type_id, f"DYNAMIC_{event.entity_type_id}")
    document = f"CCrmDocument{_CLASSES.get(event.entity_type_id, 'Dynamic')}"
    form = robot.robot_form(event.item_id, document=document, prefix=noun)
    if subscription.robot:
        return form
    auth = {name: value for name, value in form.items() if name.startswith("auth[")}
    token = {"auth[application_token]": subscription.token} if subscription.token else {}
    head = {"event": event.name, "event_handler_id": str(subscription.handler_id)}
    return {**head, **event.data, "ts": str(int(ts)), **auth, **token}


class Events:
    """The subscriptions, and what has not been posted yet."""

    def __init__(
        self,
        epoch: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.subscriptions: list[Subscription] = []
        self.posted: Counter[tuple[str, str]] = Counter()
        self._epoch = epoch
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[tuple[Subscription, Happened]] = deque()
        self._not_before: dict[str, float] = {}
        self._wake: Callable[[], object] | None = None

    def tell(self, event: Happened) -> None:
        """Line the event up for all who subscribed to it."""
        for one in self.subscriptions:
            if any(fnmatchcase(event.name, pattern) for pattern in one.events):
                self._waiting.extend((one, event) for _ in range(one.copies))
        if self._waiting and self._wake:
            self._wake()

    async def deliver(self, transport: httpx.AsyncBaseTransport | None = None) -> list[int | None]:
        """Post all that waits, many at once, each exactly once; return the statuses, None where no answer came."""
        statuses: list[int | None] = []
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            statuses += await asyncio.gather(*(self._post(one, event, transport) for one, event in some))
        return statuses

    async def keep_delivering(self) -> None:
        """Post whatever happens, in any thread, until cancelled."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        self._wake = functools.partial(loop.call_soon_threadsafe, news.set)
        try:
            while True:
                news.clear()
                await self.deliver()
                await news.wait()
        finally:
            self._wake = None

    def clear(self) -> None:
        """Forget the subscriptions and what waits."""
        self.subscriptions.clear()
        self.posted.clear()
        self._waiting.clear()
        self._not_before.clear()

    async def _post(self, one: Subscription, event: Happened, transport: httpx.AsyncBaseTransport | None) -> int | None:
        pause = self._not_before.get(one.url, 0.0) - self._clock()
        if pause > 0:
            await self._sleep(pause)
        started = self._clock()
        url = one.url.replace("{{ID}}", str(event.item_id))
        status = await robot.post_form(url, event_form(event, one, self._epoch + event.at), transport=transport)
        taken = self._clock() - started
        if taken > SLOW_SECONDS:
            self._not_before[one.url] = self._clock() + taken
        self.posted[event.name, "lost" if status is None else str(status)] += 1
        return status
