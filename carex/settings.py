"""Settings: what can be set, and the one function that reads it all.

A flag wins over the environment, that over `.env`, that over `carex.toml`, that over the default. Lengths of time
are in seconds. `carex.toml` in the sources explains every setting; `carex config show --origin` says where each
one came from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from carex.errors import ConfigError
from carex.masking import HIDDEN, SHORTEST, header_secrets, hide, mask, mask_secret, secrets_in
from carex.settings_sources import PLUGINS, Given, Sources, env_name, gather, kept_name

M = TypeVar("M", bound=BaseModel)
Level = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]


def _not_empty(token: SecretStr) -> SecretStr:
    if not token.get_secret_value():
        raise ValueError("must not be empty; leave it out if there is none")
    return token


Token = Annotated[SecretStr, AfterValidator(_not_empty)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _place_of_plugin(place: str) -> str:
    module, _, name = place.partition(":")
    if not (all(part.isidentifier() for part in module.split(".")) and name.isidentifier()):
        raise ValueError("name each plugin as MODULE:NAME, for instance my_handlers:plugin")
    return place


class TopSettings(Section):
    """What stands above the tables."""

    handlers: tuple[Annotated[str, AfterValidator(_place_of_plugin)], ...] = ()


class QueueSettings(Section):
    url: str = Field("sqlite", repr=False, json_schema_extra={"env": "REDIS_URL"})
    dedupe_window: float = Field(300.0, ge=0)
    keep_done: float = Field(86400.0, ge=0)
    lease: float = Field(30.0, gt=0)
    allow_volatile: bool = False


class WorkerSettings(Section):
    concurrency: int = Field(100, ge=1)
    processes: int = Field(1, ge=1)
    types: tuple[str, ...] = ("*",)
    grace: float = Field(25.0, ge=0)
    backoff_base: float = Field(1.0, gt=0)
    backoff_max: float = Field(60.0, gt=0)


class ServerSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    intake_token: Token | None = None
    admin_token: Token | None = None
    open_intake: bool = False
    max_body: int = Field(1048576, ge=1)
    accept_timeout: float = Field(2.0, gt=0)


class PoolSettings(Section):
    name: str = Field(min_length=1)
    when: dict[str, str | int | float | list[str | int | float]] = {}
    members: tuple[int, ...] = ()
    departments: tuple[str | int, ...] = ()
    strategy: str | None = Field(None, min_length=1)
    fallback: int | None = Field(None, gt=0)


class PeopleSettings(Section):
    ledger: bool = True
    retry_delay: float = Field(30.0, gt=0)
    strategy: str = Field("random", min_length=1)
    fallback: int | None = Field(None, gt=0)
    pools: tuple[PoolSettings, ...] = ()
    schedule: str = "always"
    time_zone: str | None = None
    holidays: Path | None = None
    sources: tuple[str, ...] = ()
    when_unknown: Literal["open", "closed"] = "open"


class LogSettings(Section):
    level: Annotated[Level, BeforeValidator(lambda v: v.upper() if isinstance(v, str) else v)] = Field(
        "INFO", json_schema_extra={"env": "LOG_LEVEL"}
    )
    format: Literal["text", "json"] = "text"


class MetricsSettings(Section):
    prefix: str = Field("company", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")
    port: int | None = Field(None, ge=0, le=65535)


class CamundaSettings(Section):
    base_url: str | None = Field(None, repr=False, json_schema_extra={"env": "CAMUNDA_BASE_URL"})
    auth_username: str | None = Field(None, json_schema_extra={"env": "CAMUNDA_AUTH_USERNAME"})
    auth_password: SecretStr | None = Field(None, json_schema_extra={"env": "CAMUNDA_AUTH_PASSWORD"})
    auth_token: Token | None = None
    worker_id: str = Field("universal-worker", min_length=1, json_schema_extra={"env": "CAMUNDA_WORKER_ID"})
    max_tasks: int = Field(10, ge=1, json_schema_extra={"env": "CAMUNDA_MAX_TASKS"})
    lock_duration_ms: int = Field(600_000, ge=1000, json_schema_extra={"env": "CAMUNDA_LOCK_DURATION"})
    handover_lock: float = Field(20.0, ge=5)
    max_work: float = Field(86400.0, gt=0)
    long_poll: float = Field(5.0, gt=0, le=60)
    topics: tuple[str, ...] = ()
    other_topics: tuple[str, ...] = ()
    retries: int = Field(3, ge=1)
    retry_timeout: float = Field(30.0, ge=0)
    completes: int = Field(8, ge=1)


class RabbitMQSettings(Section):
    host: str = Field("localhost", json_schema_extra={"env": "RABBITMQ_HOST"})
    port: int = Field(5672, ge=1, le=65535, json_schema_extra={"env": "RABBITMQ_PORT"})
    username: str = Field("guest", json_schema_extra={"env": "RABBITMQ_USERNAME"})
    password: SecretStr | None = Field(None, json_schema_extra={"env": "RABBITMQ_PASSWORD"})
    vhost: str = "/"
    tls: bool = False
    ca_file: Path | None = None
    heartbeat: float = Field(30.0, ge=0)
    declare: bool = True
    exchange_type: Literal["topic", "direct", "fanout", "headers"] = "topic"
    tasks_exchange: str = "camunda.external.tasks"
    responses_exchange: str = "camunda.task.responses"
    responses_queue: str = "camunda.responses.queue"
    dead_queue: str = "camunda.responses.dead"
    routes: dict[str, str] = Field(
        default_factory=lambda: {
            "bitrix_*": "bitrix24",
            "op_*": "openproject",
            "1c_*": "1c",
            "send_email": "python-services",
            "http_request": "python-services",
            "*": "default",
        }
    )
    route_property: str = "queue"
    consume: tuple[str, ...] = ()
    management_url: str | None = Field(None, repr=False)


SECTIONS: Mapping[str, type[Section]] = {
    "queue": QueueSettings,
    "worker": WorkerSettings,
    "server": ServerSettings,
    "people": PeopleSettings,
    "camunda": CamundaSettings,
    "rabbitmq": RabbitMQSettings,
    "log": LogSettings,
    "metrics": MetricsSettings,
}


@dataclass(frozen=True)
class Row:
    """One setting as it may be shown: secrets are hidden in `value`. `origin` is `default` or a place."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, repr=False)
class Settings:
    """Every setting of this process, checked. Plugins' tables are checked by `plugin`, when the plugin loads."""

    home: Path
    handlers: tuple[str, ...]
    """Plugins that are not installed, as MODULE:NAME: files of the home folder, or others that can be imported."""
    queue: QueueSettings
    worker: WorkerSettings
    server: ServerSettings
    people: PeopleSettings
    camunda: CamundaSettings
    rabbitmq: RabbitMQSettings
    log: LogSettings
    metrics: MetricsSettings
    sources: Sources
    _plugins: dict[str, BaseModel] = field(default_factory=dict)

    def plugin(self, name: str, model: type[M]) -> M:
        """The table `[plugins.NAME]`, checked by the plugin's model. Raises ConfigError naming every wrong key."""
        checked, problems = _plugin(name, model, self.sources)
        if checked is None or problems:
            raise ConfigError("\n".join(problems))
        self._plugins[name] = checked
        hide(self.secrets())
        return checked

    def rows(self) -> list[Row]:
        """All settings, and those of the plugins that were checked so far. Of other plugins' tables only the keys."""
        found = _rows("", TopSettings(handlers=self.handlers), self.sources)
        found += [row for name in SECTIONS for row in _rows(name, getattr(self, name), self.sources)]
        for name in sorted({*self._plugins, *self.plugin_tables()}):
            table = f"{PLUGINS}{name}"
            if name in self._plugins:
                found += _rows(table, self._plugins[name], self.sources)
            else:
                keys = [f"{table}.{key}" for key in self.plugin_tables()[name]]
                found += [Row(key, HIDDEN, self.sources.place(key)) for key in keys]
        return found

    def plugin_tables(self) -> Mapping[str, Mapping[str, Any]]:
        """The tables under `[plugins]` in `carex.toml`, unchecked."""
        return {name: _mapping(table) for name, table in _mapping(self.sources.tables.get("plugins")).items()}

    def secrets(self) -> frozenset[str]:
        """What must never be written anywhere: every secret setting, those of the plugins checked so far, and every
        password and webhook secret in any URL of the environment, `.env` and `carex.toml`."""
        models = [*(getattr(self, name) for name in SECTIONS), *self._plugins.values()]
        whole = {secret for model in models for secret in _secret_fields(model)}
        inside = {secret for text in [*self.sources.texts(), *whole] for secret in secrets_in(text)}
        inside |= {part for secret in whole for part in header_secrets(secret)}
        return frozenset(secret for secret in whole | inside if len(secret) >= SHORTEST)


def load(
    home: Path, config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> Settings:
    """Read and check every setting. `flags` are keyed `server.port`; None means that the flag was not given. From then
    on this process says none of their secrets (see `masking.redact`).

    Raises ConfigError with one line for each thing that is wrong, naming file and line or variable, never a secret.
    """
    home = home.absolute()
    sources = gather(home, config, flags, os.environ if environ is None else environ)
    sections, wrong = _sections(sources)
    if wrong:
        raise ConfigError("\n".join(wrong))
    if sections["queue"].url == "sqlite":
        sections["queue"] = sections["queue"].model_copy(update={"url": f"sqlite://{home / 'data' / 'queue.db'}"})
    settings = Settings(home=home, handlers=sections.pop("").handlers, sources=sources, **sections)
    hide(settings.secrets())
    return settings


def problems(
    home: Path,
    config: Path | None,
    models: Mapping[str, type[BaseModel] | None],
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """Everything that is wrong with any setting. `models` are the plugins', None for one that cannot be checked."""
    try:
        sources = gather(home.absolute(), config, {}, os.environ if environ is None else environ)
    except ConfigError as error:
        return [error.message]
    found = _sections(sources)[1]
    for name, model in models.items():
        found += _plugin(name, model, sources)[1] if model else []
    strangers = [name for name in _mapping(sources.tables.get("plugins")) if name not in models]
    return found + [f"{sources.place(f'{PLUGINS}{name}')}: no plugin {name} is installed." for name in strangers]


def _sections(sources: Sources) -> tuple[dict[str, Any], list[str]]:
    """Carex's own tables, '' being the top, and what is wrong with them or stands beside them."""
    wrong = sources.unknown_keys("", [*TopSettings.model_fields, *SECTIONS, "plugins"])
    keys = [f"{name}.{key}" for name, model in SECTIONS.items() for key in model.model_fields]
    keys += TopSettings.model_fields
    wrong += sources.unknown_variables(keys, "CAREX_", besides=env_name(PLUGINS))
    plugins = sources.tables.get("plugins", {})
    tables = {"plugins": plugins, **{f"{PLUGINS}{name}": table for name, table in _mapping(plugins).items()}}
    for key, table in tables.items():
        if not isinstance(table, Mapping):
            wrong.append(f"{sources.place(key)}: {key} must be a table: [{key}].")
    sections: dict[str, Any] = {}
    models: Mapping[str, type[Section]] = {"": TopSettings, **SECTIONS}
    for name, model in models.items():
        sections[name], more = _check(name, model, sources)
        wrong += more
    return sections, wrong


def _plugin(name: str, model: type[M], sources: Sources) -> tuple[M | None, list[str]]:
    table = f"{PLUGINS}{name}"
    checked, wrong = _check(table, model, sources)
    keys = [f"{table}.{key}" for key in model.model_fields]
    return checked, wrong + sources.unknown_variables(keys, f"{env_name(table)}__")


def _check(table: str, model: type[M], sources: Sources) -> tuple[M | None, list[str]]:
    """One table's settings, or what is wrong with them."""
    problems = sources.unknown_keys(table, model.model_fields) if table else []
    given: dict[str, Given] = {}
    for name, info in model.model_fields.items():
        try:
            found = sources.find(f"{table}.{name}".lstrip("."), info)
        except ConfigError as error:
            problems.append(error.message)
            continue
        if found is not None:
            given[name] = found
    try:
        return model.model_validate({name: each.value for name, each in given.items()}), problems
    except ValidationError as error:
        return None, problems + list(_explain(error, table, model, given))


def _explain(error: ValidationError, table: str, model: type[BaseModel], given: Mapping[str, Given]) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(each["loc"][0]) if each["loc"] else ""
        key = ".".join(filter(None, [table, *map(str, each["loc"])]))
        if each["type"] == "missing" and name in model.model_fields and name not in given:
            variable = kept_name(model.model_fields[name]) or env_name(key)
            yield f"{key} is not set. Set {variable} in the environment or in .env, or {name} under [{table}]."
            continue
        reason = each["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
        if name in given:
            value = str(given[name].value)
            reason = reason.replace(value, HIDDEN) if len(value) >= SHORTEST else reason
            yield f"{given[name].origin}: {key}: {reason}."
        else:
            yield f"{key}: {reason}."


def _rows(table: str, model: BaseModel, sources: Sources) -> list[Row]:
    found = []
    for name, info in type(model).model_fields.items():
        key = f"{table}.{name}".lstrip(".")
        given = sources.find(key, info)
        found.append(Row(key, _shown(getattr(model, name)), given.origin if given else "default"))
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return mask_secret(value.get_secret_value())
    if isinstance(value, (str, Path)):
        return mask(str(value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_shown(each) for each in value]
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {name: _shown(each) for name, each in value.items()}
    return value


def _secret_fields(model: BaseModel) -> Iterator[str]:
    for name, described in type(model).model_fields.items():
        value = getattr(model, name)
        if value == described.default:  # everybody knows it: RabbitMQ's `guest` hides nothing
            continue
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secret_fields(value)
        elif isinstance(value, dict):
            yield from (each.get_secret_value() for each in value.values() if isinstance(each, SecretStr))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
