"""The doors through which work comes in: every plugin's webhooks, and `POST /tasks/{type}`.

They are plain Starlette routes, because they are the ones that are called often.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carex.errors import ConfigError, NotFound, Refused
from carex.plugin import BadCall, Handler, Webhook
from carex.queue import Filter, Placed, Queue
from carex.registry import Registry
from carex.server.answers import Problem, reply, within
from carex.server.decode import read_call, read_json
from carex.server.gather import UNKNOWN, Gather
from carex.task import Task

if TYPE_CHECKING:
    from carex.settings import Settings

IDEMPOTENCY_WINDOW = 86400.0
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_MOST_FIELDS = 20
"""How many wrong fields an answer names."""


class Intake:
    """Puts what arrives into the queue, and answers once it is stored."""

    def __init__(self, settings: Settings, queue: Queue, registry: Registry) -> None:
        self.settings = settings
        self.queue = queue
        self.registry = registry
        self.webhooks = {path: self._webhook(each) for path, each in registry.webhooks.items()}
        """What is called at each webhook's path."""
        self._gather = Gather(queue, settings.server.accept_timeout)

    def routes(self) -> list[Route]:
        webhooks = [Route(path, called, methods=["POST"]) for path, called in self.webhooks.items()]
        return [*webhooks, Route("/tasks/{type}", self.put, methods=["POST"])]

    def _webhook(self, webhook: Webhook) -> Callable[[Request], Awaitable[Response]]:
        async def called(request: Request) -> Response:
            call = await read_call(request, self.settings.server.max_body)
            try:
                task = webhook.function(call, *([self._settings_of(webhook)] if webhook.wants_settings else []))
            except BadCall as bad:
                raise _unfit([{"field": bad.field, "message": str(bad)}]) from None
            _check(self._handler(task.type), task.payload)
            if task.key and not task.window:
                task = replace(task, window=self.settings.queue.dedupe_window)
            placed = await self._gather.put(task)
            return _accepted(placed) if placed.new else _duplicate(placed, "queued")

        return called

    def _settings_of(self, webhook: Webhook) -> Any:
        plugin = webhook.plugin
        return self.settings.plugin(plugin.name, plugin.settings) if plugin.settings else None

    async def put(self, request: Request) -> Response:
        """Put a task of any type. With an `Idempotency-Key` a repeat is answered with the first one's id."""
        type = request.path_params["type"]
        handler = self._handler(type)
        key = _idempotency_key(request, type)
        payload = await read_json(request, self.settings.server.max_body)
        _check(handler, payload, exact=True)
        window = IDEMPOTENCY_WINDOW if key else 0.0
        placed = await self._gather.put(Task(type, payload, key=key, window=window, source="http"))
        return _accepted(placed) if placed.new else await self._replay(placed, payload)

    def _handler(self, type: str) -> Handler:
        try:
            return self.registry.handler(type)
        except NotFound as error:
            hint = error.hint
            if self.registry.broken:
                hint = f"{hint} Not loaded, because broken: {', '.join(each.name for each in self.registry.broken)}."
            raise NotFound(error.message, hint) from None

    async def _replay(self, placed: Placed, payload: dict[str, Any]) -> Response:
        with within(self.settings.server.accept_timeout, UNKNOWN):
            first = next(iter(await self.queue.tasks(Filter(ids=[placed.id]))), None)
        if first is not None and _canonical(first.task.payload) != _canonical(payload):
            message = f"This Idempotency-Key was used with another payload, for task {placed.id}."
            raise Problem(422, "idempotency_key_reused", message, "Use a new key for each piece of work.")
        state = first.state if first is not None else "done"
        return _duplicate(placed, "queued" if state == "waiting" else state, {"Idempotent-Replayed": "true"})


def _accepted(placed: Placed) -> Response:
    return reply(202, {"status": "queued", "task_id": placed.id})


def _duplicate(placed: Placed, status: str, headers: dict[str, str] | None = None) -> Response:
    return reply(200, {"status": status, "task_id": placed.id, "duplicate": True}, headers)


def _check(handler: Handler, payload: Any, *, exact: bool = False) -> None:
    try:
        problems = handler.problems(payload, exact=exact)
    except ConfigError:  # it says where the plugin's file is, which is nothing for callers
        message = f"{handler.type} cannot be used: its payload is annotated with what no payload can be read as."
        raise Refused(message, f"`carex handlers check {handler.plugin.name}` says where.") from None
    if problems:
        raise _unfit(problems, f"`carex handlers show {handler.type}` says what it takes.")


def _unfit(problems: list[dict[str, str]], hint: str | None = None) -> Problem:
    named = ", ".join(f"{each['field']}: {each['message']}" for each in problems[:_MOST_FIELDS])
    return Problem(422, "bad_field", named, hint, fields=problems[:_MOST_FIELDS])


def _idempotency_key(request: Request, type: str) -> str | None:
    value = request.headers.get("idempotency-key")
    if value is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        fields = [{"field": "Idempotency-Key", "message": "must be 1 to 255 printable ASCII characters"}]
        raise Problem(422, "bad_field", "Idempotency-Key must be 1 to 255 printable ASCII characters.", fields=fields)
    return f"idem:{type}:{value}"


def _canonical(payload: Any) -> str:
    return json.dumps(payload, sort_keys=True)
