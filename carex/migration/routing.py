"""The old Camunda worker's table of topics, read from its `config.py` without running it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import NamedTuple

from carex.camunda.routes import route_of
from carex.errors import ConfigError
from carex.settings import RabbitMQSettings

TABLE = "TOPIC_TO_SYSTEM_MAPPING"
PLACES = ("config.py", "camunda-worker/config.py")


class Moved(NamedTuple):
    """A topic whose tasks would go to another system than before."""

    topic: str
    before: str
    now: str


def find_config(folder: Path) -> Path | None:
    """The old worker's configuration below its checkout."""
    return next((folder / place for place in PLACES if (folder / place).is_file()), None)


def read_topics(file: Path) -> dict[str, str]:
    """Topic → system. Raises ConfigError if the file has no such table that can be read."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, SyntaxError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(getattr(target, "id", "") == TABLE for target in targets):
            try:
                found = ast.literal_eval(node.value)
                return {str(topic): str(system) for topic, system in dict(found).items()}
            except (ValueError, TypeError):
                raise ConfigError(
                    f"{file}:{node.lineno}: {TABLE} is not a plain table.",
                    "Carry its topics to rabbitmq.routes in carex.toml by hand.",
                ) from None
    raise ConfigError(f"{file} has no {TABLE}.", "Its topics, if any, have to be carried to rabbitmq.routes by hand.")


def differences(topics: Mapping[str, str], settings: RabbitMQSettings) -> list[Moved]:
    """The topics that Carex would route elsewhere."""
    routed = [Moved(topic, system, route_of(topic, {}, settings).system) for topic, system in topics.items()]
    return [each for each in routed if each.before != each.now]


def as_toml(topics: Mapping[str, str], moved: Sequence[Moved], settings: RabbitMQSettings) -> str:
    """A table of routes with which every topic goes where it went; '' if nothing has moved.

    The old worker also took the beginning of a topic for the topic, hence the patterns. The longest comes first, and
    topics that a shorter pattern would take away have one, too.
    """
    if not moved:
        return ""
    begun = tuple(each.topic for each in moved)
    patterns = {f"{topic}*": system for topic, system in topics.items() if topic.startswith(begun)}
    longest_first = sorted(patterns.items(), key=lambda route: -len(route[0]))
    rest = [(glob, system) for glob, system in settings.routes.items() if glob not in patterns]
    return "\n".join(["[rabbitmq.routes]", *(f"{dumps(glob)} = {dumps(to)}" for glob, to in [*longest_first, *rest])])
