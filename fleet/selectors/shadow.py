"""What shadows show: on which robots, how far from what was executed, over time and by task, in words.

A mean distance is the sum of all proposals' distances over their number. Proposals of one episode go together, so its
95 % interval takes the episodes as units (statistics.ratio_of_sums). docs/rollout.md, "The distance", defines it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

from django.db.models import Q, QuerySet

from fleet.models import PolicyVersion, Robot, Shadow, ShadowResult, ShadowRobot, TrainingRun
from fleet.protocol.messages import SHADOW_CAPABILITY
from fleet.selectors.statistics import Interval, ratio_of_sums

MAX_ROWS = 50_000  # episodes of one shadow that its charts read, the newest
MAX_POINTS = 40  # of the chart over time
_ROW = (
    "episode__started_at",
    "episode__task__slug",
    "instants",
    "asked",
    "answered",
    "policy_n",
    "policy_total",
    "human_n",
    "human_total",
    "own_total",
)


@dataclass(frozen=True)
class ShadowFigures:
    """Of some episodes. `policy`: distance to what the executing version did. Where a human drove: `human` of the
    candidate, `own` of the executing version, `closer` own minus human, over the same proposals. Counts are of
    proposals; `episodes` of those with any, `human_episodes` of those in which a human drove under one."""

    episodes: int
    human_episodes: int
    instants: int
    asked: int
    answered: int
    policy_n: int
    human_n: int
    policy: Interval
    human: Interval
    own: Interval
    closer: Interval


@dataclass(frozen=True)
class ShadowPoint:
    """A stretch of time with about as many episodes as the others. `began_at`, `until`: of its first and last."""

    began_at: datetime
    until: datetime
    figures: ShadowFigures


@dataclass(frozen=True)
class ShadowTask:
    task: str
    figures: ShadowFigures


@dataclass(frozen=True)
class ShadowMember:
    """`state`: starting, fetching, running, refused, ended; unsupported: its daemon does not shadow; same_version: it
    drives with the candidate itself; retired. `text`: that in words."""

    robot: Robot
    state: str
    code: str
    text: str
    episodes: int


@dataclass(frozen=True)
class ShadowView:
    shadow: Shadow
    total: ShadowFigures
    members: list[ShadowMember]
    points: list[ShadowPoint]
    tasks: list[ShadowTask]
    sentence: str
    is_cut: bool


def shadows_open_of(*, robots: Iterable[Robot], now: datetime) -> dict[uuid.UUID, Shadow]:
    """Return by robot id what each shall shadow now."""
    ids = [robot.id for robot in robots if robot.retired_at is None and robot.is_approved]
    if not ids:
        return {}
    rows = ShadowRobot.objects.filter(robot_id__in=ids, ended_at__isnull=True, shadow__ended_at__isnull=True)
    found = rows.filter(shadow__ends_at__gt=now).select_related("shadow__version")
    return {row.robot_id: row.shadow for row in found}


def shadows_of(
    *, among: QuerySet[Shadow], run: TrainingRun | None = None, version: PolicyVersion | None = None
) -> QuerySet[Shadow]:
    """Return the shadows of a version, or of all versions of a run, the newest first."""
    rows = among.filter(version=version) if version is not None else among.filter(version__run=run)
    return rows.order_by("-began_at", "id")


def shadow_results(*, shadow: Shadow) -> QuerySet[ShadowResult]:
    """Return the episodes of a shadow, each with robot, task and the version that drove, the newest first."""
    return ShadowResult.objects.filter(shadow=shadow).select_related(
        "episode__robot", "episode__task", "episode__policy_version"
    )


def shadow_view(*, shadow: Shadow) -> ShadowView:
    """Return all that the page shows of one shadow."""
    rows = list(shadow_results(shadow=shadow).order_by("-id").values_list(*_ROW)[: MAX_ROWS + 1])
    is_cut, rows = len(rows) > MAX_ROWS, rows[:MAX_ROWS]
    rows.sort(key=lambda row: row[0])
    total, members = figures_of(rows), shadow_members(shadow=shadow)
    by_task = groupby(sorted(rows, key=lambda row: row[1]), key=lambda row: row[1])
    return ShadowView(
        shadow=shadow,
        total=total,
        members=members,
        points=_points(rows),
        tasks=[ShadowTask(slug, figures_of(list(group))) for slug, group in by_task],
        sentence=shadow_sentence(shadow, total, members),
        is_cut=is_cut,
    )


def figures_of(rows: Sequence[tuple[Any, ...]]) -> ShadowFigures:
    """Return the figures of these episodes; each row as _ROW names."""
    policy = [(row[6], row[5]) for row in rows if row[5]]
    human = [(row[8], row[7]) for row in rows if row[7]]
    own = [(row[9], row[7]) for row in rows if row[7]]
    closer = [(row[9] - row[8], row[7]) for row in rows if row[7]]
    return ShadowFigures(
        episodes=sum(1 for row in rows if row[4]),
        human_episodes=len(human),
        instants=sum(row[2] for row in rows),
        asked=sum(row[3] for row in rows),
        answered=sum(row[4] for row in rows),
        policy_n=sum(n for _, n in policy),
        human_n=sum(n for _, n in human),
        policy=_mean(policy),
        human=_mean(human),
        own=_mean(own),
        closer=_mean(closer, least=None),
    )


def shadow_members(*, shadow: Shadow) -> list[ShadowMember]:
    """Return the robots of a shadow by name, each with how far it is, in words."""
    rows = ShadowRobot.objects.filter(shadow=shadow).select_related("robot").order_by("robot__name")
    return [_member(shadow, row) for row in rows]


def shadow_sentence(shadow: Shadow, total: ShadowFigures, members: Sequence[ShadowMember]) -> str:
    """Say what was seen, in plain words, with n and interval."""
    name = f"Version {shadow.version.number}"
    if not total.answered:
        if shadow.ended_at is not None:
            return f"{name} proposed nothing: {shadow.reason}"
        waiting = [member for member in members if member.state in ("starting", "fetching", "running")]
        return f"{name} has proposed nothing yet. {_count(len(waiting), 'robot')} will shadow it, or do."
    skipped = f", {total.asked - total.answered:,} skipped" if total.asked > total.answered else ""
    text = f"{name} proposed {total.answered:,} times in {_count(total.episodes, 'episode')}{skipped}."
    if total.policy.value is not None:
        text += f" Its actions lay {_in_words(total.policy)} from what was executed (half an axis's range is 1)."
    return text + _about_humans(total)


def _about_humans(total: ShadowFigures) -> str:
    if total.closer.value is None:
        return " No human drove under a proposal."
    text = f" Where a human drove ({_count(total.human_episodes, 'episode')}) it lay {_in_words(total.human)} from them"
    low, high = total.closer.low, total.closer.high
    if low is None or high is None:
        return f"{text}; one episode is too few to compare."
    apart = f"by {abs(total.closer.value):.3f}, 95 % {_span(total.closer)}"
    if low > 0:
        return f"{text}, closer than the version that drove ({apart})."
    if high < 0:
        return f"{text}, further than the version that drove ({apart})."
    return f"{text}, and the version that drove {_in_words(total.own)}: no difference is shown ({apart})."


def _in_words(interval: Interval) -> str:
    assert interval.value is not None
    return f"{interval.value:.3f}" + (f" (95 % {_span(interval)})" if interval.low is not None else "")


def _span(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _mean(pairs: Sequence[tuple[float, int]], least: float | None = 0.0) -> Interval:
    """Return the mean over proposals of (sum, proposals) of each episode."""
    return ratio_of_sums(
        y=sum(total for total, _ in pairs),
        x=sum(n for _, n in pairs),
        yy=sum(total * total for total, _ in pairs),
        xx=sum(n * n for _, n in pairs),
        xy=sum(total * n for total, n in pairs),
        n=len(pairs),
        least=least,
    )


def _points(rows: Sequence[tuple[Any, ...]]) -> list[ShadowPoint]:
    """Cut the episodes, by their beginning, into at most MAX_POINTS parts of about one size, of at least five."""
    parts = min(MAX_POINTS, max(1, len(rows) // 5)) if rows else 0
    edges = [round(index * len(rows) / parts) for index in range(parts + 1)] if parts else []
    return [ShadowPoint(rows[low][0], rows[high - 1][0], figures_of(rows[low:high])) for low, high in pairwise(edges)]


def _member(shadow: Shadow, row: ShadowRobot) -> ShadowMember:
    state, text = row.state or "starting", ""
    robot = row.robot
    if shadow.ended_at is not None and state != "refused":
        state, text = "ended", "Ended."
    elif state == "refused":
        text = f"Refused ({row.code}): {row.message}"
    elif state == "ended":
        text = "Has its episodes."
    elif robot.retired_at is not None:
        state, text = "retired", "Is retired."
    elif robot.daemon_version and SHADOW_CAPABILITY not in robot.capabilities:
        state, text = "unsupported", f"Does not shadow (daemon {robot.daemon_version})."
    elif robot.policy_version_id == shadow.version_id:
        state, text = "same_version", "Drives with this version itself: nothing to compare."
    else:
        words = {"starting": "Was not heard yet.", "fetching": "Fetches and loads it.", "running": "Shadows."}
        text = words[state]
    return ShadowMember(robot=robot, state=state, code=row.code, text=text, episodes=row.episodes)


def shadows_due(*, now: datetime) -> Iterable[Shadow]:
    """Return open shadows whose time is over, or of which no robot has anything left to do."""
    open_ones = Shadow.objects.filter(ended_at__isnull=True)
    busy = ShadowRobot.objects.filter(ended_at__isnull=True).values("shadow_id")
    return open_ones.filter(Q(ends_at__lte=now) | ~Q(id__in=busy)).select_related("version__run")
