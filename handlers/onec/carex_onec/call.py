"""`1c_call_service`: an HTTP service of the infobase, whose methods and answers are its programmer's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from carex import BpmnError, Context, Fail, Retry, Task, Wait
from carex_onec import plugin
from carex_onec.marks import mark_of

if TYPE_CHECKING:
    from carex_onec.client import Answer, Infobase

Path = Annotated[str, Field(pattern=r"^/?[\w~-][\w\-.~ ]*(/[\w~-][\w\-.~ ]*)*/?$", max_length=1000)]
BUSY_DELAY = 10.0
BUSINESS = {400: "INVALID", 404: "NOT_FOUND", 409: "CONFLICT", 422: "INVALID"}
"""What a service's refusals mean to a process."""


@dataclass(frozen=True)
class ServiceCall:
    """What to ask of which service; `path` is below hs/, as in carex/v1/sync.

    With `repeatable` the service knows a repetition by the header Idempotency-Key, or can do it twice without harm.
    What only reads, GET, is repeatable anyway.
    """

    path: Path
    body: Any = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    query: dict[str, Any] = field(default_factory=dict)
    repeatable: bool = False


@plugin.handler("1c_call_service", attempts=8, timeout=900.0)
async def call_service(asked: ServiceCall, ctx: Context) -> dict[str, Any]:
    """Call an HTTP service of 1C and give back what it says."""
    infobase: Infobase = ctx.client
    path = asked.path.strip("/")
    repeatable = asked.repeatable or asked.method == "GET"
    if not repeatable and ctx.task.attempt > 1:
        # Only a crash leads here: whatever ends in words does not try this again.
        raise Fail(f"/hs/{path}: an earlier attempt broke off, and nobody knows whether 1C did it: look there")
    query = {name: str(value) for name, value in asked.query.items()}
    answer = await infobase.call(
        asked.method, path, asked.body, query=query, headers=key_header(ctx.task), repeatable=repeatable
    )
    return {"status": answer.status, "body": conclude(infobase, path, answer, repeatable)}


def conclude(infobase: Infobase, path: str, answer: Answer, repeatable: bool = True) -> Any:
    """What the service gives, or the outcome that its refusal means: see BUSINESS."""
    body, status = answer.body, answer.status
    if status < 300:
        return body
    reason = f"/hs/{path}: status {status}: {infobase.sealed(_said(body))}"
    if status in BUSINESS:
        errors = body.get("errors") if isinstance(body, Mapping) else None
        raise BpmnError(BUSINESS[status], reason, {"errors": errors if errors is not None else body})
    if status in (429, 503):
        given = answer.headers.get("retry-after", "")
        raise Wait(reason, float(given) if given.isascii() and given.isdigit() else BUSY_DELAY)
    if status >= 500 and repeatable:
        raise Retry(reason)
    raise Fail(f"{reason}. Nobody knows whether it was done" if status >= 500 else reason)


def key_header(task: Task) -> dict[str, str]:
    """Headers take a few letters only; a key with others is sent as a digest of it."""
    mark = mark_of(task)
    plain = len(mark) <= 200 and all("!" <= letter <= "~" for letter in mark)
    return {"Idempotency-Key": mark if plain else hashlib.sha256(mark.encode()).hexdigest()}


def _said(body: Any) -> str:
    if isinstance(body, Mapping):
        for name in ("message", "error", "errors", "description"):
            if body.get(name):
                return str(body[name])
    return str(body)
