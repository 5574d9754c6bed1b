"""How long experience takes to the learner and versions take to the robots.

Times of robots are by the robots' clocks, the others by the server's; on robots whose clock is off, the spans between
the two carry that error, and may be negative. Nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np

from fleet.coverage import WHOLE, Coverage
from fleet.models import Episode, PolicyDeployment, PolicyVersion
from fleet.protocol.recording import Origin


@dataclass(frozen=True)
class Percentiles:
    """Of `n` spans in seconds; all None if there is none."""

    n: int
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


def percentiles(spans_s: Sequence[float]) -> Percentiles:
    """Return percentiles with linear interpolation between the two nearest values."""
    if not spans_s:
        return Percentiles(0, None, None, None, None)
    p50, p90, p99, largest = (float(value) for value in np.percentile(np.asarray(spans_s), (50, 90, 99, 100)))
    return Percentiles(len(spans_s), p50, p90, p99, largest)


def episode_spans(*, since: datetime | None = None, coverage: Coverage = WHOLE) -> dict[str, list[float]]:
    """Return seconds of every online episode that passed both ends, by the name of the span, in order of indexing.

    "captured" is the end of the episode on the robot. `episode_to_learner` is captured -> first sampled.
    """
    found = Episode.objects.filter(coverage.episodes(), origin=Origin.ONLINE.value)
    if since is not None:
        found = found.filter(ended_at__gte=since)
    rows = list(found.order_by("index_seq").values_list("ended_at", "uploaded_at", "indexed_at", "first_sampled_at"))
    return {
        "captured_to_uploaded": _spans([(row[0], row[1]) for row in rows]),
        "uploaded_to_indexed": _spans([(row[1], row[2]) for row in rows]),
        "indexed_to_sampled": _spans([(row[2], row[3]) for row in rows]),
        "episode_to_learner": _spans([(row[0], row[3]) for row in rows]),
    }


def version_spans(*, since: datetime | None = None, coverage: Coverage = WHOLE) -> dict[str, list[float]]:
    """Return seconds trained -> published (one a version) and published -> fetched, applied (one a robot and version).

    The base, number 0, was trained long before it was imported, so it does not count in trained -> published. Times
    that were inferred because the robot's report was lost (no `fetched_at`) were not measured and do not count either.
    """
    versions = PolicyVersion.objects.filter(number__gte=1)
    deployments = PolicyDeployment.objects.filter(
        coverage.robots("robot_id"), fetched_at__isnull=False, applied_at__isnull=False
    )
    if since is not None:
        versions = versions.filter(published_at__gte=since)
        deployments = deployments.filter(version__published_at__gte=since)
    published = list(versions.order_by("published_at").values_list("trained_at", "published_at"))
    applied = list(deployments.order_by("applied_at").values_list("version__published_at", "fetched_at", "applied_at"))
    return {
        "trained_to_published": _spans(published),
        "published_to_fetched": _spans([(row[0], row[1]) for row in applied]),
        "published_to_applied": _spans([(row[0], row[2]) for row in applied]),
    }


def latency_report(
    *, since: datetime | None = None, coverage: Coverage = WHOLE
) -> dict[str, dict[str, float | int | None]]:
    """Return the percentiles of every span by its name, of the covered episodes and robots."""
    spans = episode_spans(since=since, coverage=coverage) | version_spans(since=since, coverage=coverage)
    return {name: asdict(percentiles(values)) for name, values in spans.items()}


def _spans(pairs: Sequence[tuple[datetime | None, datetime | None]]) -> list[float]:
    return [(end - start).total_seconds() for start, end in pairs if start is not None and end is not None]
