"""The leaky bucket in front of the portal: how many requests it takes before it refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Bucket:
    """Fill by one with each request, drain by `rate` a second, refuse what does not fit under `capacity`.

    Nobody outside the vendor knows whether a refused request fills the bucket too, nor whether it drains all the
    time or once a second: `refusals_fill` and `stepwise` choose.
    """

    rate: float
    capacity: float
    refusals_fill: bool = False
    stepwise: bool = False
    level: float = 0.0
    drained_at: float = 0.0

    def take(self, now: float) -> bool:
        """Return False if the request is refused."""
        passed = math.floor(now) - math.floor(self.drained_at) if self.stepwise else now - self.drained_at
        self.level = max(0.0, self.level - passed * self.rate)
        self.drained_at = now
        fits = self.level + 1 <= self.capacity
        if fits or self.refusals_fill:
            self.level += 1
        return fits


class Buckets:
    """One bucket for the whole portal, or one for each address that requests come from."""

    def __init__(self, rate: float, capacity: float, *, refusals_fill: bool, stepwise: bool, per_address: bool) -> None:
        self.per_address = per_address
        self._new = Bucket(rate, capacity, refusals_fill, stepwise)
        self._buckets: dict[str, Bucket] = {}

    def of(self, address: str = "") -> Bucket:
        """Return the bucket that requests from this address fill."""
        new = self._new
        return self._buckets.setdefault(
            address if self.per_address else "", Bucket(new.rate, new.capacity, new.refusals_fill, new.stepwise)
        )

    def empty(self) -> None:
        """Forget all requests so far."""
        self._buckets.clear()
