"""The operating time: how many seconds of work each method has cost in the last ten minutes.

It is the portal's second limit, apart from the bucket: a method that has used up its time is refused alone, while
the others go on.
"""

from dataclasses import dataclass

BASKET_SECONDS = 60.0
KEPT_SECONDS = 600.0


@dataclass
class _Basket:
    """The calls of one minute; its ten minutes count from the first of them."""

    minute: int
    started: float
    seconds: float = 0.0


class Operating:
    """Ten one-minute baskets per method. With `limit` None the portal keeps no counters at all."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self._baskets: dict[str, list[_Basket]] = {}

    def allows(self, method: str, now: float) -> bool:
        """Return False once the sum has passed the limit: the call that passes it still goes through."""
        return self.limit is None or self.used(method, now) <= self.limit

    def charge(self, method: str, now: float, seconds: float) -> None:
        """Add the cost of a call to the basket of this minute."""
        baskets = self._kept(method, now)
        minute = int(now // BASKET_SECONDS)
        if not baskets or baskets[-1].minute != minute:
            baskets.append(_Basket(minute, now))
        baskets[-1].seconds += seconds

    def used(self, method: str, now: float) -> float:
        """Return the seconds in the baskets that still count."""
        return sum(basket.seconds for basket in self._kept(method, now))

    def resets_at(self, method: str, now: float) -> float:
        """Return the portal second at which the oldest basket leaves."""
        baskets = self._kept(method, now)
        return (baskets[0].started if baskets else now) + KEPT_SECONDS

    def empty(self) -> None:
        """Forget all calls so far."""
        self._baskets.clear()

    def _kept(self, method: str, now: float) -> list[_Basket]:
        baskets = self._baskets.setdefault(method, [])
        while baskets and baskets[0].started + KEPT_SECONDS <= now:
            del baskets[0]
        return baskets
