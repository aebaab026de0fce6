"""What becomes of each variable of an old `.env`. Most names are Carex's too and work as they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from carex.errors import ConfigError
from carex.masking import HIDDEN, mask, mask_secret

KEPT, CHANGED, READ, DROPPED, UNKNOWN = "works as it is", "becomes", "read by migrate", "not needed", "unknown"


class Rule(NamedTuple):
    """A variable's fate. `shown` turns its value into what may be printed."""

    fate: str
    advice: str = ""
    shown: Callable[[str], str] = lambda value: HIDDEN


class Variable(NamedTuple):
    """A variable of the old installation as it may be shown."""

    name: str
    value: str
    fate: str
    advice: str


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file, their names in capitals: the old settings did not mind the case."""
    import io

    from dotenv import dotenv_values

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}.", "Name the file with --env.") from None
    found = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name.upper(): value.strip() for name, value in found.items() if value is not None}


def fates(values: Mapping[str, str], rules: Mapping[str, Rule]) -> list[Variable]:
    """What becomes of each variable, in the order of the file."""
    found = []
    for name, value in values.items():
        rule = rules.get(name, STRANGER)
        found.append(Variable(name, rule.shown(value) if value else "", rule.fate, rule.advice.replace("VALUE", value)))
    return found


def _plain(value: str) -> str:
    return value[:60]


def _url(value: str) -> str:
    return mask(value) if re.fullmatch(r"[a-z]+://\S+", value) else HIDDEN


STRANGER = Rule(UNKNOWN, "Carex does not know it and leaves it alone")

TASKS = {
    "REDIS_URL": Rule(KEPT, "then Carex keeps its queue there, too; without it, in data/queue.db", _url),
    "WEBHOOK_CAREX": Rule(KEPT, shown=mask_secret),
    "LOG_LEVEL": Rule(KEPT, shown=_plain),
    "TECH_ACCOUNT": Rule(
        CHANGED, "holders = [ID] under [plugins.bitrix24]: deals of this account are still to be given", _plain
    ),
    "TASKS": Rule(READ, "the list of waiting tasks", _plain),
    "TASKS_ERROR": Rule(READ, "the list of failed tasks; now `carex errors list`", _plain),
    "CAREX_RANDOM": Rule(READ, "the old task type; now bitrix_assign", _plain),
    "USERS": Rule(DROPPED, "what counts is the users' database; now `carex users`"),
    "HANDLERS": Rule(DROPPED, "handlers are found by themselves; a new one: `carex handlers new NAME`"),
}
"""The deal distributor's."""

_VHOST = Rule(CHANGED, 'vhost = "VALUE" under [rabbitmq]', _plain)
_TASKS_EXCHANGE = Rule(CHANGED, 'tasks_exchange = "VALUE" under [rabbitmq]', _plain)
_ANSWERS_EXCHANGE = Rule(CHANGED, 'responses_exchange = "VALUE" under [rabbitmq]', _plain)
_ANSWERS_QUEUE = Rule(CHANGED, 'responses_queue = "VALUE" under [rabbitmq]', _plain)
_TYPE = Rule(CHANGED, 'exchange_type = "VALUE" under [rabbitmq], unless it is "topic"', _plain)
_OWN_PACE = Rule(DROPPED, "the bridge waits for news and does not poll", _plain)
_NO_LIMIT = Rule(DROPPED, "the bridge times its own requests", _plain)
_ALTERNATE = Rule(DROPPED, "every topic has a route; the exchange may stay", _plain)
_MODELS = Rule(DROPPED, "models are kept as long as they are needed", _plain)

CAMUNDA = {
    "CAMUNDA_BASE_URL": Rule(KEPT, shown=_url),
    "CAMUNDA_WORKER_ID": Rule(KEPT, "so the old worker's locks and answers stay good", _plain),
    "CAMUNDA_MAX_TASKS": Rule(KEPT, shown=_plain),
    "CAMUNDA_LOCK_DURATION": Rule(
        KEPT, "milliseconds; the bridge prolongs locks while work goes on, so 600000 is enough", _plain
    ),
    "CAMUNDA_AUTH_USERNAME": Rule(KEPT, shown=_plain),
    "CAMUNDA_AUTH_PASSWORD": Rule(KEPT),
    "RABBITMQ_HOST": Rule(KEPT, shown=_plain),
    "RABBITMQ_PORT": Rule(KEPT, shown=_plain),
    "RABBITMQ_USERNAME": Rule(KEPT, shown=_plain),
    "RABBITMQ_PASSWORD": Rule(KEPT),
    "LOG_LEVEL": Rule(KEPT, shown=_plain),
    "RABBITMQ_VIRTUAL_HOST": _VHOST,
    "RABBITMQ_VHOST": _VHOST,
    "RABBITMQ_TASKS_EXCHANGE": _TASKS_EXCHANGE,
    "RABBITMQ_TASKS_EXCHANGE_NAME": _TASKS_EXCHANGE,
    "RABBITMQ_TASKS_EXCHANGE_TYPE": _TYPE,
    "RABBITMQ_RESPONSES_EXCHANGE": _ANSWERS_EXCHANGE,
    "RABBITMQ_RESPONSES_EXCHANGE_NAME": _ANSWERS_EXCHANGE,
    "RABBITMQ_RESPONSES_EXCHANGE_TYPE": Rule(DROPPED, "the exchange that is there is kept, whatever its type", _plain),
    "RABBITMQ_RESPONSES_QUEUE": _ANSWERS_QUEUE,
    "RABBITMQ_RESPONSES_QUEUE_NAME": _ANSWERS_QUEUE,
    "RABBITMQ_HEARTBEAT": Rule(CHANGED, "heartbeat = VALUE under [rabbitmq], in seconds; 30 is the default", _plain),
    "RABBITMQ_BLOCKED_TIMEOUT": _NO_LIMIT,
    "RABBITMQ_ALTERNATE_EXCHANGE": _ALTERNATE,
    "RABBITMQ_ALTERNATE_EXCHANGE_NAME": _ALTERNATE,
    "RABBITMQ_ALTERNATE_EXCHANGE_TYPE": _ALTERNATE,
    "RETRY_ATTEMPTS": Rule(CHANGED, "retries = VALUE under [camunda]", _plain),
    "RETRY_DELAY": Rule(CHANGED, "retry_timeout = VALUE under [camunda], in seconds", _plain),
    "CAMUNDA_TENANT_ID": Rule(
        DROPPED, "the bridge takes the tasks of every tenant that its user may see: give it a user of this one", _plain
    ),
    "CAMUNDA_AUTH_ENABLED": Rule(DROPPED, "without CAMUNDA_AUTH_USERNAME nobody logs in", _plain),
    "RESPONSE_HANDLER_ENABLED": Rule(DROPPED, "`carex camunda bridge --only dispatch` carries no answers", _plain),
    "CAMUNDA_ASYNC_TIMEOUT": _OWN_PACE,
    "CAMUNDA_ASYNC_RESPONSE_TIMEOUT": _OWN_PACE,
    "CAMUNDA_FETCH_INTERVAL": _OWN_PACE,
    "CAMUNDA_SLEEP_SECONDS": _OWN_PACE,
    "HEARTBEAT_INTERVAL": _OWN_PACE,
    "RESPONSE_PROCESSING_INTERVAL": _OWN_PACE,
    "CAMUNDA_HTTP_TIMEOUT": _NO_LIMIT,
    "CAMUNDA_HTTP_TIMEOUT_MILLIS": _NO_LIMIT,
    "CAMUNDA_TIMEOUT_DELTA": _NO_LIMIT,
    "CAMUNDA_TIMEOUT_DELTA_MILLIS": _NO_LIMIT,
    "CAMUNDA_INCLUDE_EXT_PROPS": Rule(DROPPED, "they always come", _plain),
    "CAMUNDA_INCLUDE_EXTENSION_PROPERTIES": Rule(DROPPED, "they always come", _plain),
    "CAMUNDA_DESERIALIZE_VALUES": Rule(DROPPED, "values go out as the engine has them, with their types", _plain),
    "CAMUNDA_SORTING": Rule(DROPPED, "by priority, as models say", _plain),
    "CAMUNDA_DEBUG": Rule(DROPPED, "LOG_LEVEL=DEBUG", _plain),
    "CAMUNDA_IS_DEBUG": Rule(DROPPED, "LOG_LEVEL=DEBUG", _plain),
    "DEBUG_SAVE_RESPONSE_MESSAGES": Rule(DROPPED, "LOG_LEVEL=DEBUG", _plain),
    "BPMN_CACHE_TTL_HOURS": _MODELS,
    "BPMN_CACHE_MAX_SIZE": _MODELS,
}
"""The Camunda worker's, with those of its later versions."""
