"""Requests in, plain values out. Size, brackets and JSON are checked here, so that nothing behind has to."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import parse_qsl

import anyio
from starlette.requests import ClientDisconnect, Request

from carex.plugin import Call
from carex.server.answers import Problem

MAX_DEPTH = 64
MAX_FIELDS = 1000
"""How deep names and JSON may nest, and how many fields a form may have: PHP's own defaults."""
MAX_DIGITS = 300
BODY_TIME = 30.0
"""Seconds in which a body has to arrive."""

_BRACKETS = re.compile(r"([^\[]+)((?:\[[^\]]*\])+)")


async def read_call(request: Request, max_body: int) -> Call:
    """A webhook's request. Its body may be a form, JSON or nothing."""
    query = nested(request.scope["query_string"].decode("utf-8", "replace"))
    body = await read_body(request, max_body)
    if not body:
        return Call(query)
    kind = _content_type(request)
    if kind == "application/x-www-form-urlencoded":
        return Call(query, nested(body.decode("utf-8", "replace")))
    if _is_json(kind):
        return Call(query, json=parse_json(body))
    if query:
        return Call(query)  # a robot's call that says all in its address is not lost for a body that nobody needs
    raise Problem(
        415, "unsupported_media_type", f"A body of type {kind or 'nothing'} is not understood.",
        "Send application/x-www-form-urlencoded or application/json.",
    )  # fmt: skip


async def read_json(request: Request, max_body: int) -> dict[str, Any]:
    """A body that must be a JSON object."""
    kind = _content_type(request)
    if not _is_json(kind):
        hint = "Send JSON and the header 'Content-Type: application/json'."
        raise Problem(415, "unsupported_media_type", f"A body of type {kind or 'nothing'} is not understood.", hint)
    found = parse_json(await read_body(request, max_body))
    if not isinstance(found, dict):
        fields = [{"field": "payload", "message": "must be a JSON object"}]
        raise Problem(
            422, "bad_payload", "The body must be a JSON object.", 'For instance {"deal_id": 1}.', fields=fields
        )
    return found


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is known to be longer than `limit` bytes: never is more than that in memory."""
    length = request.headers.get("content-length")
    if length is None and "transfer-encoding" not in request.headers:
        return b""
    if length is not None and length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        with anyio.fail_after(BODY_TIME):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise Problem(408, "too_slow", f"The body did not arrive within {BODY_TIME:g} s.") from None
    except ClientDisconnect:
        raise Problem(400, "incomplete_body", "The connection ended before the body did.") from None
    return b"".join(parts)


def _too_large(limit: int) -> Problem:
    return Problem(413, "too_large", f"The body is larger than {limit} bytes.", "The limit is server.max_body.")


def nested(text: str) -> dict[str, Any]:
    """Query or form fields, names with brackets as maps in maps, as PHP reads them: `document_id[2]=DEAL_1` is
    `{"document_id": {"2": "DEAL_1"}}`, and `a[]` takes the next free number. The last of two equal names wins; a name
    whose brackets do not fit is kept as it is."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Problem(400, "too_many_fields", f"A request may have up to {MAX_FIELDS} fields.") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise Problem(400, "bad_text", "A field contains a NUL character.")
        brackets = _BRACKETS.fullmatch(name) if "[" in name else None
        if brackets is None:
            found[name] = value
        else:
            _place(found, [brackets[1], *brackets[2][1:-1].split("][")], value)
    return found


def _place(found: dict[str, Any], path: list[str], value: str) -> None:
    if len(path) > MAX_DEPTH:
        raise Problem(400, "too_deep", f"A field's name nests deeper than {MAX_DEPTH} levels.")
    for key in path[:-1]:
        key = key or _next_number(found)
        inner = found.get(key)
        if not isinstance(inner, dict):
            inner = found[key] = {}
        found = inner
    found[path[-1] or _next_number(found)] = value


def _next_number(found: dict[str, Any]) -> str:
    return str(max((int(key) for key in found if key.isdecimal() and len(key) < 19), default=-1) + 1)


def parse_json(body: bytes) -> Any:
    """Strict JSON: what cannot be stored and read back everywhere, or means two things, is refused with a 400."""
    try:
        found = _DECODER.decode(body.decode("utf-8-sig"))  # 1C writes a byte order mark
        _check(found, MAX_DEPTH)
    except RecursionError:
        raise Problem(400, "bad_json", f"The body nests deeper than {MAX_DEPTH} levels.") from None
    except UnicodeError:
        raise Problem(400, "bad_json", "The body is not valid UTF-8.") from None
    except ValueError as error:
        raise Problem(400, "bad_json", f"The body is not valid JSON: {error}.") from None
    return found


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode()  # a lone surrogate is a UnicodeError
        if "\0" in value:
            raise ValueError("a text contains a NUL character")
    elif isinstance(value, (dict, list)):
        if depth == 0:
            raise RecursionError
        for each in value:
            _check(each, depth - 1)
        if isinstance(value, dict):
            for each in value.values():
                _check(each, depth - 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(kind: str) -> bool:
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
