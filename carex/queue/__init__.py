"""Where tasks wait. `open_queue(url)` chooses the backend by the URL and imports only that one."""

from __future__ import annotations

from pathlib import Path

from carex.errors import ConfigError
from carex.queue.protocol import (
    SENDING,
    STATES,
    Answer,
    Counts,
    Delivery,
    Entry,
    Filter,
    Holder,
    Placed,
    Queue,
    Source,
    State,
)

__all__ = [
    "SENDING",
    "STATES",
    "Answer",
    "Counts",
    "Delivery",
    "Entry",
    "Filter",
    "Holder",
    "Placed",
    "Queue",
    "Source",
    "State",
    "open_queue",
]


def open_queue(url: str, *, lease: float = 30.0, allow_volatile: bool = False) -> Queue:
    """Open the queue at `sqlite:///path/to/queue.db`, whose tables are made if missing, or at `redis://host:port/db`.

    `lease` is in seconds. `allow_volatile` accepts a Redis server that would lose tasks (see `carex.queue.redis`).
    """
    scheme, colon, rest = url.partition("://")
    if scheme == "sqlite":
        from carex.queue.sqlite import SqliteQueue

        return SqliteQueue(Path(rest), lease=lease)
    if scheme in ("redis", "rediss"):
        from carex.queue.redis import RedisQueue

        return RedisQueue(url, lease=lease, allow_volatile=allow_volatile)
    kind = repr(scheme) if colon else "this"  # without the colon, all of it is in there, with its password
    raise ConfigError(
        f"queue.url: {kind} is not a queue Carex knows", "Use sqlite:///path/to/queue.db or redis://host:port/0."
    )
