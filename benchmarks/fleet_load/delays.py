"""Durations in bins of 2 %, so that a run of half an hour keeps a few hundred numbers. Added up across processes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

_RATIO = math.log(1.02)
_LEAST_S = 1e-5  # what is shorter counts as this


@dataclass
class Delays:
    """Counts by bin; `max_s` is exact."""

    bins: Counter[int] = field(default_factory=Counter)
    max_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.bins[math.ceil(math.log(max(seconds, _LEAST_S) / _LEAST_S) / _RATIO)] += 1
        self.max_s = max(self.max_s, seconds)

    def merge(self, other: Delays) -> Delays:
        self.bins.update(other.bins)
        self.max_s = max(self.max_s, other.max_s)
        return self

    @property
    def n(self) -> int:
        return sum(self.bins.values())

    def quantile(self, share: float) -> float | None:
        """Return the upper edge of the bin that holds this share, in seconds; None of nothing."""
        wanted, seen = share * self.n, 0
        for index in sorted(self.bins):
            seen += self.bins[index]
            if seen >= wanted:
                return min(self.max_s, _LEAST_S * math.exp(index * _RATIO))
        return None

    def summary(self) -> dict[str, float | int | None]:
        """Return n and quantiles in milliseconds."""
        found = {f"p{round(share * 100)}_ms": self.quantile(share) for share in (0.5, 0.95, 0.99)}
        rounded = {name: None if value is None else round(value * 1e3, 1) for name, value in found.items()}
        return {"n": self.n, **rounded, "max_ms": round(self.max_s * 1e3, 1)}
