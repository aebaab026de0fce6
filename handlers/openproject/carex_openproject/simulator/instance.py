"""What there is on the simulated OpenProject, what people do there, and what goes wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp

ALL_PERMISSIONS = frozenset({"add_project", "add_work_packages", "edit_work_packages", "add_comments"})


@dataclass
class Fault:
    """What happens to requests of this method whose path matches; `count` times.

    `kind` is a status such as 502 (a web server's page), 429 or 500 (OpenProject's own words); "late", an answer that
    comes when `until` is set; or "cut", half an answer, which takes a real server. With `applied` the request is
    carried out before; late ones are in any case, before or after the waiting.
    """

    kind: int | str
    method: str = "POST"
    path: str = ""
    count: int = 1
    applied: bool = False
    until: asyncio.Event = field(default_factory=asyncio.Event)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Project:
    id: int
    identifier: str
    name: str
    description: str = ""
    parent: int | None = None
    public: bool = False
    status: str | None = None
    hidden: bool = False
    """The token's owner may not see it."""
    types: list[int] = field(default_factory=lambda: [1, 2])
    members: list[int] = field(default_factory=lambda: [2, 3, 4])


@dataclass
class WorkPackage:
    id: int
    values: dict[str, Any]
    """Plain properties: subject, description, startDate, customField1 …"""
    links: dict[str, Any]
    """Ids by name: project, type, status, priority, assignee … and lists of them for custom fields with options."""
    lock: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    """What each change changed."""


@dataclass
class Activity:
    id: int
    work_package: int
    comment: str
    user: int


@dataclass(frozen=True)
class CustomField:
    """`options` make it a list; without them it is a text. It exists in work packages of these types only."""

    id: int
    name: str
    options: tuple[str, ...] = ()
    types: tuple[int, ...] = (1, 2)
    required: bool = False


class Instance:
    """An OpenProject with a few users, types and statuses. Its state is open: tests look at it and change it."""

    def __init__(self, *, created_status: int = 201, largest_page: int = 1000) -> None:
        self.token = "opapi-0123456789abcdef"  # noqa: S105 - of nothing real
        self.created_status = created_status
        """What the creation of a work package answers: servers say 201, their documentation says 200."""
        self.largest_page = largest_page
        self.me = 1
        self.permissions = set(ALL_PERMISSIONS)
        self.users = {1: "Carex", 2: "Anna Orlova", 3: "Boris Petrov", 4: "Вера Ким", 9: "Somebody Else"}
        self.types = {1: "Task", 2: "Bug", 3: "Milestone"}
        self.statuses = {1: "New", 7: "In progress", 12: "Closed"}
        self.closed_statuses = {12}
        self.workflow = {1: {7}, 7: {1, 12}, 12: {7}}
        """Which status may follow on which."""
        self.priorities = {7: "Low", 8: "Normal", 9: "High"}
        self.custom_fields: dict[str, CustomField] = {}
        self.projects: dict[int, Project] = {}
        self.work_packages: dict[int, WorkPackage] = {}
        self.activities: list[Activity] = []
        self.faults: list[Fault] = []
        self.meanwhile: list[Callable[[], Any]] = []
        """What people do right before the next PATCH: one each time."""
        self.log: list[tuple[str, str, int]] = []
        """Method, path and status of every request."""
        self.notified: list[bool] = []
        """For each change, whether watchers were told."""
        self._last = 0

    def asgi(self) -> ASGIApp:
        from carex_openproject.simulator.app import build_app

        return build_app(self)

    def new_id(self) -> int:
        self._last += 1
        return self._last

    def add_project(self, name: str, identifier: str | None = None, **more: Any) -> Project:
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "project"
        made = Project(self.new_id(), identifier or slug, name, **more)
        self.projects[made.id] = made
        return made

    def add_custom_field(self, id: int, name: str, **more: Any) -> CustomField:
        made = self.custom_fields[f"customField{id}"] = CustomField(id, name, **more)
        return made

    def add_work_package(self, project: int, subject: str, **values: Any) -> WorkPackage:
        """`values` are of WorkPackage.values, or ids for links such as assignee."""
        names = ("type", "status", "priority", "assignee", "responsible", "parent", "version", "category")
        links = {"project": project, "type": 1, "status": 1, "priority": 8, "author": self.me}
        links |= {name: values.pop(name) for name in names if name in values}
        made = WorkPackage(self.new_id(), {"subject": subject, "description": "", **values}, links)
        self.work_packages[made.id] = made
        return made

    def edit(self, id: int, **changes: Any) -> None:
        """A person changes a work package: values, or ids for links."""
        found = self.work_packages[id]
        for name, value in changes.items():
            (found.links if name in found.links or name in ("assignee", "responsible") else found.values)[name] = value
        found.lock += 1
        found.history.append(dict(changes))

    def fault_for(self, method: str, path: str) -> Fault | None:
        for each in self.faults:
            if each.count > 0 and each.method == method and re.search(each.path, path):
                each.count -= 1
                return each
        return None

    def project(self, ref: str) -> Project | None:
        """A project that the token's owner may see, by id or identifier."""
        return next((each for each in self.seen() if ref in (str(each.id), each.identifier)), None)

    def seen(self) -> Iterable[Project]:
        return [each for each in self.projects.values() if not each.hidden]

    def requests(self, method: str, pattern: str = "") -> int:
        """How many requests of this method there were, with paths that match."""
        return sum(1 for each in self.log if each[0] == method and re.search(pattern, each[1]))
