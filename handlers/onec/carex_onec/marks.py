"""What tells a task's work from all other, so that a repetition is recognised."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from carex import Task

_OURS = uuid.UUID("6f6f0d4e-7f0b-5a51-9d0e-1c0a5e6b7d21")


def mark_of(task: Task) -> str:
    """The same for every attempt, and for each time the engine sends it again."""
    return task.key or task.id


def reference_for(task: Task, entity: str, where: Mapping[str, Any]) -> str:
    """The reference that a new object gets from us: whoever makes the same object again makes it under the same one.

    The same object is one with the same values of the attributes by which it is looked up, or else the same task's.
    """
    name = json.dumps([entity, sorted(where.items()) if where else mark_of(task)], ensure_ascii=False, default=str)
    return str(uuid.uuid5(_OURS, name))
