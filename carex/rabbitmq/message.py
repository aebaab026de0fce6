"""What goes to RabbitMQ, what comes from it, and what became of what went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Outgoing:
    """A message to publish: persistent, `application/json`, and returned if no queue is bound for it."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    type: str
    reply_to: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str | None = None


class Receipt(Enum):
    """What became of a published message."""

    CONFIRMED = "confirmed"
    """It is in every queue that is bound for it, and on disk."""
    RETURNED = "returned"
    """No queue is bound for it, or the exchange is not there."""
    REFUSED = "refused"
    """RabbitMQ did not take it: a queue is full."""
    UNSENT = "unsent"
    """It was surely not sent."""
    UNKNOWN = "unknown"
    """It was sent, and there was no word within the time."""


@dataclass(frozen=True, eq=False)
class Incoming:
    """A message from a queue. It is to be acknowledged, or given back, through the broker it came from."""

    queue: str
    body: bytes
    message_id: str | None = None
    type: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None
    correlation_id: str | None = None
    redelivered: bool = False
    _tag: int = 0
    _channel: Any = None
