"""The leaky bucket in front of the portal: how many requests it takes before it refuses."""


class Bucket:
    """Fill by one with each request, drain by `rate` a second, refuse what does not fit under `capacity`.

    Nobody outside the vendor knows whether a refused request fills the bucket too; `refusals_fill` chooses.
    """

    def __init__(self, rate: float, capacity: float, refusals_fill: bool) -> None:
        self.rate = rate
        self.capacity = capacity
        self.refusals_fill = refusals_fill
        self.level = 0.0
        self._drained_at = 0.0

    def take(self, now: float) -> bool:
        """Return False if the request is refused."""
        self.level = max(0.0, self.level - (now - self._drained_at) * self.rate)
        self._drained_at = now
        fits = self.level + 1 <= self.capacity
        if fits or self.refusals_fill:
            self.level += 1
        return fits

    def empty(self) -> None:
        """Forget all requests so far."""
        self.level = 0.0
