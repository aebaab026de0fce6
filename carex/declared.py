"""What may be declared with a plugin's decorators: names, paths and functions, looked at when the plugin is imported.

Everything here raises ConfigError that names the function, its file and its line.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any, get_type_hints

from carex.context import Context
from carex.errors import ConfigError

RESERVED = ("docs", "errors", "health", "in", "metrics", "openapi.json", "ready", "retry-errors", "tasks")
"""First parts of the paths that the server answers itself."""
LONGEST_TYPE = 200
"""Bytes of a task type: with its system before it, it is a routing key of RabbitMQ, which has 255 at most."""

_TYPE = re.compile(r"\w[\w.:-]*")  # it stands in addresses, in patterns, in routing keys and on command lines
_PATH = re.compile(r"(?:/\w[\w.~-]*)+")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def place(function: Any) -> str:
    """A function's name, file and line."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


def check_called(given: object, decorator: str, example: str) -> None:
    """A decorator is given a name; without parentheses it is given the function."""
    if callable(given):
        raise ConfigError(f"{place(given)}: write @plugin.{decorator}({example!r}), with the parentheses.")


def check_type(type: object, function: Any) -> None:
    if not isinstance(type, str) or not _TYPE.fullmatch(type) or len(type.encode()) > LONGEST_TYPE:
        raise ConfigError(
            f"{place(function)}: {type!r:.60} cannot be a task type: up to {LONGEST_TYPE} letters, digits and any of "
            "_ . : -, a letter, a digit or _ first."
        )


def check_limits(attempts: object, timeout: object, function: Any) -> None:
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
        raise ConfigError(f"{place(function)}: attempts must be a whole number of at least 1, not {attempts!r:.40}.")
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0 < timeout < math.inf:
        raise ConfigError(f"{place(function)}: timeout must be seconds, above 0, not {timeout!r:.40}.")


def check_path(path: object, function: Any) -> None:
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise ConfigError(
            f"{place(function)}: {path!r:.60} cannot be a webhook's path: /NAME or /NAME/NAME, "
            "each of letters, digits and any of _ . ~ -"
        )
    if path.split("/")[1] in RESERVED:
        raise ConfigError(f"{place(function)}: {path!r} cannot be a webhook's path: Carex itself answers there.")


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def check_plain(function: Any) -> None:
    """Refuse what gives no result when it is called: classes and generators."""
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"{place(function)} must be a function.")
    called = function if hasattr(function, "__code__") else type(function).__call__
    for each in (function, called):
        if inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
            raise ConfigError(f"{place(function)} must return its result; it has a yield.")


def payload_of(function: Callable[..., Any]) -> Any:
    """The annotation of a handler's first parameter, resolved now so that a mistake is no failed task."""
    check_plain(function)
    found = parameters(function)
    if len(found) != 2 or any(each.kind not in _POSITIONAL for each in found):
        raise ConfigError(f"{place(function)} must take two parameters: (payload, ctx).")
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's annotations come to
        raise ConfigError(f"{place(function)}: the annotations cannot be resolved: {error}") from None
    first = hints.get(found[0].name, dict[str, Any])
    if first is Context or found[0].name == "ctx":
        raise ConfigError(f"{place(function)} must take the payload first: (payload, ctx).")
    return first
