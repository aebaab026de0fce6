"""What the commands that stay have in common: their log, their plugins, and how they start more of themselves."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from carex.cli import output
from carex.errors import ConfigError

if TYPE_CHECKING:
    from carex.cli import Root
    from carex.queue import Queue
    from carex.registry import Registry
    from carex.settings import Settings


STOPPING = 20.0
"""Seconds beyond its grace period that a worker may take to close what it has open."""


def start_log(settings: Settings, name: str) -> None:
    """Log to the home's files and the console, without the secrets known so far."""
    from carex import log

    log.setup(
        settings.home, level=settings.log.level, format=settings.log.format, secrets=settings.secrets(), name=name
    )


def start(settings: Settings, name: str) -> Registry:
    """Load the plugins, naming the broken ones, and start the log, which then knows the plugins' secrets too."""
    from carex.registry import load

    registry = load(handlers=settings.handlers, home=settings.home)
    for each in registry.loaded:
        if each.plugin.settings:
            with suppress(ConfigError):  # said when the plugin is set up; its tasks wait, the others' run
                settings.plugin(each.plugin.name, each.plugin.settings)
    start_log(settings, name)
    for broken in registry.broken:
        output.talk(f"Plugin {broken.name} ({broken.package}) is broken, its tasks wait: {broken.error}")
    return registry


def queue_of(settings: Settings) -> Queue:
    """The installation's queue, as the settings say."""
    from carex.queue import open_queue

    queue = settings.queue
    return open_queue(queue.url, lease=queue.lease, allow_volatile=queue.allow_volatile)


def myself(root: Root) -> list[str]:
    """The command that starts another Carex of this installation."""
    config = ["--config", str(root.config)] if root.config else []
    return [sys.executable, "-m", "carex", "--home", str(root.home), *config]
