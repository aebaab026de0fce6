"""One attempt at a task: the only place where exceptions become outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import math
from typing import Any

import anyio
import anyio.to_thread
from loguru import logger

from carex.context import Context
from carex.errors import CarexError, Unreachable
from carex.plugin import Handler
from carex.task import BpmnError, Done, Fail, Outcome, Retry, Task, Unfinished, Wait

LONGEST_REASON = 2000
STORAGE_DELAY = 5.0


async def run(handler: Handler, task: Task, ctx: Context, threads: anyio.CapacityLimiter | None = None) -> Outcome:
    """Run the handler once, within its timeout, and say how it ended, in values that every queue can store.

    What the handler raises decides: an outcome is taken as it is, anything else is a `Retry`; a payload that does not
    fit is a `Fail`. Only the cancellation of the caller passes through.
    """
    me = asyncio.current_task()
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        if me is not None:
            me.cancel()

    timer = asyncio.get_running_loop().call_later(handler.timeout, expire)
    try:
        problems = None
        try:
            payload = handler.parse(task.payload)
        except ValueError:
            problems = handler.problems(task.payload)
        if problems is not None:
            return Fail(_text("; ".join(f"{each['field']}: {each['message']}" for each in problems)))
        if handler.is_async:
            result = await handler.function(payload, ctx)
        else:
            result = await _in_thread(handler, payload, ctx, threads)
            if inspect.isawaitable(result):  # a plain function around an async one
                result = await result
        return _plain(result) if isinstance(result, Unfinished) else _done(result)
    except Unfinished as outcome:
        return _plain(outcome)
    except asyncio.CancelledError:
        if not expired:
            raise
        if me is not None and hasattr(me, "uncancel"):
            me.uncancel()
        return Retry(f"timed out after {handler.timeout:g} s")
    except Unreachable as error:
        return Wait(_text(error.message), STORAGE_DELAY)
    except CarexError as error:
        return Fail(_text(error))  # settings or usage: trying again would not help
    except BaseException as error:  # noqa: BLE001 - a handler's SystemExit is its own failure, not ours
        logger.bind(task_id=task.id, attempt=task.attempt).opt(exception=error).debug("{} raised", task.type)
        return Retry(_text(f"{type(error).__name__}: {_text(error)}"))
    finally:
        timer.cancel()


async def _in_thread(handler: Handler, payload: Any, ctx: Context, threads: anyio.CapacityLimiter | None) -> Any:
    """Run a plain function in a thread. One that outlives its timeout keeps its place among them until it ends."""
    loop, place = asyncio.get_running_loop(), object()
    if threads is not None:
        await threads.acquire_on_behalf_of(place)

    def call() -> Any:
        try:
            return handler.function(payload, ctx)
        finally:
            if threads is not None:
                with contextlib.suppress(RuntimeError):  # the loop has ended, and the places with it
                    loop.call_soon_threadsafe(threads.release_on_behalf_of, place)

    return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(math.inf))


def _plain(outcome: Unfinished) -> Outcome:
    """Exactly one of the four, whatever a handler put into it or derived from it."""
    reason = _text(outcome.reason)
    if isinstance(outcome, BpmnError):
        return BpmnError(_text(outcome.code), reason, outcome.variables)
    if isinstance(outcome, (Retry, Wait)):
        delay = outcome.delay
        if delay is None and isinstance(outcome, Retry):
            return Retry(reason)
        if not isinstance(delay, (int, float)) or not 0 <= delay < math.inf:
            return Fail(
                f"The delay of a {type(outcome).__name__} must be seconds, not {delay!r:.40}. It said: {reason}"
            )
        return Retry(reason, delay) if isinstance(outcome, Retry) else Wait(reason, delay)
    return Fail(reason)


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a stranger's __str__
        text = f"a {type(value).__name__} that cannot be shown"
    return text.encode("utf-8", "backslashreplace").decode()[:LONGEST_REASON]


def _done(result: Any) -> Outcome:
    done = result if isinstance(result, Done) else Done(result)
    if done.result is not None:
        try:
            json.dumps(done.result, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            return Fail(_text(f"The handler did its work, but its result cannot be stored as JSON: {error}"))
    return done
