"""`carex send`: put a task by hand."""

from __future__ import annotations

import json as jsons
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.durations import seconds
from carex.cli.tasks import on_queue
from carex.errors import UsageError
from carex.task import Task

if TYPE_CHECKING:
    from carex.plugin import Handler
    from carex.queue import Placed, Queue


def command(
    ctx: typer.Context,
    type: Annotated[str, typer.Argument(metavar="TYPE", help="As in `carex handlers list`.")],
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The payload; values are JSON, or else text.")
    ] = None,
    payload: Annotated[str | None, typer.Option(metavar="JSON|@FILE", help="The whole payload; @- is stdin.")] = None,
    key: Annotated[str | None, typer.Option(help="Two tasks with the same key are the same work.")] = None,
    delay: Annotated[str | None, typer.Option(metavar="TIME", help="Not before this long: 30s, 15m, 2h.")] = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Put a task by hand. Its id goes to stdout."""
    root: Root = ctx.obj
    data = payload_of(pairs, payload)
    check(root.registry.handler(type), data, key)
    window = root.settings.queue.dedupe_window if key is not None else 0.0
    due = time.time() + seconds(delay) if delay is not None else 0.0
    task = Task(type, data, key=key, window=window, due=due, source="cli")

    async def put(queue: Queue) -> Placed:
        return (await queue.put([task]))[0]

    placed = on_queue(root, put)
    if json:
        output.emit("send", {"task_id": placed.id, "status": "queued", "duplicate": not placed.new})
        return
    typer.echo(placed.id)
    if placed.new:
        output.talk(f"Queued. Watch it: carex tasks show {placed.id}")
    else:
        output.talk(f"This work is queued or just done already, as the task above; nothing was added (key {key!r}).")


def payload_of(pairs: list[str] | None, payload: str | None) -> dict[str, Any]:
    """What the arguments KEY=VALUE, or else --payload, say."""
    if pairs and payload is not None:
        raise UsageError("Give either KEY=VALUE or --payload, not both.")
    return _whole(payload) if payload is not None else dict(map(pair, pairs or []))


def pair(text: str, example: str = "carex send bitrix_assign deal_id=123") -> tuple[str, Any]:
    """The name and the value in KEY=VALUE, where the value is JSON or else text."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise UsageError(f"{text!r} is not KEY=VALUE.", f"For example: {example}")
    try:
        return name, _parse(value)
    except ValueError:
        return name, value


def _whole(text: str) -> dict[str, Any]:
    try:
        if text == "@-":
            text = typer.get_text_stream("stdin").read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        found = _parse(text)
    except OSError as error:
        raise UsageError(f"--payload: {error.filename} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--payload is not JSON: {error}", "From a file: --payload @file.json") from None
    if not isinstance(found, dict):
        raise UsageError("--payload must be a JSON object: {…}.")
    return found


def _parse(text: str) -> Any:
    """JSON without the NaN and Infinity that Python's parser would let through."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not a number in JSON")

    return jsons.loads(text, parse_constant=refuse)


def check(handler: Handler, payload: dict[str, Any], key: str | None = None) -> None:
    """Raises UsageError, naming every field, if the handler would not take this payload."""
    try:
        jsons.dumps([payload, key], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError("The payload or the key holds text that is not UTF-8.") from None
    wrong = handler.problems(payload, exact=True)
    if wrong:
        raise UsageError(
            f"The payload does not fit {handler.type}:\n"
            + "\n".join(f"  {each['field']}: {each['message']}" for each in wrong),
            f"`carex handlers show {handler.type}` shows what it wants.",
        )
