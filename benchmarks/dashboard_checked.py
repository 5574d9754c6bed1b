"""What every comparison of the dashboard works with: one filter, the rows it leaves, and the count of equal numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.dashboard_truth import Asked, Numbers, Row, crew_of, measured

Get = Callable[[str, dict[str, Any]], Any]


@dataclass
class Compared:
    """How many numbers of each chart were equal; the first that is not ends it."""

    counts: dict[str, int] = field(default_factory=dict)

    def same(self, chart: str, shown: Any, wanted: Any, *, where: str = "", within: float = 1e-6) -> None:
        """Raises: AssertionError that names chart and place."""
        place = f"{chart}{where}"
        if isinstance(wanted, dict):
            assert set(wanted) <= set(shown), f"{place}: {sorted(set(wanted) - set(shown))} are missing"
            for key, each in wanted.items():
                self.same(chart, shown[key], each, where=f"{where}.{key}", within=within)
        elif isinstance(wanted, list | tuple):
            assert len(shown) == len(wanted), f"{place}: {len(shown)} are shown, {len(wanted)} are there"
            for index, (one, other) in enumerate(zip(shown, wanted, strict=True)):
                self.same(chart, one, other, where=f"{where}[{index}]", within=within)
        else:
            is_number = isinstance(wanted, float) and isinstance(shown, int | float)
            is_same = math.isclose(shown, wanted, rel_tol=within, abs_tol=1e-9) if is_number else shown == wanted
            assert is_same, f"{place}: {shown} is shown, the rows say {wanted}"
            self.counts[chart] = self.counts.get(chart, 0) + 1


@dataclass
class Checked:
    """One filter, and the rows it leaves. `zone`, `by`: of the buckets."""

    get: Get
    compared: Compared
    rows: Sequence[Row]
    asked: Asked
    run: str
    zone: str = "UTC"
    by: str = "auto"

    def __post_init__(self) -> None:
        self.own = self.asked.of(self.rows)
        self.crew = crew_of(self.own)

    def answer(self, chart: str, **more: Any) -> Any:
        return self.get(f"/api/v1/metrics/{chart}", {**query_of(self.asked), "tz": self.zone, "by": self.by, **more})

    def estimates(self, names: Iterable[str], rows: Sequence[Row]) -> list[Numbers]:
        return [measured(name, rows, self.crew) for name in names]


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def query_of(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {"since": iso(asked.since), "until": iso(asked.until), "origin": asked.origin}
    found |= {"task": list(asked.tasks), "robot": list(asked.robots), "version": list(asked.versions)}
    return {**found, "archived": asked.archived} | ({"run": asked.run} if asked.run else {})
