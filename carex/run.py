"""One attempt at a task: the only place where exceptions become outcomes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio.to_thread
from loguru import logger

from carex.context import Context
from carex.plugin import Handler
from carex.task import Done, Fail, Outcome, Retry, Task, Unfinished

LONGEST_REASON = 2000


async def run(handler: Handler, task: Task, ctx: Context, threads: anyio.CapacityLimiter | None = None) -> Outcome:
    """Run the handler once, within its timeout, and say how it ended.

    What the handler raises decides: an outcome is taken as it is, anything else is a `Retry`; a payload that does not
    fit is a `Fail`. Only the cancellation of the caller passes through.
    """
    try:
        payload = handler.parse(task.payload)
    except ValueError:
        problems = handler.problems(task.payload)
        return Fail("; ".join(f"{each['field']}: {each['message']}" for each in problems)[:LONGEST_REASON])

    me = asyncio.current_task()
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        if me is not None:
            me.cancel()

    timer = asyncio.get_running_loop().call_later(handler.timeout, expire)
    try:
        if handler.is_async:
            result = await handler.function(payload, ctx)
        else:
            result = await anyio.to_thread.run_sync(
                handler.function, payload, ctx, abandon_on_cancel=True, limiter=threads
            )
        return _done(result)
    except Unfinished as outcome:
        return outcome  # type: ignore[return-value]  # its four kinds are the other outcomes
    except asyncio.CancelledError:
        if not expired:
            raise
        if me is not None and hasattr(me, "uncancel"):
            me.uncancel()
        return Retry(f"timed out after {handler.timeout:g} s")
    except BaseException as error:  # noqa: BLE001 - a handler's SystemExit is its own failure, not ours
        logger.bind(task_id=task.id, attempt=task.attempt).opt(exception=error).debug("{} raised", task.type)
        return Retry(f"{type(error).__name__}: {error}"[:LONGEST_REASON])
    finally:
        timer.cancel()


def _done(result: Any) -> Outcome:
    done = result if isinstance(result, Done) else Done(result)
    if done.result is not None:
        try:
            json.dumps(done.result)
        except (TypeError, ValueError) as error:
            return Fail(f"The handler did its work, but its result cannot be stored as JSON: {error}")
    return done
