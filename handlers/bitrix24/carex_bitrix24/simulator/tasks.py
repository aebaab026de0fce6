"""The tasks of the portal, one store for the old methods (strings) and for REST 3 (numbers)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WAITING, IN_PROGRESS, CONTROL, DONE, DEFERRED = 2, 3, 4, 5, 6
STATUSES = {WAITING: "pending", IN_PROGRESS: "in_progress", CONTROL: "supposedly_completed", DONE: "completed"}
STATUSES[DEFERRED] = "deferred"
_PRIORITIES = {0: "low", 1: "average", 2: "high"}
_GUIDS = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True)
class Task:
    """One task; `values` are under the names of REST 3, statuses and priorities as numbers."""

    id: int
    values: dict[str, Any]

    def old_view(self) -> dict[str, Any]:
        """Return the task as `tasks.task.*` shows it: everything is a string, names in camel case."""
        one = self.values
        return {
            "id": str(self.id),
            "parentId": _text(one["parentId"]),
            "title": one["title"],
            "description": one["description"],
            "mark": None,
            "priority": str(one["priority"]),
            "multitask": "N",
            "notViewed": "N",
            "replicate": "N",
            "stageId": "0",
            "createdBy": str(one["creatorId"]),
            "createdDate": one["created"],
            "responsibleId": str(one["responsibleId"]),
            "changedBy": str(one["changedById"]),
            "changedDate": one["changed"],
            "statusChangedBy": str(one["changedById"]),
            "closedBy": _text(one["closedById"]),
            "closedDate": one["closed"],
            "activityDate": one["changed"],
            "deadline": one["deadline"],
            "guid": self._guid(),
            "xmlId": None,
            "siteId": "s1",
            "status": str(one["status"]),
            "groupId": str(one["groupId"]),
            # PHP says "nothing here" with false.
            "ufCrmTask": list(one["crmItemIds"]) or False,
            "auditors": [],
            "accomplices": [],
            "checklist": [],
            "group": [],
            "creator": {"id": str(one["creatorId"])},
            "responsible": {"id": str(one["responsibleId"])},
        }

    def new_view(self) -> dict[str, Any]:
        """Return the task as REST 3 shows it: numbers, real booleans, words for statuses."""
        one = self.values
        return {
            "id": self.id,
            "title": one["title"],
            "description": one["description"],
            "deadline": one["deadline"],
            "needsControl": False,
            "priority": _PRIORITIES[one["priority"]],
            "status": STATUSES[one["status"]],
            "parentId": one["parentId"],
            "containsChecklist": False,
            "changed": one["changed"],
            "closed": one["closed"],
            "activity": one["changed"],
            "guid": self._guid(),
            "xmlId": None,
            "siteId": "s1",
            "link": f"/company/personal/user/{one['responsibleId']}/tasks/task/view/{self.id}/",
            "rights": {"read": True, "edit": True, "complete": one["status"] != DONE},
            "crmItemIds": list(one["crmItemIds"]),
            "dependsOn": [],
            "scenarios": ["default"],
        }

    def _guid(self) -> str:
        return "{" + str(uuid.uuid5(_GUIDS, str(self.id))) + "}"


class Tasks:
    """All tasks by id."""

    def __init__(self) -> None:
        self._tasks: dict[int, Task] = {}

    def put(self, values: Mapping[str, Any], owner: int, now: str) -> Task:
        """Create a task."""
        number = len(self._tasks) + 1
        blank = {
            "title": "",
            "description": "",
            "creatorId": owner,
            "responsibleId": owner,
            "deadline": None,
            "priority": 1,
            "status": WAITING,
            "parentId": None,
            "groupId": 0,
            "crmItemIds": [],
            "created": now,
            "changed": now,
            "changedById": owner,
            "closed": None,
            "closedById": None,
        }
        self._tasks[number] = Task(number, blank | dict(values))
        return self._tasks[number]

    def find(self, number: int) -> Task | None:
        """Return a task, or None if there is none of this id."""
        return self._tasks.get(number)

    def all(self) -> list[Task]:
        """Return all tasks, oldest first."""
        return list(self._tasks.values())

    def clear(self) -> None:
        """Forget all tasks."""
        self._tasks.clear()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
