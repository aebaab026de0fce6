"""A task, and the five ways an attempt at it can end.

| outcome            | the attempt | the task afterwards                                              |
|--------------------|-------------|------------------------------------------------------------------|
| `Done(result)`     | counts      | finished; the result is kept a while                             |
| `Retry(reason)`    | counts      | waits `delay` seconds (or the worker's backoff) and runs again   |
| `Wait(reason)`     | is free     | waits `delay` seconds; the reason is shown to operators          |
| `Fail(reason)`     | counts      | failed, until a person retries or deletes it                     |
| `BpmnError(code)`  | counts      | answered to the process engine as an error the process may catch |

A handler returns its result, which means `Done`, and raises any of the others.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Union


def new_id() -> str:
    """A unique id of 32 hex digits that sorts by the time it was made."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


@dataclass(frozen=True)
class Task:
    """One unit of work.

    Two tasks with the same `key` are the same work: while one is unfinished, and for `window` seconds after
    its end, putting another returns the first one's id. Times are Unix seconds; `due` 0 means at once.
    """

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    window: float = 0.0
    due: float = 0.0
    source: str = "python"
    id: str = field(default_factory=new_id)
    attempt: int = 0
    created: float = field(default_factory=time.time)
    reply: Mapping[str, Any] | None = None
    """What it takes to answer whoever waits for the end of it; None if nobody does."""

    @property
    def repeated(self) -> bool:
        """Whether this may have been tried before: here, or, where an engine owns the retries, as an earlier task."""
        return self.attempt > 1 or (self.reply or {}).get("retries") is not None


def stored(columns: Sequence[Any]) -> Task:
    """The task that a queue keeps: its fields in their order, `payload` and `reply` (or nothing) as compact JSON.

    Done for every task that runs, and at half the cost of the constructor, which sets a frozen class's fields singly.
    """
    values = dict(zip(_FIELDS, columns, strict=True))
    values["payload"] = _scan(values["payload"], 0)[0]
    values["reply"] = _scan(values["reply"], 0)[0] if values["reply"] else None
    task = object.__new__(Task)
    task.__dict__.update(values)
    return task


_FIELDS = tuple(each.name for each in fields(Task))
_scan: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Done:
    """The work is done. For an external task the items of `result` become process variables."""

    result: Any = None


class Unfinished(Exception):
    """What `Retry`, `Wait`, `Fail` and `BpmnError` share: a handler raises them, and each has a reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.reason))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class Retry(Unfinished):
    """Try again in `delay` seconds; without one the worker backs off. Costs an attempt."""

    def __init__(self, reason: str = "", delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class Wait(Unfinished):
    """Not now, and nobody's fault: a limit, an outage, nobody available. Costs no attempt."""

    def __init__(self, reason: str, delay: float = 5.0) -> None:
        super().__init__(reason)
        self.delay = delay


class Fail(Unfinished):
    """Trying again would not help: the task is failed until a person acts."""


class BpmnError(Unfinished):
    """A business error for the process to catch by its `code`; `variables` go with it."""

    def __init__(self, code: str, reason: str = "", variables: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.variables = dict(variables or {})


class Crash(Unfinished):
    """The process died under it: it waits again, with one crash more. No handler says this; who saw it die does."""


Outcome = Union[Done, Retry, Wait, Fail, BpmnError, Crash]  # noqa: UP007 - evaluated at run time, on Python 3.10 too
