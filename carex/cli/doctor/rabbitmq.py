"""RabbitMQ: whether it lets us in, whether we may do what we have to, and whether somebody takes the messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from carex.cli import Root
from carex.cli.doctor.line import Line, note, ok, warning, wrong
from carex.errors import Unreachable

if TYPE_CHECKING:
    from carex.rabbitmq.connection import Broker
    from carex.rabbitmq.topology import Question, QueueState
    from carex.settings import RabbitMQSettings, Settings

NO_RIGHT = 403
NO_KEY = "carex-doctor"
"""A binding that is not there: taking it away changes nothing, and needs the rights of making one."""


def look(root: Root) -> Iterator[Line]:
    settings = root.settings
    if not is_used(settings):
        yield note("not used: no engine is set up (camunda.base_url), nothing is consumed (rabbitmq.consume)")
        return
    yield from asyncio.run(_gathered(settings))


def is_used(settings: Settings) -> bool:
    """Whether anything of this installation needs RabbitMQ."""
    given = any(row.key.startswith("rabbitmq.") and row.origin != "default" for row in settings.rows())
    return given or bool(settings.camunda.base_url)


async def _gathered(settings: Settings) -> list[Line]:
    from carex.rabbitmq.connection import Broker

    rabbitmq = settings.rabbitmq
    broker = Broker(rabbitmq, name="carex doctor")
    await broker.start(patient=False)
    try:
        tls = "TLS" if rabbitmq.tls else "no TLS"
        place = f"RabbitMQ at {rabbitmq.host}:{rabbitmq.port}, virtual host {rabbitmq.vhost}"
        lines = [ok(f"{place}: logged in as {rabbitmq.username} ({tls})")]
        if not rabbitmq.tls and rabbitmq.host not in ("localhost", "127.0.0.1", "::1"):
            lines.append(warning("the password and all data travel unencrypted", "Set rabbitmq.tls = true."))
        for part in (_topology, _rights, _readers):
            lines += [line async for line in part(broker, settings)]
        lines += await _management(rabbitmq)
        return [*lines, await _takes(broker)]  # last: under an alarm the connection is of no use after it
    finally:
        await broker.close()


async def _topology(broker: Broker, settings: Settings) -> AsyncIterator[Line]:
    from carex.camunda.routes import systems
    from carex.rabbitmq.topology import check

    rabbitmq = settings.rabbitmq
    differences = await check(broker, rabbitmq, _systems(settings, systems(rabbitmq)), declare=False)
    missing = [each for each in differences if not each.argument and each.found == "missing"]
    for each in differences:
        if each not in missing:
            text = f"{each.kind} {each.name}: {each.argument or 'it'} is {each.found}, not {each.wanted}"
            yield warning(text, each.advice) if each.argument else wrong(text, each.advice)
    if missing:
        names = ", ".join(f"{each.kind} {each.name}" for each in missing)
        if rabbitmq.declare:
            yield note(f"not there yet, made at the first start: {names}")
        else:
            yield wrong(f"missing: {names}", "Declare them, or set rabbitmq.declare = true and start the bridge.")
    if not differences:
        yield ok("exchanges and queues are as Carex would declare them")


def _systems(settings: Settings, routed: list[str]) -> list[str]:
    """Without the bridge only those systems matter whose queues are consumed here."""
    from carex.rabbitmq.topology import system_of

    if settings.camunda.base_url:
        return routed
    return [system for queue in settings.rabbitmq.consume if (system := system_of(queue))]


async def _rights(broker: Broker, settings: Settings) -> AsyncIterator[Line]:
    """Asks for what cannot be done, in such a way that the rights are checked first."""
    rabbitmq = settings.rabbitmq
    tasks, responses = rabbitmq.tasks_exchange, rabbitmq.responses_exchange
    asked: dict[str, Question] = {}
    if settings.camunda.base_url:
        asked[f"write to the exchange {tasks}"] = _unbind(tasks, responses)
        asked[f"read the queue {rabbitmq.responses_queue}"] = _consume(rabbitmq.responses_queue)
    for queue in rabbitmq.consume:
        asked[f"read the queue {queue}"] = _consume(queue)
        asked[f"write to the exchange {responses}"] = _unbind(responses, tasks)
    denied = [what for what, question in asked.items() if await _is_denied(broker, question)]
    for what in denied:
        yield wrong(
            f"{rabbitmq.username} may not {what}",
            f"rabbitmqctl set_permissions -p {rabbitmq.vhost} {rabbitmq.username} CONFIGURE WRITE READ, "
            "each a pattern of names, as '.*'",
        )
    if asked and not denied:
        yield ok(f"{rabbitmq.username} may {', '.join(asked)}")


async def _is_denied(broker: Broker, question: Question) -> bool:
    from carex.rabbitmq.connection import Rejected

    try:
        await broker.ask(question)
    except Rejected as error:
        return error.code == NO_RIGHT
    return False


def _unbind(destination: str, source: str) -> Question:
    """Needs the right to write to the one and to read from the other."""
    return lambda channel, answer: channel.exchange_unbind(destination, source, NO_KEY, callback=answer)


def _consume(queue: str) -> Question:
    """RabbitMQ looks at the rights, and then refuses this priority: nothing is ever delivered."""

    def ask(channel: Any, answer: Any) -> None:
        channel.basic_consume(queue, lambda *_: None, arguments={"x-priority": "none"}, callback=answer)

    return ask


async def _readers(broker: Broker, settings: Settings) -> AsyncIterator[Line]:
    """What waits in a queue that nobody reads."""
    from carex.camunda.routes import systems
    from carex.rabbitmq.topology import look, queue_of

    rabbitmq = settings.rabbitmq
    queues = [queue_of(system) for system in _systems(settings, systems(rabbitmq))]
    own = [rabbitmq.responses_queue, rabbitmq.dead_queue] if settings.camunda.base_url else []
    for state in await look(broker, dict.fromkeys([*queues, *rabbitmq.consume, *own])):
        if state.messages and state.name == rabbitmq.dead_queue:
            yield warning(
                f"{state.name} has {state.messages} answers that nobody could use",
                "Each says in its header why: look at them in RabbitMQ's management, mend who sends them, purge it.",
            )
        elif state.messages and not state.consumers:
            yield wrong(f"{state.name} has {state.messages} messages, and nobody reads it", _reader(state, settings))
        elif state.name in (*rabbitmq.consume, rabbitmq.responses_queue) and state.consumers == 0:
            yield warning(f"{state.name}: nobody reads it now", _reader(state, settings))


def _reader(state: QueueState, settings: Settings) -> str:
    rabbitmq = settings.rabbitmq
    if state.name == rabbitmq.responses_queue:
        return "carex camunda bridge"
    if state.name in rabbitmq.consume:
        return "carex worker"
    return f"Start the system that it belongs to; or let Carex do it: carex worker --consume {state.name}"


async def _takes(broker: Broker) -> Line:
    """Only who has published hears of an alarm: send a message that no queue is bound for, which comes back; twice."""
    from carex.rabbitmq.message import Outgoing, Receipt

    for _ in range(2):
        (receipt,) = await broker.publish([Outgoing("", NO_KEY, b"", NO_KEY, NO_KEY)], timeout=2.0)
    if receipt is not Receipt.RETURNED:
        return wrong(
            f"a message was not taken: {broker.why_not or receipt.value}",
            "An alarm: free memory or disk on its machine (rabbitmq-diagnostics alarms). Or the right to write is "
            "lacking: rabbitmqctl list_permissions.",
        )
    return ok("it takes messages")


async def _management(settings: RabbitMQSettings) -> list[Line]:
    from carex.rabbitmq.management import rates

    if not settings.management_url:
        return []
    try:
        await rates(settings)
    except Unreachable as error:
        return [warning(error.message, error.hint or "Check rabbitmq.management_url.")]
    return [ok("the management plugin answers")]
