"""`carex worker`: run the handlers of waiting tasks."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.process import metrics_on, myself, notifier, nursery, queue_of, start, start_log, stop_with, tending
from carex.cli.rules import people_of
from carex.errors import UsageError

if TYPE_CHECKING:
    from carex.account import Report
    from carex.notify import Listener
    from carex.settings import Settings
    from carex.talk import Talk


BEHIND = 5
"""How nice a cell is: when cores are short, those run first that are not suspected of anything."""


def command(
    ctx: typer.Context,
    types: Annotated[list[str] | None, typer.Option(help="Only these task types (globs); may be given again.")] = None,
    consume: Annotated[
        list[str] | None, typer.Option(help="Take tasks from this queue of RabbitMQ; may be given again.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="How many tasks at a time.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes; those that die are restarted.")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when nothing is due.")] = False,
    metrics_port: Annotated[int | None, typer.Option(help="Serve this process's metrics on this port.")] = None,
    log_format: Annotated[str | None, typer.Option(help="How the console speaks: text or json.")] = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    alone: Annotated[bool, typer.Option("--alone", hidden=True)] = False,
    be_nursery: Annotated[bool, typer.Option("--nursery", hidden=True)] = False,
) -> None:
    """Run the handlers of waiting tasks until told to stop (SIGTERM, Ctrl-C): what runs is finished, or given back."""
    root: Root = ctx.obj
    root.flags.update({"worker.concurrency": concurrency, "worker.processes": processes, "metrics.port": metrics_port})
    root.flags["log.format"] = log_format
    if types:
        root.flags["worker.types"] = [glob for each in types for glob in each.split(",") if glob]
    if burst and consume:
        raise UsageError("--burst cannot know when a queue of RabbitMQ is at its end.", "Leave out one of the two.")
    if burst or consume:
        root.flags["rabbitmq.consume"] = [queue for each in consume or () for queue in each.split(",") if queue]
    settings = root.settings
    if be_nursery:
        return _nurse(settings)
    if settings.metrics.port is not None and settings.worker.processes > 1 and not supervised:
        raise UsageError(
            "One metrics port cannot serve several processes.", "Start several workers, each with its own."
        )
    if settings.worker.processes > 1 and not (supervised or alone):
        raise typer.Exit(_supervise(root, settings, burst))
    work = _alone if alone else _work
    work(root, settings, burst, supervised)


def _supervise(root: Root, settings: Settings, burst: bool) -> int:
    from carex.supervisor import supervise

    start_log(settings, "worker")
    systemd = notifier()
    signals: list[int] = []

    def stop(number: int, frame: object) -> None:
        signals.append(number)
        systemd.stopping()

    def turn(news: Listener) -> None:
        if len(news.ready) >= settings.worker.processes:
            systemd.ready(f"{settings.worker.processes} processes run tasks")
        systemd.alive()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    flags = ["--burst"] if burst else []
    return supervise(
        [*myself(root), "worker", "--supervised", *flags, *_options(settings)],
        settings.worker.processes,
        signals,
        once=burst,
        turn=turn,
        **tending(root, settings),
    )


def _options(settings: Settings) -> list[str]:
    types = [word for glob in settings.worker.types for word in ("--types", glob)]
    types += [word for queue in settings.rabbitmq.consume for word in ("--consume", queue)]
    same = ["--processes", "1", "--concurrency", str(settings.worker.concurrency), "--log-format", settings.log.format]
    return [*same, *types]


def _work(root: Root, settings: Settings, burst: bool, supervised: bool) -> None:
    import asyncio

    from carex import last_words

    systemd = notifier()
    registry = start(settings, "worker")
    if settings.metrics.port is not None and not supervised:
        _serve_metrics(settings.metrics.port)
    more = nursery(root)
    last_words.leave_to(sys.stderr)

    async def work() -> Report:
        from carex.cli.consume import Consumption
        from carex.talk import Talk
        from carex.worker import Worker

        queue = queue_of(settings)
        people = people_of(settings, queue, registry)
        rabbitmq = Consumption(settings, queue, registry)

        def apart(width: int) -> Awaitable[Talk]:
            return Talk.open(more, [*myself(root), "worker", "--alone", "--concurrency", str(width)])

        up = asyncio.Event()

        def moved() -> None:
            systemd.ready("Running tasks")  # the queue has answered a claim
            up.set()
            rabbitmq.moved()

        async def teach() -> None:
            await up.wait()
            await asyncio.get_running_loop().run_in_executor(None, more.teach)

        worker = Worker(
            settings,
            queue,
            registry,
            people,
            apart=apart,
            burst=burst,
            answer=rabbitmq.answer,
            answered=rabbitmq.outbox.post,
            moved=moved,
        )

        def stop_all() -> None:
            systemd.stopping()
            rabbitmq.stop()
            worker.stop()

        stop = stop_with(stop_all, parent=supervised)
        if supervised:
            _when_stdin_ends(partial(asyncio.get_running_loop().call_soon_threadsafe, stop))
        types = ", ".join(worker.types) or "nothing"
        output.talk(f"Worker {os.getpid()}: {settings.worker.concurrency} at a time of: {types}. {queue.durability}")
        beating = asyncio.create_task(systemd.beat(lambda: _status(worker.report)))
        teaching = asyncio.create_task(teach())
        try:
            await rabbitmq.start(worker)
            return await worker.run()
        finally:
            systemd.stopping()
            beating.cancel()
            teaching.cancel()
            await rabbitmq.close()
            more.close()
            await queue.close()
            await people.close()

    report = asyncio.run(work())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})  # we are ending: once more cannot help
    output.talk(
        f"Worker {os.getpid()} stopped: {report.done} done, {report.failed} failed, "
        f"{report.set_back} set back, {report.given_back} given back."
    )


def _status(report: Report) -> str:
    return f"{report.done} done, {report.failed} failed, {report.set_back} set back"


def _serve_metrics(port: int) -> None:
    """This process's own: memory, file descriptors, CPU. Those of the whole installation are the server's."""
    from prometheus_client import start_http_server

    with metrics_on(port):
        start_http_server(port, "127.0.0.1")


def _alone(root: Root, settings: Settings, burst: bool, supervised: bool) -> None:
    """One of a worker's cells (see `carex.isolation`)."""
    import asyncio

    from carex.suspects import Suspects, answers_of_stdout

    answers = answers_of_stdout()
    nursery(root).close()  # a cell starts nobody
    with suppress(OSError):  # where that is forbidden
        os.nice(BEHIND)
    registry = start(settings, "worker")

    async def serve() -> None:
        from carex.cli.consume import Consumption
        from carex.worker import Worker

        queue = queue_of(settings)
        people = people_of(settings, queue, registry)
        suspects = Suspects(queue, settings.worker.concurrency, answers)
        answer = Consumption(settings, queue, registry).answer  # our worker's process sends it
        worker = Worker(settings, suspects, registry, people, answer=answer, ran=suspects.ran)
        stop = stop_with(worker.stop, parent=True)
        listening = asyncio.create_task(suspects.listen(sys.stdin, stop))
        try:
            await worker.run()
        finally:
            listening.cancel()
            await queue.close()
            await people.close()

    asyncio.run(serve())
    os._exit(0)  # a handler's thread that does not end must not keep us: its lease is given up


def _nurse(settings: Settings) -> None:
    """Start others in an instant (see `carex.nursery`): import what they need, then do as those say who want some."""
    from carex.cli import main
    from carex.nurse import serve
    from carex.registry import load

    for module in ("carex.cli.consume", "carex.suspects", "carex.worker"):
        import_module(module)
    load(handlers=settings.handlers, home=settings.home)

    def run(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        sys.argv[1:] = arguments
        os.environ.clear()
        os.environ.update(environment)
        main()

    serve(run)


def _when_stdin_ends(act: Callable[[], Any]) -> None:
    """Our supervisor holds the other end; when it dies, however suddenly, we stop too."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock, held here, would abort the interpreter as it ends
            pass
        act()

    threading.Thread(target=watch, name="supervisor's pipe", daemon=True).start()
