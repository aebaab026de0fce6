"""Which system a task goes to: by its topic, unless the model says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from carex.rabbitmq import topology
from carex.settings import RabbitMQSettings

DEFAULT = "default"
"""The system of topics that no route matches."""
LONGEST_KEY = 255
"""Bytes of a routing key in AMQP 0-9-1."""


@dataclass(frozen=True)
class Route:
    """Where a task goes: to the queue of a system, under a routing key `SYSTEM.TOPIC`."""

    system: str
    routing_key: str

    @property
    def queue(self) -> str:
        return topology.queue_of(self.system)


def route_of(topic: str, properties: Mapping[str, Any], settings: RabbitMQSettings) -> Route:
    """The first route that matches the topic, or what the task's extension property names: `1c` or `1c.queue`."""
    chosen = str(properties.get(settings.route_property) or "").strip().removesuffix(topology.queue_of(""))
    system = chosen or next((to for glob, to in settings.routes.items() if fnmatchcase(topic, glob)), DEFAULT)
    key = (
        topology.routing_key(system, topic).encode()[:LONGEST_KEY].decode(errors="ignore")
    )  # bound by SYSTEM.#, so cut is as good
    return Route(system, key)


def systems(settings: RabbitMQSettings) -> list[str]:
    """Every system that the table of routes names, without repetition, and the default one."""
    return list(dict.fromkeys([*settings.routes.values(), DEFAULT]))
