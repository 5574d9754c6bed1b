"""What a page about policy versions shows: the lineage with its numbers, one version's report, two versions compared.

Rates are those of charts: online episodes that terminated, neither aborted nor archived. "Success" is autonomous: it
succeeded and nobody helped. "Interventions" counts episodes in which somebody did. `coverage`: what whoever asks sees;
episodes and robots beyond it do not count.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from fleet.coverage import WHOLE, Coverage
from fleet.models import Episode, PolicyDeployment, PolicyVersion, Robot, TrainingRun
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.episode import episodes_of_run
from fleet.selectors.rollout import rollout_open, version_current
from fleet.selectors.success import Rate, wilson

MAX_NODES = 500
_WON = Q(outcome=Outcome.SUCCESS.value, human_steps=0)
_HELPED = Q(human_steps__gt=0)


@dataclass(frozen=True)
class Rates:
    """None without an episode."""

    success: Rate | None
    interventions: Rate | None


@dataclass(frozen=True)
class VersionNode:
    """One version in the lineage. `stages`: of current, canary, newest, pinned. `robots`: how many drive with it."""

    version: PolicyVersion
    stages: tuple[str, ...]
    robots: int
    rates: Rates


@dataclass(frozen=True)
class DataSource:
    """The frozen version of a dataset that a version was trained on. `split`: empty for all of it.

    `digest`: SHA-256 over its episodes with the outcomes that were frozen, so equal digests are equal data.
    `takes_online`: whether new episodes of robots came to it.
    """

    dataset: uuid.UUID
    name: str
    version: int
    digest: str
    split: str
    takes_online: bool


@dataclass(frozen=True)
class DataShare:
    """Episodes of one task and origin that the learner could draw from for this version."""

    task: str
    origin: str
    episodes: int
    frames: int
    human_frames: int


def version_nodes(*, run: TrainingRun, coverage: Coverage = WHOLE, limit: int = MAX_NODES) -> list[VersionNode]:
    """Return the newest versions of a run, by number, and its base whatever its age."""
    newest = list(PolicyVersion.objects.filter(run=run).order_by("-number")[:limit])
    if newest and newest[-1].number > 0:
        newest += PolicyVersion.objects.filter(run=run, number=0)
    return _nodes(newest[::-1], run, coverage)


def version_node(*, version: PolicyVersion, coverage: Coverage = WHOLE) -> VersionNode:
    """Return one version with its stages and numbers."""
    return _nodes([version], version.run, coverage)[0]


def _nodes(versions: list[PolicyVersion], run: TrainingRun, coverage: Coverage) -> list[VersionNode]:
    ids = [version.id for version in versions]
    rates = _rates_by(counted_episodes(coverage).filter(policy_version__in=ids), "policy_version")
    robots = Robot.objects.filter(coverage.robots())
    driving = dict(
        robots.filter(policy_version__in=ids).values_list("policy_version").annotate(count=Count("id")).order_by()
    )
    pinned = set(robots.filter(pinned_version__in=ids).values_list("pinned_version", flat=True))
    current, trying = version_current(run=run), rollout_open(run=run)
    newest = PolicyVersion.objects.filter(run=run).order_by("-number").first()
    found = []
    for version in versions:
        marks = {
            "current": current is not None and version.id == current.id,
            "canary": trying is not None and version.id == trying.candidate_id,
            "newest": newest is not None and version.id == newest.id,
            "pinned": version.id in pinned,
        }
        stages = tuple(name for name, holds in marks.items() if holds)
        none = Rates(None, None)
        found.append(VersionNode(version, stages, driving.get(version.id, 0), rates.get(version.id, none)))
    return found


def counted_episodes(coverage: Coverage = WHOLE) -> QuerySet[Episode]:
    """Return the episodes that rates are made of."""
    found = Episode.objects.filter(coverage.episodes(), origin=Origin.ONLINE.value, is_archived=False)
    return found.exclude(outcome=Outcome.ABORTED.value).order_by()


def _rates_by(rows: QuerySet[Episode], field: str) -> dict[Any, Rates]:
    counts = rows.values(field).annotate(
        n=Count("id"), won=Count("id", filter=_WON), helped=Count("id", filter=_HELPED)
    )
    return {
        row[field]: Rates(wilson(successes=row["won"], n=row["n"]), wilson(successes=row["helped"], n=row["n"]))
        for row in counts
    }


def run_rates(*, run_ids: Iterable[uuid.UUID], coverage: Coverage = WHOLE) -> dict[uuid.UUID, Rates]:
    """Return the numbers of all versions of each run together."""
    rows = counted_episodes(coverage).filter(policy_version__run__in=list(run_ids))
    return _rates_by(rows, "policy_version__run")


def version_rates_by_task(*, version: PolicyVersion, coverage: Coverage = WHOLE) -> dict[str, Rates]:
    """Return its numbers at each task, by slug."""
    found = _rates_by(counted_episodes(coverage).filter(policy_version=version), "task__slug")
    return dict(sorted(found.items()))


def version_source(*, version: PolicyVersion) -> DataSource | None:
    """Return the dataset that its run learns from; None without one, and for a base: that was trained elsewhere."""
    run = version.run
    frozen = run.dataset_version
    if frozen is None or version.number == 0:
        return None
    return DataSource(
        frozen.dataset_id, frozen.dataset.name, frozen.number, frozen.digest, run.dataset_split, run.takes_online
    )


def version_data(*, version: PolicyVersion, coverage: Coverage = WHOLE) -> list[DataShare] | None:
    """Return what the learner could draw from for this version, by task and origin; None for a base: not known here."""
    training = version.run.rounds.filter(start_step__lt=version.step).order_by("-index").first()
    if training is None:
        return None
    known = episodes_of_run(run_id=version.run_id).filter(coverage.episodes())
    rows = known.filter(index_seq__lte=training.ingest_upto).order_by()
    sums = rows.values("task__slug", "origin").annotate(
        episodes=Count("id"), frames=Sum("steps"), human=Sum("human_steps")
    )
    shares = (DataShare(row["task__slug"], row["origin"], row["episodes"], row["frames"], row["human"]) for row in sums)
    return sorted(shares, key=lambda share: (share.task, share.origin))


def version_deployments(
    *, version: PolicyVersion, coverage: Coverage = WHOLE, limit: int = 500
) -> Iterable[PolicyDeployment]:
    """Return what became of it on each robot, the newest first."""
    rows = PolicyDeployment.objects.filter(coverage.robots("robot_id"), version=version)
    rows = rows.select_related("robot__pinned_version__run")
    return rows.order_by("-announced_at")[:limit]


@dataclass(frozen=True)
class Comparison:
    """Rate of `one` minus rate of `other`, at the tasks that both worked at, and what that means in words.

    low, high: 95 % interval. confidence: that the sign is right, in [0.5, 1]. All None where either has no episode.
    """

    measure: str
    one: Rate | None
    other: Rate | None
    difference: float | None
    low: float | None
    high: float | None
    confidence: float | None
    sentence: str


def version_compare(
    *, one: PolicyVersion, other: PolicyVersion, task: str | None = None, coverage: Coverage = WHOLE
) -> list[Comparison]:
    """Compare two versions in success and in interventions, over the tasks both worked at, or at one of them.

    Tasks are strata: the difference is the mean of the tasks' differences, weighted by n1 n2 / (n1 + n2)
    (Cochran-Mantel-Haenszel), so a version that was given easier tasks does not look better for it.
    """
    ours, theirs = (version_rates_by_task(version=version, coverage=coverage) for version in (one, other))
    shared = [slug for slug in ours if slug in theirs and task in (None, slug)]
    return [_compare(name, [(_rate(ours[slug], name), _rate(theirs[slug], name)) for slug in shared]) for name in NAMES]


NAMES = ("success", "interventions")


def _rate(rates: Rates, name: str) -> Rate:
    found = getattr(rates, name)
    assert isinstance(found, Rate)
    return found


def _compare(name: str, pairs: list[tuple[Rate, Rate]]) -> Comparison:
    if not pairs:
        return Comparison(name, None, None, None, None, None, None, "They have no task in common yet.")
    one, other = _pooled([a for a, _ in pairs]), _pooled([b for _, b in pairs])
    weights = [a.n * b.n / (a.n + b.n) for a, b in pairs]
    difference = sum(w * (a.rate - b.rate) for w, (a, b) in zip(weights, pairs, strict=True)) / sum(weights)
    # Agresti-Caffo: one success and one failure more on each side keep the variance from being 0 at rates of 0 and 1.
    spread = sum(w * w * (_variance(a) + _variance(b)) for w, (a, b) in zip(weights, pairs, strict=True))
    deviation = math.sqrt(spread) / sum(weights)
    confidence = 0.5 * (1 + math.erf(abs(difference) / deviation / math.sqrt(2)))
    low, high = max(-1.0, difference - 1.96 * deviation), min(1.0, difference + 1.96 * deviation)
    is_better = difference > 0 if name == "success" else difference < 0
    sentence = _sentence(name, is_better, difference, confidence, one.n, other.n)
    return Comparison(name, one, other, difference, low, high, confidence, sentence)


def _pooled(rates: list[Rate]) -> Rate:
    return wilson(successes=sum(rate.successes for rate in rates), n=sum(rate.n for rate in rates))


def _variance(rate: Rate) -> float:
    share = (rate.successes + 1) / (rate.n + 2)
    return share * (1 - share) / (rate.n + 2)


def _sentence(name: str, is_better: bool, difference: float, confidence: float, n_one: int, n_other: int) -> str:
    counts = f"n = {n_one:,} and {n_other:,}"
    if difference == 0 or confidence < 0.8:
        return f"No clear difference in {name} ({counts})."
    percent = min(99.9, math.floor(1000 * confidence) / 10)
    text = f"{percent:.0f}" if percent < 99 else f"{percent:.1f}"
    return f"{'Better' if is_better else 'Worse'} with {text} % confidence, {counts}."
