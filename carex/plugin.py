"""A plugin: a named set of handlers, with settings, a client and webhooks. This is what authors write against."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from carex.choice import Choice, Situation
from carex.declared import (
    check_called,
    check_limits,
    check_path,
    check_plain,
    check_type,
    parameters,
    payload_of,
    place,
)
from carex.errors import ConfigError
from carex.limiter import Share
from carex.task import Task

F = TypeVar("F", bound=Callable[..., Any])
API = 1
"""Raised when plugins can rely on something new; a plugin that needs it says so: `Plugin(NAME, api=…)`."""


@dataclass(frozen=True)
class Call:
    """An HTTP request to a webhook: query and form as nested maps (brackets decoded as PHP does), JSON as it came."""

    query: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None


class BadCall(ValueError):
    """A webhook refuses a request; `field` names the culprit and the caller gets a 422."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Handler:
    """A function for one task type, with how often and how long it may try. `timeout` is in seconds."""

    type: str
    function: Callable[..., Any]
    attempts: int
    timeout: float
    plugin: Plugin
    payload: Any
    """The annotation of the function's first parameter: the schema of the task's payload."""

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def parse(self, payload: Any) -> Any:
        """The payload as the annotation wants it; raises pydantic's ValidationError, or ConfigError as `prepare`."""
        return self._validate(payload)

    def prepare(self) -> None:
        """Raise ConfigError, naming file and function, if the annotation is nothing that a payload can be read as."""
        _ = self._validate

    def problems(self, payload: Any, *, exact: bool = False) -> list[dict[str, str]]:
        """What is wrong with a payload: `[{"field": "deal_id", "message": "…"}]`, empty if nothing is.

        `exact` also finds fields that the handler would ignore: a person's typing errors, where a process may
        well send more variables than are wanted.
        """
        try:
            schema = self.schema() if exact and isinstance(payload, Mapping) else {}
        except ConfigError:  # it cannot be described; whether it can be read is asked next
            schema = {}
        if "properties" in schema and not schema.get("additionalProperties"):
            known = schema["properties"]
            unknown = [str(name) for name in payload if name not in known]
            if unknown:
                fields = ", ".join(known)
                return [{"field": name, "message": f"unknown; {self.type} takes {fields}"} for name in unknown]
        from pydantic import ValidationError

        try:
            self.parse(payload)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            return [{"field": ".".join(map(str, each["loc"])) or "payload", "message": each["msg"]} for each in found]
        return []

    def schema(self) -> dict[str, Any]:
        """The payload's JSON Schema; raises ConfigError if its annotation has none."""
        return self._schema

    @cached_property
    def _schema(self) -> dict[str, Any]:
        try:
            return dict(self._adapter.json_schema())
        except Exception as error:  # noqa: BLE001 - whatever comes of a stranger's annotations
            raise self._unfit("described", error) from None

    @cached_property
    def _validate(self) -> Callable[[Any], Any]:
        try:
            # The adapter's own method costs a third more.
            return self._adapter.validator.validate_python  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - as above
            raise self._unfit("read", error) from None

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter  # costs 80 ms, which commands that run no handler save

        return TypeAdapter(self.payload)

    def _unfit(self, what: str, error: Exception) -> ConfigError:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        return ConfigError(
            f"{place(self.function)}: the payload of {self.type} cannot be {what} as it is annotated: {reason}",
            "Annotate it with dict, a dataclass or a pydantic model.",
        )


@dataclass(frozen=True)
class Webhook:
    """A path at which a request becomes a task. With `may_be_open`, `server.open_intake` opens it to everybody."""

    path: str
    function: Callable[..., Task]
    plugin: Plugin
    may_be_open: bool = False
    wants_settings: bool = False
    """The function takes the plugin's settings as its second argument."""


@dataclass(frozen=True)
class Employee:
    """A person as another system knows them. `time_zone` is a name such as Europe/Moscow, if it is known."""

    id: int
    name: str
    active: bool = True
    departments: tuple[str, ...] = ()
    time_zone: str | None = None


@dataclass(frozen=True)
class Finding:
    """What a plugin's check found; `fix` says what to do about it, and stays empty if all is well."""

    text: str
    fix: str = ""


class Plugin:
    """Handlers of one system, registered with decorators.

    `settings` is a pydantic model for the table `[plugins.NAME]`. `client(settings)`, or `client(settings, share)`,
    returns an async context manager that is entered once per process; what it gives is `ctx.client`. `api` is the
    version of this interface that the plugin needs: an older Carex says so and does without the plugin.
    """

    def __init__(
        self,
        name: str,
        *,
        settings: type[Any] | None = None,
        client: Callable[..., AbstractAsyncContextManager[Any]] | None = None,
        api: int = 1,
    ) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"Plugin name {name!r}: use letters, digits and underscores.")
        if not isinstance(api, int) or isinstance(api, bool) or api < 1:
            raise ConfigError(f"Plugin {name!r}: api must be a whole number of at least 1, not {api!r}.")
        if api > API:
            raise ConfigError(
                f"Plugin {name!r} needs API {api} of Carex; this one has {API}. Install a newer Carex.",
                "install a newer Carex, or uninstall it",
            )
        if settings is not None and not (isinstance(settings, type) and hasattr(settings, "model_fields")):
            raise ConfigError(f"Plugin {name!r}: settings must be a pydantic model, not {settings!r:.60}.")
        if client is not None and not callable(client):
            raise ConfigError(f"Plugin {name!r}: client must be a function of the settings, not {client!r:.60}.")
        caller = sys._getframe(1)
        self.place = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        """Where it is written."""
        self.name = name
        self.settings = settings
        self.client = client
        self.handlers: dict[str, Handler] = {}
        self.webhooks: dict[str, Webhook] = {}
        self.employees: Callable[[Any], Awaitable[Sequence[Employee]]] | None = None
        """Asks the system, through the client, who works there."""
        self.strategies: dict[str, Callable[[Situation], Choice | int | None]] = {}
        self.presences: dict[str, Callable[..., Awaitable[Mapping[int, str | int]]]] = {}
        self.checks: list[Callable[[Any], Awaitable[Sequence[Finding]]]] = []

    def open_client(self, settings: Any, share: Share) -> AbstractAsyncContextManager[Any]:
        """The client, not entered yet; a plugin without one gives None."""
        if self.client is None:
            return nullcontext()
        return self.client(settings, share) if len(parameters(self.client)) > 1 else self.client(settings)

    def __repr__(self) -> str:
        return f"<Plugin {self.name}: {', '.join(self.handlers) or 'no handlers'}>"

    def handler(self, type: str, *, attempts: int = 8, timeout: float = 300.0) -> Callable[[F], F]:
        """Register `function(payload, ctx) -> result` for a task type.

        A type has letters, digits and `_ . : -`.
        """
        check_called(type, "handler", "name")

        def register(function: F) -> F:
            check_type(type, function)
            check_limits(attempts, timeout, function)
            payload = payload_of(function)
            if type in self.handlers:
                raise ConfigError(f"{place(function)}: {type!r} has a handler already in plugin {self.name!r}.")
            self.handlers[type] = Handler(type, function, attempts, timeout, self, payload)
            return function

        return register

    def webhook(self, path: str, *, may_be_open: bool = False) -> Callable[[F], F]:
        """Register `function(call) -> Task`, or `function(call, settings)`, for `POST path`.

        It may raise `BadCall` (the caller sees a 422).

        `may_be_open` is for old callers that know no token: the setting `server.open_intake` lets them in.
        """

        check_called(path, "webhook", "/Path")

        def register(function: F) -> F:
            check_path(path, function)
            if inspect.iscoroutinefunction(function):
                raise ConfigError(f"{place(function)}: a webhook only reads its call; write it without async.")
            check_plain(function)
            if path in self.webhooks:
                raise ConfigError(f"{place(function)}: {path!r} has a webhook already in plugin {self.name!r}.")
            wants_settings = len(parameters(function)) > 1
            self.webhooks[path] = Webhook(path, function, self, may_be_open, wants_settings)
            return function

        return register

    def directory(self, function: F) -> F:
        """Register `async function(client) -> list[Employee]`: where `carex users sync` asks who works there."""
        if self.employees is not None or not inspect.iscoroutinefunction(function):
            raise ConfigError(f"{place(function)}: a plugin has one directory, an `async def` that takes the client.")
        self.employees = function
        return function

    def check(self, function: F) -> F:
        """Register `async function(client) -> list[Finding]`: looks, without changing anything, whether all is well.

        Nothing is found where nothing is set up. Whatever it raises is a finding too.
        """
        if not inspect.iscoroutinefunction(function) or len(parameters(function)) != 1:
            raise ConfigError(f"{place(function)}: a check is an `async def` that takes the client.")
        self.checks.append(function)
        return function

    def strategy(self, name: str) -> Callable[[F], F]:
        """Register `function(situation) -> Choice | int | None`: a way to choose one of several candidates.

        It must be pure: the same situation, the same choice. None leaves it to the next strategy of a chain.
        """

        def register(function: F) -> F:
            if not name.isidentifier() or name in self.strategies or inspect.iscoroutinefunction(function):
                raise ConfigError(f"{place(function)}: {name!r} must be a plain function with a name of its own.")
            self.strategies[name] = function
            return function

        return register

    def presence(self, name: str) -> Callable[[F], F]:
        """Register `async function(client, ids, now)` under a name that `people.sources` may list.

        For each employee about whom there is something to say it returns why they cannot be given work now, such as
        "absent until 2026-01-31", "not_clocked_in", "paused" or "inactive"; or it returns how many items each has open.
        `now` is a datetime with the installation's time zone.
        """

        def register(function: F) -> F:
            if not name.isidentifier() or name in self.presences or not inspect.iscoroutinefunction(function):
                raise ConfigError(f"{place(function)}: {name!r} must be an `async def` with a name of its own.")
            self.presences[name] = function
            return function

        return register
