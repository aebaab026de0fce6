"""A published infobase: what it has, how it behaves, and what was asked of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from carex_onec.simulator.entities import Entity, Row
from carex_onec.simulator.seats import Seats

Service = Callable[[str, Any], tuple[int, Any]]


@dataclass
class Fault:
    """The next `count` requests of this method whose path has `where` in it end with this page or OData error.

    With `applied` they are carried out first.
    """

    status: int
    text: str = "Bad Gateway"
    code: int | None = None
    method: str = ""
    where: str = ""
    count: int = 1
    applied: bool = False


@dataclass(frozen=True)
class Asked:
    """One request, and the status that it got."""

    method: str
    path: str
    session: str
    headers: Mapping[str, str]
    status: int


class Publication:
    """An infobase at /base of any address. Whatever may differ from one real one to the next is a setting here."""

    def __init__(
        self,
        *entities: Entity,
        user: str = "Обмен",
        password: str = "пароль-1C",  # noqa: S107 - a stand-in's
        licences: int = 5,
        max_age: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
        keeps_sessions: bool = True,
        dead_session: int = 400,
        honours_if_match: bool = True,
        honours_ref_key: bool = True,
        odata: bool = True,
        byte_order_mark: bool = True,
        content_type: str = "text/html; charset=utf-8",
        service: Service | None = None,
    ) -> None:
        self.entities = {each.name: each for each in entities}
        self.user, self.password = user, password
        self.seats = Seats(licences, max_age, clock)
        self.keeps_sessions = keeps_sessions
        self.dead_session = dead_session
        """What a request gets whose session has ended."""
        self.honours_if_match = honours_if_match
        """A live infobase was seen that does not."""
        self.honours_ref_key = honours_ref_key
        """Whether a new object has the reference that it came with."""
        self.odata = odata
        self.byte_order_mark = byte_order_mark
        self.content_type = content_type
        """What its HTTP service calls its JSON: programmers forget to say."""
        self.no_licence = (500, "Не обнаружено свободной лицензии!")
        self.maintenance: tuple[int, str] | None = None
        self.service: Service = service or (lambda operation, payload: (200, {"status": "ok", "ref": operation}))
        self.kept_keys: dict[str, tuple[int, Any]] = {}
        """What the service said to which key."""
        self.calls: list[tuple[str, Any]] = []
        """What the service carried out."""
        self.faults: list[Fault] = []
        self.log: list[Asked] = []
        self.meanwhile: list[Callable[[], None]] = []
        """What somebody else does just before each of the next changes."""
        self.hold: Callable[[], Awaitable[Any]] | None = None
        """Awaited by every request before its end."""

    def rows(self, entity: str) -> list[Row]:
        return [*self.entities[entity].rows.values()]

    def add(self, entity: str, **values: Any) -> Row:
        """Put an object there, as a person would."""
        kind = self.entities[entity]
        row = {**kind.blank(), **kind.taken(values)}
        kind.write(row)
        return row

    def fault(self, method: str, path: str) -> Fault | None:
        for each in self.faults:
            if each.count and each.method in ("", method) and each.where in path:
                each.count -= 1
                return each
        return None

    def asgi(self) -> ASGIApp:
        from carex_onec.simulator.door import Door

        return Door(self)
