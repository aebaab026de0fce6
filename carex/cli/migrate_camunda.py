"""`carex migrate camunda`: what of the old Camunda worker's settings, routes and queues goes on as it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli import Root, output
from carex.errors import CarexError, ConfigError, UsageError

if TYPE_CHECKING:
    from carex.migration.routing import Moved
    from carex.rabbitmq.topology import Difference, QueueState
    from carex.settings import RabbitMQSettings

SENT = "the old worker's notes of what it waits for: let it finish them before you stop it, then delete the queue"
LATER = {
    "errors.camunda_tasks.queue": "errors that the old worker noted: read them, then purge it; Carex makes incidents",
    "camunda.default.queue": "tasks without a route: Carex's are in default.queue; move these there with a shovel",
    **{f"{system}.sent.queue": SENT for system in ("bitrix24", "openproject", "1c", "python-services", "default")},
}
"""Queues of the old worker's later versions, and what to do with what is in them. Carex does not touch them."""
GOES_ON = "goes on as it is: whoever consumes it finds the messages, now as before"
ANSWERS = "the bridge carries these answers to the engine; what is not in the format of the README goes to {dead}"


def camunda(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="The old checkout, with .env and config.py.")
    ] = None,
    env: Annotated[Path | None, typer.Option(metavar="FILE", help="The old .env, if it is elsewhere.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The same: this command only looks.")] = False,
    json: Annotated[bool, output.Json] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="The same: there is nothing to ask.")] = False,
) -> None:
    """Say what becomes of the old Camunda worker's settings, topics, queues and locks.

    Nothing has to be moved and nothing is changed: names, messages and the worker id are the same.
    """
    from carex.migration import dotenv
    from carex.migration.routing import as_toml, differences, find_config, read_topics
    from carex.migration.units import find_units

    if folder is None and env is None:
        raise UsageError("Say where the old installation is: --from DIR.", "Or name its .env: --env FILE.")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    env = env or (folder / ".env" if folder and (folder / ".env").is_file() else None)
    values = dotenv.read_env(env) if env else {}
    settings = _settings(ctx.obj, values)
    config = find_config(folder) if folder else None
    topics = read_topics(config) if config else {}
    moved = differences(topics, settings)
    variables, runners = dotenv.fates(values, dotenv.CAMUNDA), find_units(folder)
    routes = as_toml(topics, moved, settings)
    problem: CarexError | None = None
    states: Sequence[QueueState] = ()
    different: Sequence[Difference] = ()
    try:
        states, different = asyncio.run(_queues(settings))
    except CarexError as error:
        problem = error
    queues = [(each, _advice(each.name, settings)) for each in states if each.messages is not None]
    if json:
        output.emit(
            "migrate-camunda",
            {
                "settings": [variable._asdict() for variable in variables],
                "topics": [each._asdict() for each in moved],
                "routes": routes,
                "queues": [{**asdict(state), "advice": advice} for state, advice in queues],
                "differences": [asdict(each) for each in different],
                "started_by": [runner._asdict() for runner in runners],
            },
        )
    else:
        if variables:
            output.table(["variable", "value", "fate", "note"], variables, empty="")
        _tell_routes(config, moved, routes)
        rows = [(state.name, state.messages, state.consumers, advice) for state, advice in queues]
        if problem is None:
            output.table(["queue", "messages", "consumers", "what happens"], rows, empty="There are no queues yet.")
        for difference in different:
            output.talk(output.visible(str(difference)))
        output.talk(
            "Tasks that the old worker has locked need nothing: they are locked for "
            f"{values.get('CAMUNDA_WORKER_ID') or ctx.obj.settings.camunda.worker_id}, and an answer to them is taken."
        )
        for runner in runners:
            output.talk(f"{runner.name} is a unit of {runner.kind}. Stop it for good: {runner.stop}")
        output.talk("Next: carex doctor, carex camunda bridge; as a service: carex service install --kind systemd")
    if problem is not None:
        raise problem


def _settings(root: Root, values: Mapping[str, str]) -> RabbitMQSettings:
    """Carex's own settings, and where the old `.env` says it, the RabbitMQ of the old worker."""
    from carex.settings import load

    named = {
        "host": ("RABBITMQ_HOST",),
        "port": ("RABBITMQ_PORT",),
        "username": ("RABBITMQ_USERNAME",),
        "password": ("RABBITMQ_PASSWORD",),
        "vhost": ("RABBITMQ_VIRTUAL_HOST", "RABBITMQ_VHOST"),
        "tasks_exchange": ("RABBITMQ_TASKS_EXCHANGE_NAME", "RABBITMQ_TASKS_EXCHANGE"),
        "responses_exchange": ("RABBITMQ_RESPONSES_EXCHANGE_NAME", "RABBITMQ_RESPONSES_EXCHANGE"),
        "responses_queue": ("RABBITMQ_RESPONSES_QUEUE_NAME", "RABBITMQ_RESPONSES_QUEUE"),
    }
    given = {
        f"rabbitmq.{setting}": next((values[name] for name in names if values.get(name)), None)
        for setting, names in named.items()
    }
    try:
        return load(root.home, root.config, {**root.flags, **given}).rabbitmq
    except ConfigError as error:
        raise ConfigError(error.message, "Flags named here stand for the old .env's variables.") from None


async def _queues(settings: RabbitMQSettings) -> tuple[list[QueueState], list[Difference]]:
    from carex.camunda.routes import systems
    from carex.rabbitmq.connection import Broker
    from carex.rabbitmq.topology import check, look, queue_of

    broker = Broker(settings, name="carex migrate")
    await broker.start(patient=False)
    try:
        mine = [queue_of(system) for system in systems(settings)]
        states = await look(broker, dict.fromkeys([*mine, settings.responses_queue, *LATER]))
        differences = await check(broker, settings, systems(settings), declare=False)
    finally:
        await broker.close()
    return states, [each for each in differences if each.found != "missing"]


def _advice(queue: str, settings: RabbitMQSettings) -> str:
    if queue in LATER:
        return LATER[queue]
    return ANSWERS.format(dead=settings.dead_queue) if queue == settings.responses_queue else GOES_ON


def _tell_routes(config: Path | None, moved: Sequence[Moved], routes: str) -> None:
    if config is None:
        output.talk("No config.py: if topics were added to RoutingConfig, put them into rabbitmq.routes in carex.toml.")
    elif not moved:
        output.talk(f"Every topic of {config} goes where it went.")
    else:
        for topic, before, now in moved:
            output.talk(f"The topic {topic} went to {before}; here it would go to {now}.")
        output.talk("With these lines in carex.toml all goes where it went:\n")
        sys.stdout.write(f"{routes}\n")
