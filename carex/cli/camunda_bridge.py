"""`carex camunda bridge` and `carex camunda schema`: external tasks to RabbitMQ, and the messages' published form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from carex.cli import Root, output
from carex.cli.process import metrics_on, notifier, stop_with

if TYPE_CHECKING:
    from carex.camunda.stats import Stats
    from carex.settings import Settings


def bridge(
    ctx: typer.Context,
    only: Annotated[
        Literal["dispatch", "responses"] | None,
        typer.Option(help="Only one half: tasks to RabbitMQ, or answers to the engine. Both by default."),
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Serve this process's metrics on this port.")] = None,
    log_format: Annotated[str | None, typer.Option(help="How the console speaks: text or json.")] = None,
) -> None:
    """Carry the engine's external tasks to RabbitMQ and the answers back, until told to stop (SIGTERM, Ctrl-C)."""
    import asyncio

    from carex import log
    from carex.camunda.bridge import Bridge

    root: Root = ctx.obj
    root.flags.update({"metrics.port": metrics_port, "log.format": log_format})
    settings = root.settings
    log.setup(
        settings.home,
        level=settings.log.level,
        format=settings.log.format,
        secrets=settings.secrets(),
        name="bridge",
        files=log.BRIDGE_FILES,
    )
    relay, systemd = Bridge(settings, only), notifier()

    async def work() -> None:
        def stop() -> None:
            systemd.stopping()
            relay.stop()

        stop_with(stop)
        end_metrics = _serve_metrics(relay.stats, settings)
        systemd.ready("Carrying tasks and answers, or trying to")
        beating = asyncio.create_task(systemd.beat(relay.stats.line))
        try:
            await relay.run()
        finally:
            beating.cancel()
            end_metrics()

    asyncio.run(work())
    output.talk(f"Bridge stopped. {relay.stats.line()}")


def schema(
    name: Annotated[Literal["task", "response"], typer.Argument(help="Which message.")],
) -> None:
    """Print the JSON Schema of a message, for those who answer tasks without Carex."""
    import json

    from carex.camunda import messages

    typer.echo(json.dumps(messages.schema(name), indent=2, ensure_ascii=False))


def _serve_metrics(stats: Stats, settings: Settings) -> Any:
    from carex.camunda.stats import serve

    port = settings.metrics.port
    if port is None:
        return lambda: None
    with metrics_on(port):
        return serve(stats, port)
