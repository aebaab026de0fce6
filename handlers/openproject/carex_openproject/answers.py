"""What an answer of OpenProject means: one pure function over the status and the body.

Source: the API's own documentation. Errors are told apart by the last part of their identifier and by the status,
never by the message, which is in the language of the token's owner.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Kind(Enum):
    """What an answer says about the request."""

    DONE = auto()
    BUSY = auto()
    """Too many requests; it was not carried out."""
    MISCONFIGURED = auto()
    """Nothing will work until a person changes a setting."""
    DENIED = auto()
    """The token's owner may see this, but not do that."""
    MISSING = auto()
    """There is no such thing, or the token's owner may not see it."""
    CONFLICT = auto()
    """Somebody else changed it since it was read."""
    INVALID = auto()
    """Values that OpenProject does not take."""
    REFUSED = auto()
    """A request that it does not understand: sending it again would not help."""
    CRASHED = auto()
    """OpenProject itself reports an internal error; it may have been carried out."""
    OUTAGE = auto()
    """No answer of OpenProject's; it may have been carried out."""


@dataclass(frozen=True)
class Verdict:
    """An answer, understood."""

    kind: Kind
    reason: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with which attribute."""
    delay: float = 0.0
    """Seconds after which too many requests may come again."""


_STATUSES = {
    400: Kind.REFUSED,
    401: Kind.MISCONFIGURED,
    403: Kind.DENIED,
    404: Kind.MISSING,
    406: Kind.REFUSED,
    408: Kind.OUTAGE,
    409: Kind.CONFLICT,
    415: Kind.REFUSED,
    422: Kind.INVALID,
    429: Kind.BUSY,
    500: Kind.CRASHED,
    501: Kind.REFUSED,
}
_TOKEN = "OpenProject does not take the token: create one under My account → Access tokens → API, and set " + (
    "CAREX_PLUGINS__OPENPROJECT__TOKEN"
)
_ELSEWHERE = "this is not the API of OpenProject: check plugins.openproject.url"


def classify(status: int, body: Any) -> Verdict:
    """Understand an answer. `body` is the decoded JSON, or the text if it is no JSON."""
    ours = isinstance(body, Mapping) and isinstance(body.get("_type"), str)
    if 200 <= status < 300 and ours:
        return Verdict(Kind.DONE)
    said = f"status {status}: {plain(_words(body)) or 'not a word'}"
    if status in (401, 429) or (ours and status in _STATUSES):
        kind = _STATUSES[status]
        problems = _problems(body) if ours else {}
        reason = f"{_TOKEN} ({said})" if kind is Kind.MISCONFIGURED else _name_of(body, said) if ours else said
        return Verdict(kind, reason, problems)
    if status >= 500 or status == 408:
        return Verdict(Kind.OUTAGE, said)
    if ours:
        return Verdict(Kind.REFUSED, said)
    return Verdict(Kind.MISCONFIGURED, f"{_ELSEWHERE} ({said})")


def plain(text: str) -> str:
    """The text as one line without HTML."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", text)).split())


def _problems(body: Mapping[str, Any]) -> dict[str, str]:
    """The messages by attribute, of one error or of several at once. What is about none is under an empty name."""
    found: dict[str, str] = {}
    for each in _embedded(body).get("errors") or [body]:
        details = _embedded(each).get("details")
        attribute = str(details.get("attribute", "")) if isinstance(details, Mapping) else ""
        message = plain(str(each.get("message", ""))) if isinstance(each, Mapping) else plain(str(each))
        found[attribute] = f"{found[attribute]} {message}" if attribute in found else message
    return found


def _name_of(body: Mapping[str, Any], said: str) -> str:
    """What is wrong, with the error's own name and with each attribute that it is about."""
    name = str(body.get("errorIdentifier", "")).rpartition(":")[2]
    words = "; ".join(f"{where}: {text}" if where else text for where, text in _problems(body).items())
    return f"{name}: {words}" if name else said


def _embedded(body: Any) -> Mapping[str, Any]:
    found = body.get("_embedded") if isinstance(body, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _words(body: Any) -> str:
    if isinstance(body, Mapping):
        return str(body.get("message", ""))
    text = body if isinstance(body, str) else "" if body is None else repr(body)
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return title[1] if title else text
