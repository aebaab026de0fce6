"""`carex handlers run`: one attempt, here and now, without a queue."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.process import queue_of, start
from carex.cli.rules import people_of
from carex.cli.send import check, payload_of
from carex.errors import CarexError, ConfigError
from carex.task import BpmnError, Done, Outcome, Retry, Task, Wait

if TYPE_CHECKING:
    from carex.executor import Result
    from carex.plugin import Handler


def run(
    ctx: typer.Context,
    type: Annotated[str, typer.Argument(metavar="TYPE", help="As in `carex handlers list`.")],
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The payload; values are JSON, or else text.")
    ] = None,
    payload: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="The whole payload; @- is stdin.")] = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Make one attempt at a task that is in no queue, as a worker of this home would, and say how it ended."""
    root: Root = ctx.obj
    handler = root.registry.handler(type)
    data = payload_of(pairs, payload)
    check(handler, data)
    if dry_run:
        if handler.plugin.settings:
            root.settings.plugin(handler.plugin.name, handler.plugin.settings)
        output.talk(f"The payload and the settings fit. {type} would be run once; nothing was done.")
        return
    task = Task(type, data, source="cli", attempt=1)
    outcome, seconds = asyncio.run(_attempt(root, handler, task))
    if json:
        output.emit("handlers-run", {"outcome": _name(outcome), "seconds": round(seconds, 6), **vars(outcome)})
    elif isinstance(outcome, Done):
        typer.echo(output.visible(_as_json(outcome.result)))
    output.talk(f"{_name(outcome)} in {output.ago(seconds)}")
    if not isinstance(outcome, Done):
        raise CarexError(f"{type}: {outcome.reason}", f"A worker would {_afterwards(outcome, handler)}.")


async def _attempt(root: Root, handler: Handler, task: Task) -> tuple[Outcome, float]:
    """In the surroundings that a worker gives: settings, clients, people."""
    from carex.executor import Executor
    from carex.queue import Delivery
    from carex.registry import Registry

    settings = root.settings
    registry = start(settings, "handlers")
    queue = queue_of(settings)
    people = people_of(settings, queue, registry)
    ended = asyncio.Event()
    asked = set(settings.people.sources)
    needed = [each for each in registry.loaded if each.plugin is handler.plugin or asked & each.plugin.presences.keys()]
    executor = Executor(settings, Registry(needed), people, 1, ended.set)
    await executor.start()
    try:
        refused = executor.refused.get(handler.plugin.name)
        if refused:
            raise ConfigError(f"Plugin {handler.plugin.name} cannot be set up: {refused}")
        executor.submit([Delivery(task, 0, "cli", 0, time.time())])
        await ended.wait()
        result: Result = executor.take()[0]
        return result.outcome, result.seconds
    finally:
        await executor.stop()
        await queue.close()
        await people.close()


def _afterwards(outcome: Outcome, handler: Handler) -> str:
    if isinstance(outcome, Retry):
        return f"try again, {handler.attempts} times in all, and then show it under `carex errors list`"
    if isinstance(outcome, Wait):
        return f"try again in {output.ago(outcome.delay)}, and count no attempt"
    if isinstance(outcome, BpmnError):
        return f"tell the process, if one asked: error {outcome.code}"
    return "not try again, and show it under `carex errors list`"


def _name(outcome: Outcome) -> str:
    return outcome.__class__.__name__


def _as_json(result: Any) -> str:
    import json as jsons

    return jsons.dumps(result, ensure_ascii=False, indent=2)
