"""How an attempt's end becomes an outcome, whatever a handler does."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from carex import BpmnError, Context, Done, Fail, Plugin, Retry, Task, Wait
from carex.errors import ConfigError, Unreachable
from carex.run import run


@dataclass
class Order:
    n: int = 0

    def __post_init__(self) -> None:
        if self.n < 0:
            raise KeyError("negative")


def outcome_of(function: Callable[..., Any], payload: dict[str, Any] | None = None, **options: Any) -> Any:
    plugin = Plugin("tested")
    plugin.handler("tested", **options)(function)
    task = Task("tested", payload or {})
    return asyncio.run(run(plugin.handlers["tested"], task, Context(task)))


def raising(error: BaseException) -> Callable[..., Any]:
    async def handler(order: Order, ctx: Context) -> None:
        raise error

    return handler


def returning(result: Any) -> Callable[..., Any]:
    async def handler(order: Order, ctx: Context) -> Any:
        return result

    return handler


class Busy(Wait):
    """An author's own kind of wait."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Wait("closed", 60), Wait("closed", 60)),
        (Retry("again", 5), Retry("again", 5)),
        (Retry("again"), Retry("again")),
        (Fail("never"), Fail("never")),
        (BpmnError("E", "caught", {"a": 1}), BpmnError("E", "caught", {"a": 1})),
        (Busy("busy", 1), Wait("busy", 1)),
        (Fail(ValueError("not text")), Fail("not text")),  # type: ignore[arg-type]
        (RuntimeError("bites"), Retry("RuntimeError: bites")),
        (SystemExit(3), Retry("SystemExit: 3")),
        (Mute(), Retry("Mute: a Mute that cannot be shown")),
        (RuntimeError("half a \udcff"), Retry("RuntimeError: half a \\udcff")),
        (Unreachable("the file is locked"), Wait("the file is locked", 5.0)),
        (ConfigError("no such strategy"), Fail("no such strategy")),
    ],
)
def test_what_is_raised_decides(error: BaseException, expected: Any) -> None:
    found = outcome_of(raising(error))
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize("delay", ["5", float("nan"), float("inf"), -1, None])
def test_a_delay_that_is_no_length_of_time_fails_and_says_so(delay: Any) -> None:
    found = outcome_of(raising(Wait("closed", delay)))
    assert isinstance(found, Fail)
    assert "delay" in found.reason
    assert "closed" in found.reason


@pytest.mark.parametrize(
    ("result", "expected"),
    [(None, Done(None)), ({"имя": "Пётр"}, Done({"имя": "Пётр"})), (Done(1), Done(1)), (Fail("no"), Fail("no"))],
)
def test_what_is_returned_is_the_result(result: Any, expected: Any) -> None:
    assert outcome_of(returning(result)) == expected


@pytest.mark.parametrize("result", [object(), {"x": float("nan")}, "half a \udcff", {1, 2}])
def test_a_result_that_json_cannot_hold_fails_and_says_that_the_work_was_done(result: Any) -> None:
    found = outcome_of(returning(result))
    assert isinstance(found, Fail)
    assert "did its work" in found.reason


@pytest.mark.parametrize(
    ("payload", "kind", "part"),
    [({"n": "many"}, Fail, "n: "), ({"n": -1}, Retry, "KeyError")],
)
def test_a_payload_that_does_not_fit_ends_the_attempt(payload: dict[str, Any], kind: type, part: str) -> None:
    found = outcome_of(returning(1), payload)
    assert type(found) is kind
    assert part in found.reason


def test_an_async_handler_behind_a_plain_decorator_is_awaited() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def plain(*args: Any) -> Any:
            return function(*args)

        return plain

    assert outcome_of(logged(returning(7))) == Done(7)


def test_a_timeout_is_a_retry_and_cancellation_from_outside_passes_through() -> None:
    async def hanging(order: Order, ctx: Context) -> None:
        await asyncio.Event().wait()

    assert outcome_of(hanging, timeout=0.05) == Retry("timed out after 0.05 s")


def test_a_thread_that_hangs_keeps_its_place_so_that_threads_do_not_pile_up() -> None:
    release = threading.Event()
    plugin = Plugin("tested")

    @plugin.handler("tested", timeout=0.05)
    def hanging(order: Order, ctx: Context) -> None:
        release.wait(20)

    async def scenario() -> int:
        threads = anyio.CapacityLimiter(2)
        task = Task("tested")
        before = threading.active_count()
        attempts = (run(plugin.handlers["tested"], task, Context(task), threads) for _ in range(10))
        await asyncio.gather(*attempts)
        piled_up = threading.active_count() - before
        release.set()
        with anyio.fail_after(5):
            await threads.acquire_on_behalf_of("a later attempt")  # a place is free again
        return piled_up

    assert asyncio.run(scenario()) <= 2
