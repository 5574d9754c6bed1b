"""Autonomous success over time, with its definition, n and interval."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from fleet.clock import to_ms
from fleet.coverage import WHOLE, Coverage
from fleet.models import Episode, TrainingRun
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.policy import policy_versions_newest
from fleet.selectors.statistics import CONFIDENCE
from fleet.selectors.statistics import Rate as Rate
from fleet.selectors.statistics import wilson as wilson
from fleet.selectors.training import fleet_run

DEFINITION = (
    "Autonomous success rate: online episodes that succeeded without any human step, divided by all online episodes "
    "that terminated (success, failure or timeout; aborted ones do not count), by the time they ended."
)
MAX_POINTS = 120
MAX_EPISODES = 20_000
TREND_EPISODES = 600
TREND_PARTS = 12
TREND_PART = 10  # a part of fewer episodes says nothing


def success_series(
    *, window_s: int, task_slug: str | None = None, run: TrainingRun | None = None, coverage: Coverage = WHOLE
) -> dict[str, object]:
    """Return {"definition", "confidence", "window_s", "points", "versions"} as the API promises.

    With `run` only episodes that its versions drove, and its versions; else all, and those of the fleet's run. A point
    at time t covers the episodes with t - window_s < end <= t. Points lie at the ends of episodes, evenly thinned to
    120; at most the newest 20,000 episodes are read, and no point is shown whose window reaches beyond them.
    """
    ends, wins = _outcomes(task_slug, run, coverage)
    won = [0, *accumulate(wins)]
    is_cut = len(ends) == MAX_EPISODES
    begin = min(bisect_right(ends, ends[0] + window_s * 1000), len(ends) - 1) if is_cut else 0
    points = []
    for index in (begin + place for place in _thinned(len(ends) - begin)):
        first = bisect_right(ends, ends[index] - window_s * 1000)
        rate = wilson(successes=won[index + 1] - won[first], n=index + 1 - first)
        points.append({"at_ms": ends[index], **rate.__dict__})
    return {
        "definition": DEFINITION,
        "confidence": CONFIDENCE,
        "window_s": window_s,
        "points": points,
        "versions": _versions(run or fleet_run()),
    }


def success_trends(*, run_ids: Sequence[uuid.UUID], coverage: Coverage = WHOLE) -> dict[uuid.UUID, list[Rate]]:
    """Return how each run's autonomous success went, oldest part first; runs without such episodes are missing.

    The newest 600 terminated online episodes that its versions drove, in at most 12 parts of as many episodes (the
    oldest may have fewer). Parts of episodes, not of time: each carries a comparable n.
    """
    newest = Window(RowNumber(), partition_by=F("policy_version__run_id"), order_by=F("ended_at").desc())
    found = _terminated().filter(coverage.episodes(), policy_version__run_id__in=run_ids).annotate(rank=newest)
    rows = found.filter(rank__lte=TREND_EPISODES).order_by("rank")
    wins: dict[uuid.UUID, list[bool]] = {}
    for run_id, outcome, human in rows.values_list("policy_version__run_id", "outcome", "human_steps"):
        wins.setdefault(run_id, []).append(_is_autonomous_success(outcome, human))
    return {run_id: _parts(values) for run_id, values in wins.items()}


def _parts(newest_first: list[bool]) -> list[Rate]:
    size = max(TREND_PART, -(-len(newest_first) // TREND_PARTS))
    parts = [newest_first[start : start + size] for start in range(0, len(newest_first), size)]
    return [wilson(successes=sum(part), n=len(part)) for part in reversed(parts)]


def _terminated() -> QuerySet[Episode]:
    """Online episodes that count: see DEFINITION."""
    return Episode.objects.filter(origin=Origin.ONLINE.value).exclude(outcome=Outcome.ABORTED.value)


def _is_autonomous_success(outcome: str, human_steps: int) -> bool:
    return outcome == Outcome.SUCCESS.value and human_steps == 0


def _outcomes(task_slug: str | None, run: TrainingRun | None, coverage: Coverage) -> tuple[list[int], list[bool]]:
    """Return the ends in Unix ms, rising, and whether each was an autonomous success."""
    found = _terminated().filter(coverage.episodes())
    if task_slug is not None:
        found = found.filter(task__slug=task_slug)
    if run is not None:
        found = found.filter(policy_version__run=run)
    newest = found.order_by("-ended_at", "-index_seq").values_list("ended_at", "outcome", "human_steps")[:MAX_EPISODES]
    rows = list(newest)[::-1]
    ends = [to_ms(ended_at) for ended_at, _, _ in rows]
    return ends, [_is_autonomous_success(outcome, human) for _, outcome, human in rows]


def _thinned(count: int) -> list[int]:
    """Return at most MAX_POINTS indices of 0..count-1, evenly spread, the last always among them."""
    if count <= MAX_POINTS:
        return list(range(count))
    return [round((index + 1) * count / MAX_POINTS) - 1 for index in range(MAX_POINTS)]


def _versions(run: TrainingRun | None) -> list[dict[str, int]]:
    return [
        {"number": version.number, "published_ms": to_ms(version.published_at)}
        for version in policy_versions_newest(run=run)
    ]
