"""What a plugin may declare: a mistake is refused where it is made, with the function, its file and its line."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from carex import Context, Plugin
from carex.errors import ConfigError


async def fine(payload: dict[str, Any], ctx: Context) -> None: ...
async def swapped(ctx: Context, payload: dict[str, Any]) -> None: ...
async def swapped_names(ctx, payload) -> None: ...  # type: ignore[no-untyped-def]
async def keyword_only(payload: dict[str, Any], *, ctx: Context) -> None: ...
async def starred(payload: dict[str, Any], *ctx: Context) -> None: ...
async def nameless(payload: Nowhere, ctx: Context) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def generator(payload: dict[str, Any], ctx: Context) -> Iterator[int]:
    yield 1


async def async_generator(payload: dict[str, Any], ctx: Context) -> AsyncIterator[int]:
    yield 1


class Yielding:
    def __call__(self, payload: dict[str, Any], ctx: Context) -> Iterator[int]:
        yield 1


class Made:
    def __init__(self, payload: dict[str, Any], ctx: Context) -> None: ...


@pytest.mark.parametrize("type", ["1c_get", "send-sms", "a.b:c", "приветствие", "_x", "x" * 200])
def test_a_task_type_is_a_word(type: str) -> None:
    plugin = Plugin("desk")
    plugin.handler(type)(fine)
    assert [*plugin.handlers] == [type]


@pytest.mark.parametrize("type", [None, 3, "", "*", "a*", "a\nb", "a/b", " a", "a b", "-x", ".", "..", "a#", "x" * 201])
def test_what_is_no_word_is_refused_with_the_functions_place(type: Any) -> None:
    with pytest.raises(ConfigError, match=r"fine \(.*test_declared.py:\d+\): .* cannot be a task type"):
        Plugin("desk").handler(type)(fine)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (swapped, "must take the payload first"),
        (swapped_names, "must take the payload first"),
        (keyword_only, "must take two parameters"),
        (starred, "must take two parameters"),
        (nameless, "the annotations cannot be resolved"),
        (generator, "must return its result"),
        (async_generator, "must return its result"),
        (Yielding(), "must return its result"),
        (Made, "must be a function"),
        (3, "must be a function"),
    ],
)
def test_a_function_that_is_no_handler_is_refused(function: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Plugin("desk").handler("desk_ring")(function)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "3", None])
def test_attempts_are_counted(attempts: Any) -> None:
    with pytest.raises(ConfigError, match=r"fine .*: attempts must be a whole number of at least 1"):
        Plugin("desk").handler("desk_ring", attempts=attempts)(fine)


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan, math.inf, True, "5", None])
def test_a_timeout_is_seconds(timeout: Any) -> None:
    with pytest.raises(ConfigError, match=r"fine .*: timeout must be seconds"):
        Plugin("desk").handler("desk_ring", timeout=timeout)(fine)


@pytest.mark.parametrize(("decorator", "example"), [("handler", "'name'"), ("webhook", "'/Path'")])
def test_without_parentheses_the_right_form_is_said(decorator: str, example: str) -> None:
    with pytest.raises(ConfigError) as raised:
        getattr(Plugin("desk"), decorator)(fine)
    assert f"write @plugin.{decorator}({example})" in raised.value.message


@pytest.mark.parametrize("path", ["/CarexRandom", "/desk/ring", "/healthy", "/звонок"])
def test_a_webhook_has_a_path(path: str) -> None:
    plugin = Plugin("desk")
    plugin.webhook(path)(lambda call: None)
    assert [*plugin.webhooks] == [path]


@pytest.mark.parametrize(
    "path",
    [
        *(None, "", "/", "desk", "/a b", "/x{y}", "/x?y", "/../x", "//x", "/x/"),
        *("/health", "/metrics", "/ready", "/docs", "/tasks/x", "/errors/retry", "/in/x/y", "/openapi.json"),
    ],
)
def test_a_path_that_is_none_or_carexs_own_is_refused(path: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be a webhook's path"):
        Plugin("desk").webhook(path)(lambda call: None)


@pytest.mark.parametrize("mistake", [{"settings": 3}, {"settings": dict}, {"client": "x"}, {"api": "2"}, {"api": 0}])
def test_a_plugins_own_mistakes_are_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Plugin 'desk': {next(iter(mistake))} must be"):
        Plugin("desk", **mistake)


class Odd:
    """Nothing that pydantic knows."""


async def odd(payload: Odd, ctx: Context) -> None: ...


@pytest.mark.parametrize("ask", ["prepare", "schema"])
def test_an_annotation_that_no_payload_can_be_is_named_with_its_function(ask: str) -> None:
    plugin = Plugin("desk")
    plugin.handler("desk_odd")(odd)
    with pytest.raises(ConfigError, match=r"odd \(.*test_declared.py:\d+\): the payload of desk_odd cannot be"):
        getattr(plugin.handlers["desk_odd"], ask)()
