"""`carex serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli.output import talk
from carex.cli.process import myself, notifier, queue_of, start, tending
from carex.errors import ConfigError, Refused

if TYPE_CHECKING:
    import uvicorn

    from carex.cli import Root
    from carex.notify import Notifier
    from carex.queue import Queue
    from carex.registry import Registry
    from carex.settings import Settings

BACKLOG = 2048
OPEN_FILES = 65536
LAST_REQUESTS = 10
"""Seconds that requests in flight are given when the server is told to stop."""


def command(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Where to listen.", show_default="server.host, 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one.", show_default="server.port, 8000")] = None,
    with_worker: Annotated[bool, typer.Option("--with-worker", help="Start a worker too, and keep it alive.")] = False,
    log_format: Annotated[str | None, typer.Option(help="How the console speaks: text or json.")] = None,
) -> None:
    """Take work in over HTTP until told to stop (SIGTERM, Ctrl-C)."""
    from carex.server import check_bind

    _allow_many_connections()
    root: Root = ctx.obj
    root.flags |= {"server.host": host, "server.port": port, "log.format": log_format}
    settings = root.settings
    check_bind(settings)
    listener = _listen(settings.server.host, settings.server.port)
    plugins = start(settings, "serve")
    queue = queue_of(settings)
    _announce(settings, queue, plugins, listener)
    systemd = notifier()
    with _worker_beside(root, settings) if with_worker else nullcontext():
        asyncio.run(_serve(settings, queue, plugins, listener, systemd))


async def _serve(
    settings: Settings, queue: Queue, plugins: Registry, listener: socket.socket, systemd: Notifier
) -> None:
    import uvicorn

    from carex.server import create_app
    from carex.server.connection import Connection

    config = uvicorn.Config(
        create_app(settings, queue, plugins),
        http=Connection,
        access_log=False,  # it would print tokens
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # they decide who is local: see the gate
        lifespan="off",
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=LAST_REQUESTS,
    )
    server = uvicorn.Server(config)

    def stop(number: int, frame: object) -> None:
        server.should_exit = True
        systemd.stopping()

    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again in the end: then it is no death
        signal.signal(number, stop)
    saying = asyncio.create_task(_say(systemd, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        saying.cancel()
        await queue.close()


async def _say(systemd: Notifier, server: uvicorn.Server) -> None:
    while not server.started:  # noqa: ASYNC110 - it has no event for it
        await asyncio.sleep(0.01)
    systemd.ready("Taking work in")
    await systemd.beat(lambda: f"{server.server_state.total_requests} requests so far")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Refused if the port is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(
            f"server.host {host!r}: {error.strerror}.", "Use 127.0.0.1, or an address of this machine."
        ) from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Refused(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            "Choose another with --port (0 takes any free one), or stop the program that listens there.",
        ) from None
    return listener


def _announce(settings: Settings, queue: Queue, plugins: Registry, listener: socket.socket) -> None:
    from carex.masking import mask
    from carex.server.gate import open_paths

    host, port = listener.getsockname()[:2]
    talk(f"Carex listens on http://{f'[{host}]' if ':' in host else host}:{port}")
    talk(f"  webhooks  {' '.join(plugins.webhooks) or 'none'}")
    talk(f"  queue     {mask(settings.queue.url)}")
    talk(f"            {queue.durability}")
    if settings.server.open_intake:
        opened = " ".join(sorted(open_paths(plugins.webhooks)))
        talk(f"  WARNING   server.open_intake: anybody can put tasks at {opened}.")


@contextmanager
def _worker_beside(root: Root, settings: Settings) -> Iterator[None]:
    """Keep a worker alive beside the server. It stops when its stdin closes: when we end, however that is."""
    from carex.supervisor import supervise

    signals: list[int] = []
    command = [*myself(root), "worker", "--supervised"]
    keeper = threading.Thread(
        target=supervise,
        args=(command, settings.worker.processes, signals),
        kwargs=tending(root, settings),
    )
    keeper.start()
    try:
        yield
    finally:
        signals.append(signal.SIGTERM)
        keeper.join()


def _allow_many_connections() -> None:
    """Raise the limit on open files: by default a thousand idle connections would lock everybody else out."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
