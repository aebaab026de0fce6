"""What became of a task, and failed tasks back to waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from carex.errors import NotFound
from carex.queue import Entry, Filter, Queue
from carex.server.answers import Problem, reply, within
from carex.server.decode import parse_json, read_body
from carex.server.gate import RETRY_ERRORS

if TYPE_CHECKING:
    from carex.settings import Settings

NO_STORE = {"Cache-Control": "no-store"}


class Which(BaseModel):
    """Which failed tasks; every given condition must hold, and without any it is all of them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    types: list[str] = Field(default=[], description="Task types; `bitrix_*` means every type that begins so.")
    since: float | None = Field(
        default=None, description="Only those that failed at or after this time, in Unix seconds."
    )
    match: str | None = Field(default=None, description="A part of the reason, the key or the payload.")


class Retried(BaseModel):
    retried: int


def add_routes(app: FastAPI, settings: Settings, queue: Queue) -> None:
    accept_timeout, max_body = settings.server.accept_timeout, settings.server.max_body

    @app.get("/tasks/{id}", summary="A task's state and outcome; times are Unix seconds", response_class=Response)
    async def show(id: Annotated[str, Path(description="As the answer to the put said.")]) -> Response:
        with within(accept_timeout):
            found = await queue.tasks(Filter(ids=[id]))
        if not found:
            raise NotFound(f"There is no task {id!r}.", "Finished tasks are kept for a time: see queue.keep_done.")
        return reply(200, _shown(found[0]))

    async def retry(where: Which) -> Response:
        chosen = Filter(states=["failed"], types=where.types, since=where.since, match=where.match)
        with within(accept_timeout):
            return reply(200, {"retried": await queue.requeue(chosen)}, NO_STORE)

    @app.get(RETRY_ERRORS, summary="All failed tasks wait again", response_model=Retried)
    async def retry_all() -> Response:
        return await retry(Which())

    body = {"content": {"application/json": {"schema": Which.model_json_schema()}}}

    @app.post(
        "/errors/retry", summary="Some or all failed tasks wait again", response_model=Retried,
        openapi_extra={"requestBody": body},
    )  # fmt: skip
    async def retry_some(request: Request) -> Response:
        given = await read_body(request, max_body)
        return await retry(_which(parse_json(given)) if given else Which())


def _which(given: Any) -> Which:
    try:
        return Which.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        fields = [{"field": ".".join(map(str, each["loc"])) or "body", "message": each["msg"]} for each in found]
        message = ", ".join(f"{each['field']}: {each['message']}" for each in fields)
        raise Problem(422, "bad_field", message, "It may have: types, since, match.", fields=fields) from None


def _shown(entry: Entry) -> dict[str, Any]:
    task = entry.task
    return {
        "id": task.id,
        "type": task.type,
        "state": entry.state,
        "attempt": task.attempt,
        "reason": entry.reason,
        "result": entry.result,
        "created": task.created,
        "due": task.due,
        "started": entry.started,
        "finished": entry.finished,
        "history": entry.history,
    }
