"""`carex queues`: what waits in RabbitMQ, who takes it, and whether everything is as Carex would declare it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli import Root, output
from carex.errors import Unreachable

if TYPE_CHECKING:
    from carex.rabbitmq.management import Rates
    from carex.rabbitmq.topology import Difference, QueueState
    from carex.settings import RabbitMQSettings


def command(ctx: typer.Context, json: Annotated[bool, output.Json] = False) -> None:
    """Show RabbitMQ's queues: messages, consumers, rates, and what is missing or different."""
    root: Root = ctx.obj
    settings = root.settings.rabbitmq
    queues, differences = asyncio.run(_look(settings))
    rates = _rates(settings)
    if json:
        rows = [{**asdict(queue), **_rate_of(rates, queue.name)} for queue in queues]
        output.emit("queues", {"queues": rows, "differences": [asdict(difference) for difference in differences]})
        return
    output.table(
        ["queue", "messages", "unacknowledged", "consumers", "in/s", "out/s"],
        [
            (queue.name, queue.messages, unacknowledged, queue.consumers, published, delivered)
            for queue in queues
            for published, delivered, unacknowledged in [_rate_of(rates, queue.name).values()]
        ],
        empty="There are no queues.",
    )
    for difference in differences:
        output.talk(output.visible(str(difference)))
    output.talk("Everything is as Carex would declare it." if not differences else f"{len(differences)} differences.")


async def _look(settings: RabbitMQSettings) -> tuple[list[QueueState], list[Difference]]:
    from carex.camunda.routes import systems
    from carex.rabbitmq.connection import Broker
    from carex.rabbitmq.topology import check, look, queue_of

    broker = Broker(settings, name="carex queues")
    await broker.start(patient=False)
    try:
        mine = [queue_of(system) for system in systems(settings)]
        names = dict.fromkeys([*mine, *settings.consume, settings.responses_queue, settings.dead_queue])
        return await look(broker, names), await check(broker, settings, systems(settings), declare=False)
    finally:
        await broker.close()


def _rates(settings: RabbitMQSettings) -> dict[str, Rates]:
    """None without the management plugin; what AMQP tells is shown all the same."""
    from carex.rabbitmq.management import rates

    if not settings.management_url:
        return {}
    try:
        return asyncio.run(rates(settings))
    except Unreachable as error:
        output.complain(error)
        return {}


def _rate_of(rates: dict[str, Rates], queue: str) -> dict[str, float | None]:
    found = rates.get(queue)
    names = ("published", "delivered", "unacknowledged")
    return {name: getattr(found, name) if found else None for name in names}
