"""Old tasks as Carex's: what stands in a list as JSON becomes the task that a robot's call would have made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from carex.migration.lists import Taken
from carex.plugin import BadCall, Call
from carex.queue import Filter, Queue
from carex.registry import Registry
from carex.task import Task

WEBHOOK = "/CarexRandom"
OLD_TYPES = frozenset({"process_carex_random", "process_company_random"})
"""What the old system called the random assignment of a deal."""
SOURCE = "migration"
FAILED = "failed in the old installation"
PAGE = 500


class Unreadable(NamedTuple):
    """An item that is no task, by its place in the list; `item` is its beginning."""

    place: int
    item: str
    reason: str


@dataclass
class Sorted:
    """What a list's items are, each by its place."""

    tasks: list[tuple[int, Task]] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    unknown: list[tuple[int, str]] = field(default_factory=list)
    """With the type that no handler takes."""
    repeated: int = 0
    """The same deal once more in this list."""


class Reader:
    """Reads items. `old_types` are the names under which the old system knew the random assignment of a deal."""

    def __init__(self, registry: Registry, window: float, old_types: Iterable[str] = ()) -> None:
        self._registry = registry
        self._window = window
        self._old_types = OLD_TYPES | {name for name in old_types if name}

    def sort(self, items: Sequence[bytes], *, failed: bool) -> Sorted:
        """Tell tasks from what is none. Of failed ones the key holds nothing up: a new call may come for their deal."""
        found, keys = Sorted(), set[str]()
        for place, item in enumerate(items):
            try:
                type, payload = _read(item)
                task = self._task(type, payload)
            except ValueError as error:
                found.unreadable.append(Unreadable(place, item[:120].decode(errors="replace"), str(error)))
                continue
            if task is None:
                found.unknown.append((place, type))
            elif task.key and task.key in keys:
                found.repeated += 1
            else:
                keys |= {task.key} if task.key else set()
                # Nobody knows when it was put there. Whoever has the deal by now, keeps it.
                task = replace(task, source=SOURCE, created=0.0, window=0.0 if failed else task.window)
                found.tasks.append((place, task))
        return found

    def _task(self, type: str, payload: Mapping[str, Any]) -> Task | None:
        """None if there is no handler. Raises ValueError if the payload does not fit."""
        webhook = self._registry.webhooks.get(WEBHOOK) if type in self._old_types else None
        if webhook is not None:
            try:
                task: Task = webhook.function(Call(json=payload))
            except BadCall as error:
                raise ValueError(f"{error.field}: {error}") from None
            task = replace(task, window=task.window or self._window)
        else:
            task = Task(type, payload)
        handler = self._registry.handlers.get(task.type)
        if handler is None:
            return None
        problems = handler.problems(task.payload)
        if problems:
            raise ValueError("; ".join(f"{each['field']}: {each['message']}" for each in problems))
        return task


async def put(queue: Queue, taken: Taken, found: Sorted, *, failed: bool) -> int:
    """Put a list's tasks, as failed ones if they are; return how many are new. May be repeated at any time."""
    new = 0
    for start in range(0, len(found.tasks), PAGE):
        page = [replace(task, id=taken.task_id(place)) for place, task in found.tasks[start : start + PAGE]]
        here = {entry.task.id for entry in await queue.tasks(Filter(ids=[task.id for task in page]))}
        placed = await queue.put(page, failed=f"{FAILED} ({taken.name})" if failed else None)
        new += sum(each.new and each.id not in here for each in placed)
    return new


def _read(item: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        found = json.loads(item)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("task_type"), str) or not found["task_type"]:
        raise ValueError("it has no task_type")
    payload = found.get("payload")
    if not isinstance(payload, dict):
        raise ValueError("its payload is no object")
    return found["task_type"], payload
