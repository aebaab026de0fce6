"""The operating time: how many seconds of work each method has cost in the last ten minutes.

It is the portal's second limit, apart from the bucket: a method that has used up its time is refused alone, while
the others go on.
"""

BASKETS = 10
BASKET_SECONDS = 60


class Operating:
    """Ten one-minute baskets per method. With `limit` None the portal keeps no counters at all."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self._baskets: dict[str, dict[int, float]] = {}

    def allows(self, method: str, now: float) -> bool:
        """Return False once the sum has passed the limit: the call that passes it still goes through."""
        return self.limit is None or self.used(method, now) <= self.limit

    def charge(self, method: str, now: float, seconds: float) -> None:
        """Add the cost of a call to the basket of this minute."""
        baskets = self._baskets.setdefault(method, {})
        minute = int(now // BASKET_SECONDS)
        baskets[minute] = baskets.get(minute, 0.0) + seconds

    def used(self, method: str, now: float) -> float:
        """Return the seconds in the baskets that still count."""
        baskets = self._baskets.get(method, {})
        oldest = int(now // BASKET_SECONDS) - BASKETS
        for minute in [minute for minute in baskets if minute <= oldest]:
            del baskets[minute]
        return sum(baskets.values())

    def resets_at(self, method: str, now: float) -> float:
        """Return the portal second at which the oldest basket leaves."""
        self.used(method, now)
        oldest = min(self._baskets.get(method, {}), default=int(now // BASKET_SECONDS))
        return float((oldest + BASKETS) * BASKET_SECONDS)

    def empty(self) -> None:
        """Forget all calls so far."""
        self._baskets.clear()
