"""Secrets inside values: a Bitrix24 webhook carries one in its path, other URLs a password before the @."""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "***"
SHORTEST = 4
"""Anything shorter is not looked for in logs: it would blot out half of every line."""

_USERINFO = re.compile(r"(?<=://)\S*(?=@)")
_WEBHOOK = re.compile(r"(/rest/(?:api/)?\d+/)([^/\s?#]+)")
_SAFE_URL = re.compile(r"https?://[^/\s@?#]+/rest/(?:api/)?\d+/\*{3}/?", re.IGNORECASE)


def mask(text: str) -> str:
    """The text with the secrets of its URLs hidden: `redis://***@host/0`, `https://portal/rest/1/***/`."""
    return _WEBHOOK.sub(rf"\1{HIDDEN}", _USERINFO.sub(HIDDEN, text))


def mask_secret(text: str) -> str:
    """A secret as it may be shown: of a webhook's URL the portal and the user remain, of anything else nothing."""
    masked = mask(text)
    return masked if _SAFE_URL.fullmatch(masked) else HIDDEN


def secrets_in(text: str) -> set[str]:
    """The passwords and webhook secrets in the text's URLs, as written and decoded."""
    passwords = [match.group().partition(":")[2] for match in _USERINFO.finditer(text)]
    found = [*passwords, *(match.group(2) for match in _WEBHOOK.finditer(text))]
    return {form for secret in found for form in (secret, unquote(secret)) if len(form) >= SHORTEST}
