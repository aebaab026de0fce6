"""`http_request`: ask another system something over HTTP."""

from __future__ import annotations

import base64
import json as jsons
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import BeforeValidator

from carex import BpmnError, Context, Fail, Retry, Wait
from carex_services import plugin
from carex_services.letter import Text, mark_of

if TYPE_CHECKING:
    from carex_services import Outside
    from carex_services.web import Answer

METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH")
_REPEATABLE = METHODS[:5]
"""Asking twice is asking once (RFC 9110, 9.2.2)."""
_BUSINESS = (404, 409, 410, 412, 422)
"""Answers about the matter, not about how it was asked: a process may have a way to go on."""
_LATER = (408, 425, 429, 503)
"""The host did nothing, and says so."""
AGAIN = 30.0
"""Seconds until a host that cannot now is asked again, unless it says when."""
LONGEST_EXCERPT = 300
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]{0,4000}")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te", "upgrade", "expect"}


def _method(value: Any) -> Any:
    found = value.strip().upper() if isinstance(value, str) else value
    if found not in METHODS:
        raise ValueError(f"expected one of {', '.join(METHODS)}")
    return found


@dataclass(frozen=True)
class Request:
    """What to ask. At most one of `json`, `form` and `text` is its body.

    `repeatable` says of a POST or PATCH that the host recognises a repetition by its Idempotency-Key; others are
    repeated anyway. `expect` are the statuses that are no error; by default all of 200 to 299.
    """

    url: str
    method: Annotated[str, BeforeValidator(_method)] = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str | int | float] = field(default_factory=dict)
    json: Any = None
    form: dict[str, str | int | float] | None = None
    text: Text = ""
    repeatable: bool = False
    expect: tuple[int, ...] = ()


@plugin.handler("http_request", attempts=8, timeout=300.0)
async def http_request(request: Request, ctx: Context) -> dict[str, Any]:
    """Send an HTTP request to a host of `http_hosts`, and say what it answered."""
    from carex_services.web import NotAllowed, NotSent, Unknown, Useless

    outside: Outside = ctx.client
    headers, content = _assembled(request)
    headers.setdefault("Idempotency-Key", mark_of(ctx.task))
    repeatable = request.repeatable or request.method in _REPEATABLE
    try:
        answer = await outside.web.ask(request.method, _with_query(request), headers, content)
    except (NotAllowed, Useless) as error:
        raise Fail(str(error)) from None
    except NotSent as error:
        raise Wait(str(error), AGAIN) from None
    except Unknown as error:
        raise _unknown(str(error), request.method, repeatable) from None
    ctx.log.info("{} answered with HTTP {}", request.method, answer.status)
    return _judged(request, answer, repeatable)


def _judged(request: Request, answer: Answer, repeatable: bool) -> dict[str, Any]:
    status = answer.status
    if status in request.expect or (not request.expect and 200 <= status < 300):
        return _result(answer)
    said = f"HTTP {status}: {_excerpt(answer)}".rstrip(": ")
    if status in _LATER:
        raise Wait(said, AGAIN if answer.pause is None else answer.pause)
    if status >= 500 and status not in (501, 505):
        raise _unknown(said, request.method, repeatable, answer.pause)
    if status in _BUSINESS:
        raise BpmnError(f"HTTP_{status}", said, _result(answer))
    if status == 401:
        raise Fail(f"{said}. See http_headers")
    raise Fail(said)


def _unknown(said: str, method: str, repeatable: bool, pause: float | None = None) -> Retry | Fail:
    """Nobody knows whether the host did it."""
    if repeatable:
        return Retry(said, pause)
    return Fail(
        f"{said}. Nobody knows whether it was done, so the {method} is not sent again by itself. Where the host "
        "recognises an Idempotency-Key, say repeatable"
    )


def _assembled(request: Request) -> tuple[dict[str, str], bytes | None]:
    for name, value in request.headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Fail(f"header {name[:60]!r}: its name or its value has characters that cannot be sent")
        if name.lower() in _OURS:
            raise Fail(f"header {name!r} is not yours to set")
    headers = {name.title(): value for name, value in request.headers.items()}
    headers.setdefault("User-Agent", "Carex")
    bodies = [request.json is not None, request.form is not None, bool(request.text)]
    if sum(bodies) > 1:
        raise Fail("a request has one body: json, form or text")
    if request.json is not None:
        headers.setdefault("Content-Type", "application/json")
        return headers, jsons.dumps(request.json, ensure_ascii=False, sort_keys=True).encode()
    if request.form is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return headers, urlencode(request.form).encode()
    if request.text:
        headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        return headers, request.text.encode()
    return headers, None


def _with_query(request: Request) -> str:
    if not request.query:
        return request.url
    bare = request.url.partition("#")[0]
    return f"{bare}{'&' if '?' in bare else '?'}{urlencode(request.query, quote_via=quote)}"


def _result(answer: Answer) -> dict[str, Any]:
    return {"http_status": answer.status, "http_type": answer.type, "http_body": _body(answer)}


def _body(answer: Answer) -> Any:
    """JSON is parsed, text is text, and anything else is base64."""
    if not answer.body:
        return None
    is_json = answer.type == "application/json" or answer.type.endswith("+json")
    try:
        text = answer.body.decode("utf-8-sig" if is_json else answer.encoding)
        return jsons.loads(text, parse_constant=_no_number) if is_json else text
    except (UnicodeDecodeError, LookupError):
        return base64.b64encode(answer.body).decode()
    except (ValueError, RecursionError):
        return text  # it says that it is JSON; let who asked see what it is


def _excerpt(answer: Answer) -> str:
    return " ".join(answer.body[: 4 * LONGEST_EXCERPT].decode("utf-8", "replace").split())[:LONGEST_EXCERPT]


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
