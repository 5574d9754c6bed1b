"""A canary's episodes and what they say, read anew at every look: relabelled episodes count as they are labelled now.

Which episodes count: online ones that began after the canary did, of the candidate on its robots and of the baseline
on the others. Left out, and counted apart: aborted ones, archived ones, and those with the tag "invalid".

Episodes are taken in the order in which they began, up to the moment after which one may still be missing: successes
end sooner than failures, so "those that are there" would flatter whoever has more robots. A robot that has sent nothing
for a while is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q, QuerySet

from fleet.canary import MAX_ARM_EPISODES, Fact, Judgement, canary_settings, judge
from fleet.models import Episode, PolicyDeployment, Rollout
from fleet.protocol.recording import Origin, Outcome

INVALID_TAG = "invalid"
SETTLE_S = 300.0  # a robot whose newest episode ended longer ago than this holds nobody up


@dataclass(frozen=True)
class CanaryView:
    """The judgement, episodes left out and not yet counted of (candidate, current), and what robots refused."""

    judgement: Judgement
    left_out: tuple[int, int]
    unsettled: tuple[int, int]
    refusals: tuple[str, ...]


def canary_view(*, rollout: Rollout, now: datetime) -> CanaryView:
    """Return what the canary's episodes say now."""
    settings = canary_settings(rollout.settings)
    ours, theirs = _arms(rollout)
    settled = _settled_until((ours, theirs), now=now)
    candidate, current = _facts(ours, settled), _facts(theirs, settled)
    newest = ours.aggregate(newest=Max("indexed_at"))["newest"] or rollout.began_at
    silent_s = (now - max(newest, rollout.began_at)).total_seconds()
    found = judge(candidate, current, settings=settings, per_block=rollout.per_block, silent_s=silent_s)
    return CanaryView(
        judgement=found,
        left_out=(_left_out(ours), _left_out(theirs)),
        unsettled=(_counted(ours).count() - len(candidate), _counted(theirs).count() - len(current)),
        refusals=_refusals(rollout),
    )


def _arms(rollout: Rollout) -> tuple[QuerySet[Episode], QuerySet[Episode]]:
    members = list(rollout.robots.values_list("id", flat=True))
    found = Episode.objects.filter(origin=Origin.ONLINE.value, started_at__gte=rollout.began_at)
    ours = found.filter(policy_version=rollout.candidate_id, robot_id__in=members)
    return ours, found.filter(policy_version=rollout.baseline_id).exclude(robot_id__in=members)


def _is_left_out() -> Q:
    return Q(outcome=Outcome.ABORTED.value) | Q(is_archived=True) | Q(tags__contains=[INVALID_TAG])


def _counted(arm: QuerySet[Episode]) -> QuerySet[Episode]:
    return arm.exclude(_is_left_out())


def _left_out(arm: QuerySet[Episode]) -> int:
    return arm.filter(_is_left_out()).count()


def _settled_until(arms: Iterable[QuerySet[Episode]], *, now: datetime) -> datetime:
    """Return the time before which every episode that began is there: the oldest of the robots' newest ends."""
    recent = now - timedelta(seconds=SETTLE_S)
    ends: list[datetime] = []
    for arm in arms:
        newest = arm.order_by().values("robot").annotate(end=Max("ended_at"), indexed=Max("indexed_at"))
        ends += [row["end"] for row in newest if row["indexed"] > recent]
    return min(ends, default=now)


def _facts(arm: QuerySet[Episode], settled: datetime) -> list[Fact]:
    rows: Any = _counted(arm).filter(started_at__lt=settled).order_by("started_at", "index_seq")
    values = rows.values_list("task__slug", "outcome", "human_steps")[:MAX_ARM_EPISODES]
    return [Fact(slug, outcome == Outcome.SUCCESS.value and not human, human > 0) for slug, outcome, human in values]


def _refusals(rollout: Rollout) -> tuple[str, ...]:
    rows = PolicyDeployment.objects.filter(
        version=rollout.candidate_id, robot__in=rollout.robots.all(), refused_at__isnull=False, applied_at__isnull=True
    )
    final = rows.exclude(refused_code=PolicyDeployment.TRIED_ON).select_related("robot")
    return tuple(f"{row.robot.name} refused it: {row.refused_code}" for row in final)
