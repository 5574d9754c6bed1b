"""What a rule finds now: one reading of each subject, from the same numbers as the reports. Changes nothing.

Called every few seconds by services/alert_watch.py and by the rule editor's preview.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import Max, QuerySet

from fleet import live
from fleet.models import Alert, AlertRule, Robot, RunMetric, Task, TrainingRound, TrainingRun
from fleet.selectors.alert_kinds import (
    FALLING,
    BacklogParams,
    OfflineParams,
    Params,
    RateParams,
    RefusalParams,
    StalenessParams,
    StallParams,
    alert_params,
    clear_at,
)
from fleet.selectors.alert_words import interval_words, span_words, value_words
from fleet.selectors.buckets import widened
from fleet.selectors.episode_refusal import episode_refusal_counts
from fleet.selectors.loop import SPANS, span_total
from fleet.selectors.measures import MEASURES, Estimate
from fleet.selectors.metrics import MetricFilter, metrics_by
from fleet.selectors.statistics import jeffreys

Subject = Alert.Subject


class Finding(StrEnum):
    """Between: neither sure enough to fire nor good enough to clear; an open alert stays, none opens."""

    FIRING = "firing"
    BETWEEN = "between"
    CLEAR = "clear"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a rule is narrowed to; empty: all."""

    tasks: Sequence[Task] = ()
    robots: Sequence[Robot] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """`text`: the finding in words. `low`, `high`: the 95 % interval, None where the value is simply known."""

    subject_kind: Alert.Subject
    subject_id: str
    subject_name: str
    finding: Finding
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    text: str


def scope_of(rule: AlertRule) -> Scope:
    return Scope(tasks=list(rule.tasks.all()), robots=list(rule.robots.all()))


def alert_readings(*, kind: str, params: object, scope: Scope, now: datetime) -> list[Reading]:
    """Return one reading of each subject that can be measured now. Raises: InvalidRequest."""
    asked: Params = alert_params(kind, params)
    if isinstance(asked, RateParams):
        return _rates(asked, scope, now)
    if isinstance(asked, OfflineParams):
        return _offline(asked, scope, now)
    if isinstance(asked, BacklogParams):
        return _backlog(asked, scope)
    if isinstance(asked, RefusalParams):
        return _refusals(asked, scope, now)
    if isinstance(asked, StallParams):
        return _stalls(asked, now)
    return _staleness(asked, scope, now)


def _filter(scope: Scope, window_s: float, now: datetime) -> MetricFilter:
    start, end = widened(now - timedelta(seconds=window_s), now)
    tasks, robots = tuple(task.slug for task in scope.tasks), tuple(robot.id for robot in scope.robots)
    return MetricFilter(start=start, end=end, tasks=tasks, robots=robots)


def _rates(asked: RateParams, scope: Scope, now: datetime) -> list[Reading]:
    measure = MEASURES[asked.measure]
    groups, _ = metrics_by(
        asked=_filter(scope, asked.window_s, now), group=asked.by, measures=[asked.measure], limit=None
    )
    found = []
    for group in groups:
        estimate = _estimate(asked, group.estimates[0])
        if group.key == "none" or estimate.value is None:
            continue
        falls = asked.measure in FALLING
        said = interval_words(estimate.value, estimate.low, estimate.high, measure.unit)
        limit = value_words(asked.threshold, measure.unit)
        finding = _rate_finding(asked, estimate, falls=falls)
        text = (
            f"{measure.title} of {'task ' if asked.by == 'task' else ''}{group.label} over the last "
            f"{span_words(asked.window_s)} is {said}, n = {estimate.n}; the limit is {limit}"
        )
        if finding is Finding.FIRING:
            text += f", and the whole 95 % interval lies {'below' if falls else 'above'} it"
        elif estimate.n < asked.min_n:
            text += f"; n is under {asked.min_n}, too few to tell"
        found.append(
            Reading(
                subject_kind=Subject.TASK if asked.by == "task" else Subject.VERSION,
                subject_id=group.key,
                subject_name=group.label,
                finding=finding,
                unit=measure.unit,
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                n=estimate.n,
                text=f"{text}.",
            )
        )
    return found


def _estimate(asked: RateParams, found: Estimate) -> Estimate:
    """The measure's own interval, or Jeffreys' in its place."""
    if asked.interval != "jeffreys" or found.n == 0:
        return found
    low, high = jeffreys(successes=round(found.events), n=found.n)
    return Estimate(found.value, low, high, found.n, found.events, found.exposure)


def _rate_finding(asked: RateParams, estimate: Estimate, *, falls: bool) -> Finding:
    value, low, high = estimate.value, estimate.low, estimate.high
    assert value is not None  # the caller left such groups out
    is_back = value >= asked.threshold if falls else value <= asked.threshold
    if estimate.n < asked.min_n:
        return Finding.BETWEEN if asked.measure != "interventions" or not is_back else Finding.CLEAR
    if falls and high is not None and high < asked.threshold:
        return Finding.FIRING
    if not falls and low is not None and low > asked.threshold:
        return Finding.FIRING
    return Finding.CLEAR if is_back else Finding.BETWEEN


def _robots(scope: Scope) -> QuerySet[Robot]:
    rows = Robot.objects.filter(retired_at__isnull=True, is_approved=True)
    return rows.filter(id__in=[robot.id for robot in scope.robots]) if scope.robots else rows


def _offline(asked: OfflineParams, scope: Scope, now: datetime) -> list[Reading]:
    """Robots that were connected at least once; of the others nobody knows whether they are there yet."""
    robots = list(_robots(scope).filter(last_seen_at__isnull=False))
    found = []
    for robot, status in zip(robots, live.statuses_get([robot.id for robot in robots]), strict=True):
        assert robot.last_seen_at is not None  # filtered
        silent_s = 0.0 if status is not None else max(0.0, (now - robot.last_seen_at).total_seconds())
        is_firing = silent_s > asked.after_s
        finding = Finding.FIRING if is_firing else Finding.CLEAR if status is not None else Finding.BETWEEN
        limit = f"the limit is {span_words(asked.after_s)}"
        state = "is connected" if status is not None else f"has been offline for {span_words(silent_s)}"
        text = f"{robot.name} {state}; {limit}."
        found.append(_robot_reading(robot, finding, "s", silent_s, text))
    return found


def _robot_reading(robot: Robot, finding: Finding, unit: str, value: float, text: str) -> Reading:
    return Reading(
        subject_kind=Subject.ROBOT,
        subject_id=str(robot.id),
        subject_name=robot.name,
        finding=finding,
        unit=unit,
        value=value,
        text=text,
    )


def _backlog(asked: BacklogParams, scope: Scope) -> list[Reading]:
    """A robot that is offline cannot say what lies on it: nothing is concluded from its silence."""
    robots = list(_robots(scope))
    waiting: dict[uuid.UUID, int] = {
        robot.id: status.status.spool.pending_episodes
        for robot, status in zip(robots, live.statuses_get([robot.id for robot in robots]), strict=True)
        if status is not None
    }
    if asked.by == "robot":
        return [
            _robot_reading(robot, _level(asked, n), "episodes", n, _backlog_words(robot.name, n, asked))
            for robot in robots
            if (n := waiting.get(robot.id)) is not None
        ]
    total, heard = sum(waiting.values()), len(waiting)
    finding = _level(asked, total)
    if finding is Finding.CLEAR and heard < len(robots):
        finding = Finding.BETWEEN  # the others may hold more
    text = f"On {heard} of {len(robots)} robots that are connected, together, {_backlog_words('', total, asked)}"
    return [_fleet_reading(finding, "episodes", total, n=heard, text=text)]


def _backlog_words(name: str, n: int, asked: BacklogParams) -> str:
    where = f"{name}: " if name else ""
    return f"{where}{n} episodes wait for their upload; the limit is {asked.above}."


def _level(asked: BacklogParams, value: float) -> Finding:
    if value > asked.above:
        return Finding.FIRING
    return Finding.CLEAR if value <= clear_at(asked) else Finding.BETWEEN


def _refusals(asked: RefusalParams, scope: Scope, now: datetime) -> list[Reading]:
    """They lie on the robot and nobody trains on them: somebody should know."""
    robots = list(_robots(scope))
    counts = episode_refusal_counts(robots=robots, since=now - timedelta(seconds=asked.window_s))
    found = []
    for robot in robots:
        n = counts.get(robot.id, 0)
        text = f"{robot.name}: {n} episodes were refused for good within {span_words(asked.window_s)} and lie on it"
        finding = Finding.FIRING if n > asked.above else Finding.CLEAR
        found.append(_robot_reading(robot, finding, "episodes", n, f"{text}; the limit is {asked.above}."))
    return found


def _fleet_reading(
    finding: Finding, unit: str, value: float, *, n: int, text: str, low: float | None = None, high: float | None = None
) -> Reading:
    return Reading(
        subject_kind=Subject.FLEET, subject_id="", subject_name="fleet", finding=finding, unit=unit, value=value,
        low=low, high=high, n=n, text=text,
    )  # fmt: skip


def _stalls(asked: StallParams, now: datetime) -> list[Reading]:
    """A run that runs makes steps, or somebody should know why not: no learner, no data, or one that hangs."""
    found = []
    for run in TrainingRun.objects.filter(state=TrainingRun.State.RUNNING):
        stepped = RunMetric.objects.filter(run=run).order_by("-step").values_list("at", flat=True).first()
        committed = TrainingRound.objects.filter(run=run).aggregate(at=Max("committed_at"))["at"]
        known = [at for at in (run.started_at, stepped, committed) if at is not None]
        silent_s = max(0.0, (now - max([run.created_at, *known])).total_seconds())
        is_firing = silent_s > asked.after_s
        text = f"Training run {run.name} has made no step for {span_words(silent_s)}, at step {run.step}"
        found.append(
            Reading(
                subject_kind=Subject.RUN,
                subject_id=str(run.id),
                subject_name=run.name,
                finding=Finding.FIRING if is_firing else Finding.CLEAR,
                unit="s",
                value=silent_s,
                text=f"{text}; the limit is {span_words(asked.after_s)}.",
            )
        )
    return found


def _staleness(asked: StalenessParams, scope: Scope, now: datetime) -> list[Reading]:
    span = next(span for span in SPANS if span.name == asked.span)
    spread = span_total(name=asked.span, asked=_filter(scope, asked.window_s, now))
    value, low, high = getattr(spread, asked.quantile)
    if value is None:
        return []
    if spread.n >= asked.min_n and low is not None and low > asked.above:
        finding = Finding.FIRING
    elif spread.n >= asked.min_n and value <= clear_at(asked):
        finding = Finding.CLEAR
    else:
        finding = Finding.BETWEEN
    said = interval_words(value, low, high, span.unit)
    text = (
        f"{span.title}, {asked.quantile} over the last {span_words(asked.window_s)}, is {said}, n = {spread.n}; the "
        f"limit is {value_words(asked.above, span.unit)}."
    )
    return [_fleet_reading(finding, span.unit, value, n=spread.n, text=text, low=low, high=high)]
