"""E-mail addresses: written by people, sent to servers, never with anything else inside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.errors import NonASCIILocalPartDefect, ObsoleteHeaderDefect
from email.headerregistry import Address
from email.policy import default
from functools import partial
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORGIVEN = (NonASCIILocalPartDefect, ObsoleteHeaderDefect)
"""Whether a server takes a local part that is not ASCII is its own matter; a dot in `Anna P. <…>` does no harm."""
_LOCAL = re.compile(r"[^\s\"(),:;<>@\[\\\]]{1,64}")
_DOMAIN = re.compile(r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def parse(given: str | Sequence[str]) -> tuple[Address, ...]:
    """The addresses in a text, separated by commas, or in a list of texts; domains as they go over the wire.

    Raises ValueError that names what is no address.
    """
    texts = [given] if isinstance(given, str) else given
    return tuple(address for text in texts for address in _parsed(text))


def _parsed(text: str) -> tuple[Address, ...]:
    bad = partial(ValueError, f"{text[:100]!r} is not an e-mail address")
    if not text.strip():
        return ()
    if _CONTROL.search(text):
        raise bad()
    try:
        header: Any = default.header_factory("To", text)
        found = tuple(header.addresses)
    except (ValueError, IndexError, AttributeError):  # the standard library's parser stumbles over some
        raise bad() from None
    if not found or not all(isinstance(each, _FORGIVEN) for each in header.defects):
        raise bad()
    return tuple(_checked(each, bad) for each in found)


def _checked(address: Address, bad: Any) -> Address:
    try:
        domain = address.domain.lower().encode("idna").decode()
    except UnicodeError:
        raise bad() from None
    if not (_LOCAL.fullmatch(address.username) and address.username.isprintable()) or not _DOMAIN.fullmatch(domain):
        raise bad()
    return Address(address.display_name, address.username, domain)
