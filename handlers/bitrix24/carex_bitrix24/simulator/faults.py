"""Faults: what goes wrong between a client and a portal, on demand and repeatable."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

KINDS = frozenset(
    {
        "reset_before",
        "answer_lost",
        "status_500",
        "html_502",
        "html_504",
        "html_403",
        "unavailable_503",
        "overload",
        "truncated",
        "slow",
        "unauthorized",
        "redirect",
        "error_200",
        "operation_time_limit",
    }
)
# Whatever the fault says, these happen after the call was carried out…
APPLIED = frozenset({"answer_lost", "truncated", "slow"})
# …and for these the caller may choose: a gateway gives up whether or not the portal behind it finishes.
EITHER = frozenset({"status_500", "html_502", "html_504", "unavailable_503"})


@dataclass(frozen=True)
class Fault:
    """One way to go wrong, for calls of `method` (a pattern), `count` times, between two portal seconds.

    `seconds` is the delay of "slow", `to` the new address of "redirect", `code` and `text` the error of "error_200".
    `applied` lets a 500, 502, 503 or 504 come although the call was carried out.
    """

    kind: str
    method: str = "*"
    count: int | None = None
    probability: float = 1.0
    start: float | None = None
    until: float | None = None
    seconds: float = 1.0
    to: str = ""
    code: str = "ERROR_CORE"
    text: str = "Simulated error"
    applied: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault of kind {self.kind!r}; choose one of {', '.join(sorted(KINDS))}")
        if self.kind == "redirect" and not self.to:
            raise ValueError("a redirect fault needs `to`: the new address, such as http://127.0.0.1:8001")
        if self.applied and self.kind not in APPLIED | EITHER:
            raise ValueError(f"a fault of kind {self.kind!r} always stops the call, so it cannot be `applied`")

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

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311
        self._armed: list[tuple[Fault, int | None]] = []

    def add(self, *faults: Fault) -> None:
        """Arm faults."""
        self._armed.extend((fault, fault.count) for fault in faults)

    def clear(self) -> None:
        """Disarm all faults and start the random series anew."""
        self._armed.clear()
        self._random = random.Random(self._seed)  # noqa: S311

    def left(self) -> Iterable[tuple[Fault, int | None]]:
        """Return the armed faults and how often each may still strike."""
        return list(self._armed)

    def pick(self, method: str, now: float, url: str = "") -> Fault | None:
        """Return the fault that strikes this call, and count it."""
        for number, (fault, left) in enumerate(self._armed):
            if not fault.fits(method, now, url):
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
