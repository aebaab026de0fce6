"""What the commands that stay have in common: their log, their plugins, and how they start more of themselves."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypedDict

from carex.cli import output
from carex.errors import ConfigError, Refused
from carex.notify import HURRY, Notifier

if TYPE_CHECKING:
    from carex.cli import Root
    from carex.nursery import Nursery
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


def nursery(root: Root) -> Nursery:
    """Where to start more of this installation's processes: where we come from, or one of our own."""
    from carex.nursery import LINE, Nursery

    line = os.environ.pop(LINE, "")
    there = socket.socket(fileno=int(line)) if line else None
    return Nursery([*myself(root), "worker", "--nursery"], dict(os.environ), there)


class Tending(TypedDict):
    """How the parent of workers treats them: their environment; seconds until their end, and for a sign of life; and
    where it starts them."""

    env: dict[str, str]
    grace: float
    patience: float
    nursery: Nursery


def tending(root: Root, settings: Settings) -> Tending:
    """When a sign of life is overdue, the leases have run out and others have the tasks."""
    patience, started_by = 1.5 * settings.queue.lease, nursery(root)
    grace = settings.worker.grace + STOPPING
    return {"env": dict(os.environ), "grace": grace, "patience": patience, "nursery": started_by}


def notifier() -> Notifier:
    """Who tells systemd how we are. What it asked for is taken out of the environment: our children are not meant."""
    address, microseconds, pid = (
        os.environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    )
    asked = microseconds.isdigit() and pid in ("", str(os.getpid()))
    return Notifier(address, int(microseconds) / 1e6 if asked else math.inf)


def stop_with(act: Callable[[], object], *, parent: bool = False) -> Callable[[], None]:
    """From now on SIGTERM and Ctrl-C call this in the running event loop, each of them once.

    With a `parent`, from which the same signal may come again, all of them count once; so does a call of what this
    returns, for other ways to learn that it is over. The second stage is the parent's to order: by HURRY.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not (parent and stopped):
            stopped = True
            act()

    def hurry() -> None:
        stop()
        act()

    def from_now_on(number: int, what: Callable[[], None]) -> None:
        def received(number: int, frame: object) -> None:
            with suppress(RuntimeError):  # a signal after the end has nothing to stop, and must not kill us either
                loop.call_soon_threadsafe(what)

        signal.signal(number, received)

    from_now_on(signal.SIGTERM, stop)
    from_now_on(signal.SIGINT, stop)
    if parent:
        from_now_on(HURRY, hurry)
    return stop


@contextmanager
def metrics_on(port: int) -> Iterator[None]:
    """Say what to do if the port for metrics cannot be had."""
    try:
        yield
    except OSError as error:
        raise Refused(
            f"Cannot serve metrics on 127.0.0.1:{port}: {error.strerror}.", "Choose another with --metrics-port."
        ) from None
