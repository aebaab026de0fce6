"""Secrets inside values: a Bitrix24 webhook carries one in its path, other URLs a password before the @."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
SHORTEST = 4
"""Anything shorter is not looked for in logs: it would blot out half of every line."""
SHORTEST_IN_DATA = 12
"""Characters of a secret that is looked for in results: a password like `guest` must not spoil guest@example.org."""
SHORTEST_ENCODED = 8
"""Bytes of a secret that is looked for in base64 too: a shorter one would be found in every other word."""

_USERINFO = re.compile(r"(?<=://)\S*(?=@)")
_WEBHOOK = re.compile(r"(/rest/(?:api/)?\d+/)([^/\s?#]+)")
_HEADER = re.compile(r"[\w-]+:(?!//)\s*((?:\S+\s+)*(\S+))")
_SAFE_URL = re.compile(r"https?://[^/\s@?#]+/rest/(?:api/)?\d+/\*{3}/?", re.IGNORECASE)


def mask(text: str) -> str:
    """The text with the secrets of its URLs hidden: `redis://***@host/0`, `https://portal/rest/1/***/`."""
    return _WEBHOOK.sub(rf"\1{HIDDEN}", _USERINFO.sub(HIDDEN, text))


def mask_secret(text: str) -> str:
    """A secret as it may be shown: of a webhook's URL the portal and the user remain, of anything else nothing."""
    masked = mask(text)
    return masked if _SAFE_URL.fullmatch(masked) else HIDDEN


def header_secrets(secret: str) -> set[str]:
    """Of a secret that is an HTTP header, `Authorization: Bearer TOKEN`: what may show up without its name."""
    found = _HEADER.fullmatch(secret)
    return {part for part in found.groups() if len(part) >= SHORTEST} if found else set()


def secrets_in(text: str) -> set[str]:
    """The passwords and webhook secrets in the text's URLs, as written and decoded."""
    passwords = [match.group().partition(":")[2] for match in _USERINFO.finditer(text)]
    found = [*passwords, *(match.group(2) for match in _WEBHOOK.finditer(text))]
    return {form for secret in found for form in (secret, unquote(secret)) if len(form) >= SHORTEST}


# ------------------------------------------------------------------ what this process knows and must not say

_hidden: list[tuple[str, int]] = []  # what is written, and how much of it is enough to know it by if it was cut off


def hide(secrets: Iterable[str]) -> None:
    """From now on `redact` hides these, and no others, in every form in which they are written down."""
    global _hidden
    found = {form: _telling(secret, form) for secret in secrets for form in _forms(secret)}
    _hidden = sorted(found.items(), key=lambda each: len(each[0]), reverse=True)


def redact(text: str, shortest: int = SHORTEST) -> str:
    """The text without the secrets of the settings, for people: in the log, on the terminal, as a reason."""
    for secret, telling in _hidden:
        if secret[:telling] in text and len(secret) >= shortest:
            for length in range(len(secret), telling - 1, -1):
                text = text.replace(secret[:length], HIDDEN)
    return text


def redacted(value: Any) -> Any:
    """Data as JSON has them without secrets that are long enough not to be there by chance."""
    if isinstance(value, str):
        return redact(value, SHORTEST_IN_DATA)
    if isinstance(value, dict):
        return {redacted(key): redacted(each) for key, each in value.items()}
    return [redacted(each) for each in value] if isinstance(value, (list, tuple)) else value


_WRITTEN: tuple[Callable[[str], str], ...] = (
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: json.dumps(text)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: text.replace("\\", "\\\\"),
    lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
    lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
    lambda text: text.replace("&", "&amp;").replace('"', "&quot;").replace("'", "&#x27;"),
    lambda text: text.replace("&", "&amp;").replace('"', "&#34;").replace("'", "&#39;"),
)
"""In URLs, in JSON, as Python shows texts, in HTML. A secret of letters and digits is the same in all of them."""


def _telling(secret: str, form: str) -> int:
    """How many characters suffice: all of an address or a header, whose beginning is no secret."""
    return len(form) if "://" in secret or " " in secret else min(len(form), max(12, len(form) // 2))


def _forms(secret: str) -> set[str]:
    written = {secret}
    for _ in range(2):  # an exception's text within another's
        written |= {write(each) for write in _WRITTEN for each in written}
    for data in {secret.encode(), secret.encode("latin-1", "replace")}:
        if len(data) >= SHORTEST_ENCODED:
            written |= set(_in_base64(data))
    return written


def _in_base64(data: bytes) -> Iterator[str]:
    """What is the same whatever stands before and after it, as in `user:secret`."""
    for before in range(3):  # so many bytes precede it in a group of three; the edges mix with its neighbours
        whole = b64encode(bytes(before) + data).decode()
        core = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield from (core, core.replace("+", "-").replace("/", "_"))
