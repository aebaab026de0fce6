"""`carex serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli.output import talk
from carex.errors import ConfigError, Refused

if TYPE_CHECKING:
    from carex.cli import Root
    from carex.queue import Queue
    from carex.registry import Registry
    from carex.settings import Settings

BACKLOG = 2048
OPEN_FILES = 65536
LAST_REQUESTS = 10
"""Seconds that requests in flight are given when the server is told to stop."""
RESTART_FIRST, RESTART_MOST = 1.0, 30.0
"""Seconds before a dead worker is started again: doubled each time, up to the most."""
STEADY = 60.0
"""The delay begins at the first again after a worker lived this many seconds."""


def command(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Where to listen.", show_default="server.host, 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one.", show_default="server.port, 8000")] = None,
    with_worker: Annotated[bool, typer.Option("--with-worker", help="Start a worker too, and keep it alive.")] = False,
) -> None:
    """Take work in over HTTP until told to stop (SIGTERM, Ctrl-C)."""
    from carex import log, registry
    from carex.queue import open_queue
    from carex.server import check_bind

    _allow_many_connections()
    root: Root = ctx.obj
    root.flags |= {"server.host": host, "server.port": port}
    settings = root.settings
    check_bind(settings)
    listener = _listen(settings.server.host, settings.server.port)
    log.setup(
        settings.home,
        level=settings.log.level,
        format=settings.log.format,
        secrets=settings.secrets(),
        name="serve",
    )
    plugins = registry.load()
    queue = open_queue(settings.queue.url, lease=settings.queue.lease)
    _announce(settings, queue, plugins, listener)
    asyncio.run(_serve(settings, queue, plugins, listener, _worker_command(root) if with_worker else None))


async def _serve(
    settings: Settings, queue: Queue, plugins: Registry, listener: socket.socket, worker: list[str] | None
) -> None:
    import uvicorn

    from carex.server import create_app

    config = uvicorn.Config(
        create_app(settings, queue, plugins),
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
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again in the end: then it is no death
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(queue.close)
        if worker:
            await stack.enter_async_context(_kept_alive(worker, settings.worker.grace))
        await server.serve(sockets=[listener])


def _allow_many_connections() -> None:
    """Raise the limit on open files: by default a thousand idle connections would lock everybody else out."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


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

    host, port = listener.getsockname()[:2]
    talk(f"Carex listens on http://{f'[{host}]' if ':' in host else host}:{port}")
    talk(f"  webhooks  {' '.join(plugins.webhooks) or 'none'}")
    talk(f"  queue     {mask(settings.queue.url)}")
    talk(f"            {queue.durability}")
    if settings.server.open_intake:
        talk(f"  WARNING   server.open_intake: anybody who reaches {' '.join(plugins.webhooks)} can put tasks.")
    for broken in plugins.broken:
        talk(f"  WARNING   plugin {broken.name} ({broken.package}) could not be loaded: {broken.error}")


def _worker_command(root: Root) -> list[str]:
    config = ["--config", str(root.config)] if root.config else []
    return [sys.executable, "-m", "carex", "--home", str(root.home), *config, "worker", "--supervised"]


@asynccontextmanager
async def _kept_alive(command: list[str], grace: float) -> AsyncIterator[None]:
    """Run a worker beside the server. It is started again when it dies, and stops when its stdin closes: when we end,
    however that is."""
    processes: list[asyncio.subprocess.Process] = []
    keeper = asyncio.create_task(_keep_alive(command, processes))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        for process in processes:
            await _stop(process, grace)


async def _keep_alive(command: list[str], processes: list[asyncio.subprocess.Process]) -> None:
    delay, clock = RESTART_FIRST / 2, asyncio.get_running_loop().time
    while True:
        started = clock()
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        processes[:] = [process]
        code = await process.wait()
        delay = RESTART_FIRST if clock() - started >= STEADY else min(delay * 2, RESTART_MOST)
        talk(f"The worker ended with code {code}; it starts again in {delay:g} s.")
        await asyncio.sleep(delay)


async def _stop(process: Any, grace: float) -> None:
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), grace + 5)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
