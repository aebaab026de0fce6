"""What an answer of 1C means: pure functions over the status and the body.

Source: the vendor's guide 8.3.27, §17.4.10, for OData's own codes. What else may come is the web server's, or the
platform's refusal to let anybody in, which is told by its words. Those statuses vary with version and web server.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


class Kind(Enum):
    """What an answer says about the request."""

    DONE = auto()
    SHUT = auto()
    """Nobody is let in: no licence is free, or the infobase is locked for maintenance. It was not carried out."""
    LOCKED = auto()
    """Somebody else's transaction holds the data. It was not carried out."""
    MISCONFIGURED = auto()
    """Nothing will work until a person changes a setting."""
    ELSEWHERE = auto()
    """This is no OData of an infobase: a wrong address, or not published."""
    UNPUBLISHED = auto()
    """The publication has no such entity, attribute or method."""
    DENIED = auto()
    """The user may log in, but not do that."""
    MISSING = auto()
    EXISTS = auto()
    """There is an object with this key already."""
    CONFLICT = auto()
    """Somebody else changed it since it was read."""
    INVALID = auto()
    """Values that 1C does not take."""
    REFUSED = auto()
    """A request that 1C does not understand: sending it again would not help."""
    CRASHED = auto()
    """An exception in 1C's code, with its text; it may have been carried out."""
    OUTAGE = auto()
    """No answer of 1C's; it may have been carried out."""


@dataclass(frozen=True)
class Verdict:
    """An answer, understood."""

    kind: Kind
    reason: str = ""


_CODES = {
    -1: Kind.CRASHED,
    1: Kind.INVALID,
    4: Kind.INVALID,
    5: Kind.INVALID,
    8: Kind.UNPUBLISHED,
    9: Kind.MISSING,
    10: Kind.UNPUBLISHED,
    11: Kind.UNPUBLISHED,
    15: Kind.EXISTS,
    17: Kind.UNPUBLISHED,
    20: Kind.DENIED,
}
_SHUT = re.compile(
    r"не (?:найден|обнаружен)\w*(?: \w+){0,2} лиценз|лиценз\w*(?: \w+){0,3} не (?:найден|обнаружен)"
    r"|(?:no|not)(?: \w+){0,3} licen[cs]e|licen[cs]e(?: \w+){0,3} not (?:found|available|detected)"
    r"|(?:сеанс|соединени)\w*(?: \w+){0,4} запрещен|монопольн|exclusive",
    re.IGNORECASE,
)
_LOCKED = re.compile(r"конфликт\w* блокиров|блокиров\w*.{0,60}ожидани|ожидани\w*.{0,40}блокиров|взаимоблокиров|deadlock"
                     r"|lock (?:conflict|request|timeout)", re.IGNORECASE)  # fmt: skip
_OVER = re.compile(
    r"сеанс\w*(?: \S+){0,3} (?:отсутству|удал|заверш|не най)"
    r"|session(?: \S+){0,3} (?:not found|missing|deleted|terminated|expired)",
    re.IGNORECASE,
)
_XML_ERROR = re.compile(
    r"<(?:\w+:)?code>\s*(?P<code>-?\d+)\s*</(?:\w+:)?code>\s*<(?:\w+:)?message[^>]*>(?P<text>.*?)</(?:\w+:)?message>",
    re.DOTALL,
)


def decoded(content: bytes, charset: str | None = None) -> Any:
    """The JSON, or the text if it is none. 1C begins bodies with a byte order mark, and calls JSON what it likes."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = _in_charset(content, charset or "cp1251")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def error_in(body: Any) -> tuple[int, str] | None:
    """The code and the message if the body is an error of OData's, in JSON or in XML."""
    if isinstance(body, Mapping):
        error = body.get("odata.error")
        if not isinstance(error, Mapping):
            return None
        message = error.get("message")
        text = message.get("value", "") if isinstance(message, Mapping) else message
        try:
            return int(str(error.get("code", "-1"))), plain(str(text or ""))
        except ValueError:
            return -1, plain(str(text or ""))
    found = _XML_ERROR.search(body) if isinstance(body, str) else None
    return (int(found["code"]), plain(found["text"])) if found else None


def classify(status: int, body: Any) -> Verdict:
    """Understand an answer of OData."""
    error = error_in(body)
    if 200 <= status < 300 and error is None:
        if isinstance(body, Mapping) or body == "":
            return Verdict(Kind.DONE)
        return Verdict(Kind.ELSEWHERE, _elsewhere(status, body))
    if error is None:
        return of_the_web_server(status, body)
    code, text = error
    said = f"{text or 'not a word'} (status {status}, code {code})"
    if status == 412:
        return Verdict(Kind.CONFLICT, said)
    kind = _CODES.get(code, Kind.REFUSED)
    if kind is Kind.CRASHED:
        kind = Kind.SHUT if _SHUT.search(text) else Kind.LOCKED if _LOCKED.search(text) else kind
    return Verdict(kind, said)


def of_the_web_server(status: int, body: Any) -> Verdict:
    """Understand what neither OData nor an HTTP service has said."""
    said = f"status {status}: {plain(title_of(body)) or 'not a word'}"
    if status in (402, 406) or _SHUT.search(plain(body) if isinstance(body, str) else ""):
        return Verdict(Kind.SHUT, f"1C lets nobody in, for want of a licence or for maintenance ({said})")
    if status == 401:
        return Verdict(Kind.MISCONFIGURED, f"1C does not take plugins.onec.user and its password ({said})")
    if status == 403:
        return Verdict(Kind.MISCONFIGURED, f"the web server lets nobody from here through ({said})")
    if status == 412:
        return Verdict(Kind.CONFLICT, said)
    if status >= 500 or status in (408, 429):
        return Verdict(Kind.OUTAGE, said)
    return Verdict(Kind.ELSEWHERE, _elsewhere(status, body))


def may_be_dead(status: int, body: Any) -> bool:
    """Whether this may say that the session is over. A service's own text, or a page of the web server's, may look the
    same: no source has the words."""
    return status in (400, 404, 406, 500) and not says_more(status, body)


def says_more(status: int, body: Any) -> bool:
    """Whether this is an answer out of a session: no refusal, or one in OData's form or in a service's JSON."""
    return 200 <= status < 300 or isinstance(body, (Mapping, list)) or error_in(body) is not None


def refused_alike(status: int, body: Any, other_status: int, other_body: Any) -> bool:
    """Whether two requests to different addresses were certainly refused at the door, because their session was over.

    An error inside gives the same page everywhere too, so a 500 has to name the session.
    """
    one, other = plain(str(body)), plain(str(other_body))
    if status != other_status or not may_be_dead(status, body) or not may_be_dead(other_status, other_body):
        return False
    return bool(_OVER.search(one) and _OVER.search(other)) or bool(status != 500 and one and one == other)


def plain(text: str) -> str:
    """The text as one line without tags."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", text)).split())


def title_of(body: Any) -> str:
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return title[1] if title else text


def _elsewhere(status: int, body: Any) -> str:
    said = f"status {status}: {plain(title_of(body)) or 'not a word'}"
    return f"this is not the OData of an infobase: check plugins.onec.url, and that OData is published ({said})"


def _in_charset(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace")
    except LookupError:
        return content.decode("cp1251", "replace")
