"""How often a token may ask: a bucket for each, that fills by itself."""

import math
from dataclasses import dataclass, field
from typing import Final

_KEPT: Final = 10_000
"""Buckets in memory; those that are full again say nothing and are let go first."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


@dataclass(slots=True)
class RateLimit:
    """`burst` requests at once, and `rate_per_s` in the long run, for each key of one process."""

    rate_per_s: float
    burst: int
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def wait_s(self, key: str, now_s: float) -> int | None:
        """Take one request; or, if there is none left, the whole seconds until there is."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room(now_s)
            bucket = self._buckets[key] = _Bucket(self.burst, now_s)
        bucket.left = min(self.burst, bucket.left + (now_s - bucket.at_s) * self.rate_per_s)
        bucket.at_s = now_s
        if bucket.left >= 1:
            bucket.left -= 1
            return None
        return math.ceil((1 - bucket.left) / self.rate_per_s)

    def _make_room(self, now_s: float) -> None:
        if len(self._buckets) < _KEPT:
            return
        fills_in_s = self.burst / self.rate_per_s
        self._buckets = {
            key: bucket for key, bucket in self._buckets.items() if now_s - bucket.at_s < fills_in_s
        }
