"""How a task leaves its mark on what it makes, so that a repetition finds it instead of making another.

OpenProject has no idempotency keys. The mark stands in the text, in a comment that is not displayed; work packages may
have it in a text field of their own instead.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from carex import Task

LONGEST_MARK = 100


def mark_of(task: Task) -> str:
    """What tells this work from all other: the same for every attempt, and for each time the engine sends it again."""
    mark = task.key or task.id
    if len(mark) <= LONGEST_MARK and all("!" <= letter <= "~" for letter in mark):
        return mark
    return hashlib.sha256(mark.encode()).hexdigest()


def word_of(task: Task) -> str:
    """The mark as one word that can be searched for."""
    return f"carex-{hashlib.sha256(mark_of(task).encode()).hexdigest()[:16]}"


def marked(text: str, task: Task) -> dict[str, str]:
    """The text with the mark, as OpenProject takes texts."""
    return {"raw": f"{text}\n\n<!-- {word_of(task)} -->".strip()}


def is_marked(text: Any, task: Task) -> bool:
    """Whether a text, as OpenProject gives it, has the mark."""
    return isinstance(text, Mapping) and word_of(task) in str(text.get("raw") or "")


async def once(
    task: Task,
    look: Callable[[], Awaitable[dict[str, Any] | None]],
    make: Callable[[], Awaitable[dict[str, Any]]],
    settle: float,
) -> tuple[dict[str, Any], bool]:
    """What `look` finds, or what `make` makes if it finds nothing; and whether it was made."""
    found = await look()
    if found is None and task.repeated:
        # The worker may have died while OpenProject was still making it.
        await asyncio.sleep(settle)
        found = await look()
    return (found, False) if found is not None else (await make(), True)
