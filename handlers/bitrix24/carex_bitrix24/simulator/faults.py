"""Faults: what goes wrong between a client and a portal, on demand and repeatable."""

import dataclasses
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

# Answers of a web server or a proxy in front of the portal, or of a PHP that broke: status and title of an HTML page.
PAGES = {
    "html_200": (200, "Site closed"),
    "html_403": (403, "Forbidden"),
    "html_429": (429, "Too Many Requests"),
    "html_500": (500, "Internal Server Error"),
    "html_502": (502, "Bad Gateway"),
    "html_504": (504, "Gateway Time-out"),
    "unavailable_503": (503, "Service Temporarily Unavailable"),
}
# Answers of the portal itself: the code of an error; "error" takes the fault's own.
ERRORS = {
    "error": "",
    "status_500": "INTERNAL_SERVER_ERROR",
    "overload": "OVERLOAD_LIMIT",
    "query_limit": "QUERY_LIMIT_EXCEEDED",
    "unauthorized": "NO_AUTH_FOUND",
    "operation_time_limit": "OPERATION_TIME_LIMIT",
}
OTHERS = frozenset({"reset_before", "hang", "redirect", "error_200", "empty"})
# Whatever the fault says, these happen after the call was carried out…
APPLIED = frozenset({"answer_lost", "truncated", "slow", "late"})
# …and for these the caller may choose: a gateway gives up whether or not the portal behind it finishes.
EITHER = frozenset({"status_500", "html_500", "html_502", "html_504", "unavailable_503", "empty"})
KINDS = frozenset(PAGES) | frozenset(ERRORS) | OTHERS | APPLIED


@dataclass(frozen=True)
class Fault:
    """One way to go wrong, for calls of `method` (a pattern), `count` times, between two portal seconds.

    `lasting` is the same as `start` now and `until` so many portal seconds later. `seconds` is the delay of "slow" and
    "late" and the Retry-After of "html_429", `to` the new address of "redirect"; `code`, `text` and `status` are the
    error of "error" and "error_200" (what is not given is as documented). `applied` lets a 500, 502, 503 or 504 come
    although the call was carried out. `inside` strikes commands within a batch instead of whole requests.
    """

    kind: str
    method: str = "*"
    count: int | None = None
    probability: float = 1.0
    start: float | None = None
    until: float | None = None
    lasting: float | None = None
    seconds: float = 1.0
    to: str = ""
    code: str = "ERROR_CORE"
    text: str = ""
    status: int = 0
    applied: bool = False
    inside: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault of kind {self.kind!r}; choose one of {', '.join(sorted(KINDS))}")
        if self.kind == "redirect" and not self.to:
            raise ValueError("a redirect fault needs `to`: the new address, such as http://127.0.0.1:8001")
        if self.applied and self.kind not in APPLIED | EITHER:
            raise ValueError(f"a fault of kind {self.kind!r} always stops the call, so it cannot be `applied`")
        if self.inside and self.kind not in ERRORS:
            raise ValueError(f"inside a batch only errors can happen ({', '.join(sorted(ERRORS))}), not {self.kind!r}")

    @property
    def lets_through(self) -> bool:
        """Whether the call is carried out although the answer goes wrong."""
        return self.applied or self.kind in APPLIED

    def fits(self, method: str, now: float, url: str) -> bool:
        """Whether this fault is about this call at this time; who already came to the new address is not redirected."""
        if self.start is not None and now < self.start:
            return False
        if self.until is not None and now >= self.until:
            return False
        if self.kind == "redirect" and _is_under(url, self.to):
            return False
        return fnmatchcase(method, self.method)


class Faults:
    """The faults in force. The first that fits a call strikes; the random ones follow a seed."""

    def __init__(self, seed: int = 0, now: Callable[[], float] = lambda: 0.0) -> None:
        self._seed = seed
        self._now = now
        self._random = random.Random(seed)  # noqa: S311
        self._armed: list[tuple[Fault, int | None]] = []

    def add(self, *faults: Fault) -> None:
        """Arm faults."""
        for fault in faults:
            armed = fault
            if fault.lasting is not None:
                now = self._now()
                armed = dataclasses.replace(fault, start=now, until=now + fault.lasting, lasting=None)
            self._armed.append((armed, armed.count))

    def clear(self) -> None:
        """Disarm all faults and start the random series anew."""
        self._armed.clear()
        self._random = random.Random(self._seed)  # noqa: S311

    def left(self) -> Iterable[tuple[Fault, int | None]]:
        """Return the armed faults and how often each may still strike."""
        return list(self._armed)

    def pick(self, method: str, now: float, url: str = "", *, inside: bool = False) -> Fault | None:
        """Return the fault that strikes this call, and count it."""
        for number, (fault, left) in enumerate(self._armed):
            if fault.inside is not inside or not fault.fits(method, now, url):
                continue
            if fault.probability < 1.0 and self._random.random() >= fault.probability:
                continue
            if left is not None:
                if left > 1:
                    self._armed[number] = (fault, left - 1)
                else:
                    del self._armed[number]
            return fault
        return None


def _is_under(url: str, address: str) -> bool:
    there, here = urlsplit(address), urlsplit(url)
    return there.netloc == here.netloc and here.path.startswith(there.path.rstrip("/") + "/")
