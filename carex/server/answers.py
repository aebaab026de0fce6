"""What the server says. Every refusal has one shape: `{"error": {"code", "message", "hint"?, "fields"?}}`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import anyio
from starlette.exceptions import HTTPException
from starlette.responses import Response

from carex.errors import CarexError, ConfigError, NotFound, Refused, Unreachable

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

RETRY_AFTER = {"Retry-After": "5"}


class Problem(Exception):
    """A request is refused with this status; `code` is for programs, the rest for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        fields: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.fields = fields
        self.headers = headers


def reply(status: int, data: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(_encode(data).encode("utf-8", "replace"), status, headers, "application/json")


def refusal(error: Exception) -> Response:
    """The answer to a request that ended in this error. An error that nobody expected is logged under an id."""
    problem = _problem(error)
    said: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.hint:
        said["hint"] = problem.hint
    if problem.fields:
        said["fields"] = list(problem.fields)
    return reply(problem.status, {"error": said}, problem.headers)


@contextmanager
def within(seconds: float, otherwise: str = "Try again.") -> Iterator[None]:
    """Storage that takes longer to answer is a 503."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise too_late(otherwise) from None


def too_late(otherwise: str) -> Problem:
    message = "The storage did not answer in time (server.accept_timeout)."
    return Problem(503, "storage_timeout", message, otherwise, headers=RETRY_AFTER)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        code = HTTPStatus(error.status_code).name.lower()
        return Problem(error.status_code, code, f"{error.detail}.", headers=error.headers)
    if isinstance(error, NotFound):
        return Problem(404, "not_found", error.message, error.hint)
    if isinstance(error, Refused):
        return Problem(409, "refused", error.message, error.hint)
    if isinstance(error, Unreachable):
        return Problem(503, "storage_unreachable", error.message, error.hint, headers=RETRY_AFTER)
    if isinstance(error, ConfigError):  # the storage was set up otherwise since we started
        return Problem(503, "storage_unfit", error.message, error.hint, headers=RETRY_AFTER)
    return _unexpected(error)


def _unexpected(error: Exception) -> Problem:
    from loguru import logger

    id = os.urandom(6).hex()
    logger.opt(exception=error).error("A request failed unexpectedly, error id {}", id)
    hint = f"The log has the details: look for {id}."
    message = error.message if isinstance(error, CarexError) else "This failed for a reason that Carex does not know."
    return Problem(500, "unexpected", message, hint)
