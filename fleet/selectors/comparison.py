"""Two versions or two periods against each other, and which version is best: with intervals and a plain sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F

from fleet.selectors.measures import HOUR_MS, Split
from fleet.selectors.metrics import Group, MetricFilter, metrics_by, splits_of
from fleet.selectors.statistics import Difference, event_difference, probability_best, success_difference

SURE = 0.95  # from this confidence on the sentence says "better"
MIN_EPISODES = 10  # a version with fewer terminated episodes is not called the best
METHOD = (
    "Differences within each task, put together by Mantel-Haenszel weights, so that who worked at easier tasks does "
    "not look better. Success: Newcombe's interval from the Wilson intervals. Interventions: the same from exact "
    "Poisson intervals. Confidence: one-sided Cochran-Mantel-Haenszel test, without continuity correction."
)


@dataclass(frozen=True)
class Comparison:
    """First minus second. `success`: of the measure named; `interventions`: per robot-hour. None: no common task.

    `n`: terminated episodes of the first and the second, of the tasks that both have.
    """

    measure: str
    first: Split
    second: Split
    success: Difference | None
    interventions: Difference | None
    n: tuple[int, int]
    sentence: str
    interventions_sentence: str


def comparison(*, first: MetricFilter, second: MetricFilter, measure: str = "unaided") -> Comparison:
    """Compare two groups of episodes, stratified by task. `measure`: "success" or "unaided"."""
    ones, others = (splits_of(asked.rollups().annotate(group=F("task_id"))) for asked in (first, second))
    tasks = [task for task in ones if task in others and ones[task].all.terminated and others[task].all.terminated]
    pairs = [(_wins(ones[task], measure), _wins(others[task], measure)) for task in tasks]
    success = success_difference(first=[one for one, _ in pairs], second=[other for _, other in pairs])
    interventions = event_difference(
        first=[_takeovers(ones[task]) for task in tasks], second=[_takeovers(others[task]) for task in tasks]
    )
    n = (sum(one[1] for one, _ in pairs), sum(other[1] for _, other in pairs))
    return Comparison(
        measure=measure,
        first=_total(ones),
        second=_total(others),
        success=success,
        interventions=interventions,
        n=n,
        sentence=sentence(success, n, better="Better", worse="Worse"),
        interventions_sentence=sentence(interventions, n, better="More interventions", worse="Fewer interventions"),
    )


def sentence(difference: Difference | None, n: tuple[int, int], *, better: str, worse: str) -> str:
    """Say what the difference means: "Better with 97 % confidence, n = 212 and 180"."""
    if difference is None:
        return "They cannot be compared: no task has terminated episodes of both."
    counts = f"n = {n[0]:,} and {n[1]:,}"
    sure = max(difference.confidence, 1 - difference.confidence)
    if sure < SURE:
        return f"No difference shown: {percent(sure)} confidence is below {percent(SURE)}, {counts}."
    return f"{better if difference.confidence > 0.5 else worse} with {percent(sure)} confidence, {counts}."


def percent(share: float) -> str:
    """Write a confidence without rounding it up to certainty."""
    if share > 0.999:
        return "more than 99.9 %"
    return f"{int(share * 1000) / 10:g} %" if share > 0.99 else f"{round(share * 100)} %"


@dataclass(frozen=True)
class Ranked:
    """A version at a task. `chance`: that its true rate is the highest; None with fewer than MIN_EPISODES."""

    group: Group
    successes: int
    n: int
    chance: float | None


@dataclass(frozen=True)
class Best:
    """`versions`: the likeliest best first, those with too few episodes last."""

    versions: list[Ranked]
    left_out: int
    sentence: str


def best_version(*, asked: MetricFilter, measure: str = "unaided") -> Best:
    """Say which version does best among the episodes asked for, usually of one task, and how sure that is."""
    groups, left_out = metrics_by(asked=asked, group="version", measures=[measure])
    counted = [(group, *_wins(group.sums, measure)) for group in groups if group.key != "none"]
    enough = [row for row in counted if row[2] >= MIN_EPISODES]
    chances = probability_best([(wins, n) for _, wins, n in enough])
    ranked = [Ranked(*row, chance) for row, chance in zip(enough, chances, strict=True)]
    ranked.sort(key=lambda each: each.chance or 0, reverse=True)
    few = [Ranked(*row, None) for row in counted if 0 < row[2] < MIN_EPISODES]
    return Best([*ranked, *few[::-1]], left_out, _best_sentence(ranked))


def _best_sentence(ranked: list[Ranked]) -> str:
    if not ranked:
        return f"No version has {MIN_EPISODES} terminated episodes here yet."
    best = ranked[0]
    value = f"{best.group.label}: {best.successes} of n = {best.n:,} succeeded"
    if len(ranked) == 1:
        return f"{value}. No other version has {MIN_EPISODES} terminated episodes to compare with."
    second = ranked[1]
    against = success_difference(first=[(best.successes, best.n)], second=[(second.successes, second.n)])
    confidence = percent(against.confidence) if against else "50 %"
    return (
        f"{value}. It is the best of {len(ranked)} versions with {percent(best.chance or 0)} probability, and better "
        f"than the next, {second.group.label}, with {confidence} confidence (n = {best.n:,} and {second.n:,})."
    )


def _wins(split: Split, measure: str) -> tuple[int, int]:
    return (split.all if measure == "success" else split.autonomous).successes, split.all.terminated


def _takeovers(split: Split) -> tuple[int, float]:
    return split.all.interventions, split.all.duration_ms / HOUR_MS


def _total(parts: dict[Any, Split]) -> Split:
    total = Split()
    for part in parts.values():
        total = Split(total.autonomous + part.autonomous, total.assisted + part.assisted)
    return total
