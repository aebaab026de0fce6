"""Which addresses may be called: the hosts of the setting `http_hosts`, and no private network behind their names.

The web address of a task comes from outside. Without this it could name what only this machine can reach: a database's
console, the cloud's keys (169.254.169.254), Carex itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

PORTS = {"https": 443, "http": 80}
_ENTRY = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-fA-F:.]+\]|(?:\*\.)?[\w-]+(?:\.[\w-]+)*)(?::(?P<port>\d{1,5}))?/?"
)
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>\d{1,5}))?(?=[/?]|$)", re.IGNORECASE
)
_STRANGE = re.compile(r"[\x00-\x20\x7f\\]|[^\x21-\x7e]")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses behind which are IPv4 ones (NAT64)."""
_OBSOLETE = ipaddress.ip_network("::/96")
"""Another such form, that of RFC 4291 2.5.5.1, which nobody needs; the loopback is in it too."""


class Entry(NamedTuple):
    """What an entry of `http_hosts` allows."""

    scheme: str
    host: str
    port: int
    written: str

    @classmethod
    def of(cls, written: str) -> Entry:
        """Raises ValueError if it is no host."""
        found = _ENTRY.fullmatch(written.strip())
        if not found:
            raise ValueError("expected hosts such as api.example.com, *.example.com:8443 or http://10.0.0.5:8080")
        scheme = found["scheme"] or "https"
        port = int(found["port"] or PORTS[scheme])
        if not 1 <= port <= 65535:
            raise ValueError(f"the port of {written.strip()} must be one from 1 to 65535")
        return cls(scheme, _plain(found["host"]), port, written)

    def allows(self, place: Place) -> bool:
        return (self.scheme, self.port) == (place.scheme, place.port) and fnmatchcase(place.host, self.host)


class Place(NamedTuple):
    """Where a web address leads. `url` is it without what never leaves the caller: the part after #."""

    scheme: str
    host: str
    port: int
    url: str

    def __str__(self) -> str:
        """For people, without the query, in which there may be secrets."""
        return self.url.partition("?")[0]


def place_of(url: str) -> Place:
    """Raises ValueError for what two readers could understand differently, and for passwords in the address."""
    bare = url.strip().partition("#")[0]
    if _STRANGE.search(bare):
        raise ValueError("the address has characters that must be written as %XX, or in a host's name as xn--")
    found = _URL.match(bare)
    if not found:
        raise ValueError("the address must be http(s)://HOST[:PORT]/…, without a name or password before the host")
    scheme = found["scheme"].lower()
    return Place(scheme, _plain(found["host"]), int(found["port"] or PORTS[scheme]), bare)


def find(place: Place, entries: Iterable[Entry]) -> Entry | None:
    """The entry that allows this place; None if it may not be called."""
    return next((entry for entry in entries if entry.allows(place)), None)


def is_open(address: str, networks: Sequence[str]) -> bool:
    """Whether a host's name may lead to this address: a public one, or one in these networks."""
    given = ipaddress.ip_address(address.partition("%")[0])
    if any(given in ipaddress.ip_network(network) for network in networks):
        return True
    inner = given
    if isinstance(given, ipaddress.IPv6Address):
        packed = ipaddress.IPv4Address(int(given) & 0xFFFFFFFF) if given in _TRANSLATED else None
        inner = given.ipv4_mapped or given.sixtofour or packed or given
        if inner is not given:
            return is_open(str(inner), networks)
    return inner.is_global and not inner.is_multicast and inner not in _OBSOLETE


def is_literal(host: str) -> bool:
    """Whether a host is an address itself, and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()
