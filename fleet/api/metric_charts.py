"""The charts' data: measures over time and by group, the loop's latencies, operators, robots, the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_tasks, access_training_run_by_id
from fleet.api.metric_query import MetricQuery, MetricQueryIn, metric_query, metric_robots
from fleet.api.training_runs import RateOut
from fleet.clock import to_ms
from fleet.models import TrainingRun
from fleet.scopes import Needs, Scope
from fleet.selectors import operators, robot_states, target
from fleet.selectors.buckets import buckets_of
from fleet.selectors.loop import Spread, backlog, pending_now, span_series
from fleet.selectors.measures import MEASURES, Estimate
from fleet.selectors.metrics import metrics_by, metrics_over_time, metrics_total
from fleet.selectors.policy import policy_versions_newest
from fleet.selectors.training import fleet_run


class EstimateOut(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()
    events = serializers.FloatField()
    exposure = serializers.FloatField()


class MeasureOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField()
    n_of = serializers.CharField()
    definition = serializers.CharField()
    interval = serializers.CharField()
    is_higher_better = serializers.BooleanField(allow_null=True)


class RangeOut(serializers.Serializer[Any]):
    """The range that was counted, and the size of its buckets. `is_limited`: over what the asker's groups cover."""

    since_ms = serializers.IntegerField()
    until_ms = serializers.IntegerField()
    by = serializers.CharField()
    tz = serializers.CharField()
    is_limited = serializers.BooleanField()


class PointOut(serializers.Serializer[Any]):
    """`estimates`: in the order of `measures`."""

    since_ms = serializers.IntegerField()
    until_ms = serializers.IntegerField()
    estimates = EstimateOut(many=True)


class MarkOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    published_ms = serializers.IntegerField()


class TargetOut(serializers.Serializer[Any]):
    task = serializers.CharField()
    target = serializers.FloatField()


class OverTimeOut(serializers.Serializer[Any]):
    range = RangeOut()
    measures = MeasureOut(many=True)
    total = EstimateOut(many=True)
    points = PointOut(many=True)
    targets = TargetOut(many=True)
    versions = MarkOut(many=True)


class MetricGroupOut(serializers.Serializer[Any]):
    """`key`: what the library's filter takes. `at_ms`: when a version was published."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the stubs mean the serializer's own label
    at_ms = serializers.IntegerField(allow_null=True)
    estimates = EstimateOut(many=True)


class ByGroupOut(serializers.Serializer[Any]):
    range = RangeOut()
    measures = MeasureOut(many=True)
    group = serializers.CharField()
    groups = MetricGroupOut(many=True)
    left_out = serializers.IntegerField()


class OverTimeView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[MetricQueryIn], responses=OverTimeOut)
    def get(self, request: Request) -> Response:
        """Return measures of the episodes by bucket of time, each with its n and 95 % interval, empty buckets too."""
        query = metric_query(request)
        buckets, points = metrics_over_time(
            asked=query.asked, measures=query.measures, zone=query.zone, size=query.size
        )
        _, total = metrics_total(asked=query.asked, measures=query.measures)
        tasks = access_tasks(request.user)
        tasks = tasks.filter(slug__in=query.asked.tasks) if query.asked.tasks else tasks.filter(is_active=True)
        return Response({
            "range": _range(query, buckets.size),
            "measures": _measures(query.measures),
            "total": _estimates(total),
            "points": [{**_ends(point.start, point.end), "estimates": _estimates(point.estimates)} for point in points],
            "targets": [{"task": task.slug, "target": task.target_rate} for task in tasks],
            "versions": _versions(query),
        })  # fmt: skip


class ByGroupView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[MetricQueryIn], responses=ByGroupOut)
    def get(self, request: Request, group: str) -> Response:
        """Return measures by task, robot or version; versions by age, the newest 100."""
        query = metric_query(request)
        groups, left_out = metrics_by(asked=query.asked, group=group, measures=query.measures)
        return Response({
            "range": _range(query, query.size),
            "measures": _measures(query.measures),
            "group": group,
            "groups": [
                {
                    "key": each.key,
                    "label": each.label,
                    "at_ms": to_ms(each.at) if each.at else None,
                    "estimates": _estimates(each.estimates),
                }
                for each in groups
            ],
            "left_out": left_out,
        })  # fmt: skip


class ReferenceOut(serializers.Serializer[Any]):
    source = serializers.CharField()  # type: ignore[assignment]  # as above
    p50_s = serializers.FloatField()
    p99_s = serializers.FloatField()


class SpanOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField()
    per = serializers.CharField()
    definition = serializers.CharField()
    reference = ReferenceOut(allow_null=True)


class QuantileOut(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class PercentilesOut(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    p50 = QuantileOut()
    p90 = QuantileOut()
    p99 = QuantileOut()
    max = serializers.FloatField(allow_null=True)


class SpanSeriesOut(serializers.Serializer[Any]):
    """`points`: one a bucket."""

    span = SpanOut()
    total = PercentilesOut()
    points = PercentilesOut(many=True)


class LoopOut(serializers.Serializer[Any]):
    """`edges_ms`: one more than there are buckets. `backlog`: at each bucket's end. `pending`: in the spools now."""

    range = RangeOut()
    edges_ms = serializers.ListField(child=serializers.IntegerField())
    spans = SpanSeriesOut(many=True)
    backlog = serializers.ListField(child=serializers.IntegerField())
    pending = serializers.IntegerField()


class LoopView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[MetricQueryIn], responses=LoopOut)
    def get(self, request: Request) -> Response:
        """Return every latency of the loop and the staleness as percentiles over time, and the backlog of uploads."""
        query, edges, size = _edges(request)
        robots = metric_robots(request, query.asked)
        return Response({
            "range": _range(query, size),
            "edges_ms": [to_ms(edge) for edge in edges],
            "spans": [
                {
                    "span": asdict(series.span),
                    "total": _spread(series.total),
                    "points": [_spread(point) for point in series.points],
                }
                for series in span_series(asked=query.asked, edges=edges)
            ],
            "backlog": backlog(asked=query.asked, edges=edges),
            "pending": pending_now(robot_ids=[robot.id for robot in robots]),
        })  # fmt: skip


class ShortSpreadOut(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    p50_s = serializers.FloatField(allow_null=True)
    p90_s = serializers.FloatField(allow_null=True)


class WaitsOut(serializers.Serializer[Any]):
    answered = serializers.IntegerField()
    unanswered = serializers.IntegerField()
    waiting = ShortSpreadOut()
    service = ShortSpreadOut()


class OperatorRowOut(serializers.Serializer[Any]):
    operator = serializers.CharField()
    takeovers = serializers.IntegerField()
    switches = serializers.IntegerField()
    robots = serializers.IntegerField()
    dwell = ShortSpreadOut()
    held_s = serializers.FloatField()
    utilisation = serializers.FloatField()


class OperatorsOut(serializers.Serializer[Any]):
    range = RangeOut()
    edges_ms = serializers.ListField(child=serializers.IntegerField())
    definitions = serializers.DictField(child=serializers.CharField())
    total = WaitsOut()
    points = WaitsOut(many=True)
    operators = OperatorRowOut(many=True)
    is_cut = serializers.BooleanField()


class OperatorsView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[MetricQueryIn], responses=OperatorsOut)
    def get(self, request: Request) -> Response:
        """Return waiting and service times over time, and each operator's takeovers, switches and utilisation."""
        query, edges, size = _edges(request)
        report = operators.operator_report(asked=query.asked, edges=edges)
        head = {"range": _range(query, size), "edges_ms": [to_ms(edge) for edge in edges]}
        return Response({**head, "definitions": operators.DEFINITIONS, **asdict(report)})


class RobotTimeOut(serializers.Serializer[Any]):
    robot_id = serializers.UUIDField()
    robot = serializers.CharField()
    seconds = serializers.DictField(child=serializers.FloatField())


class RobotStatesOut(serializers.Serializer[Any]):
    range = RangeOut()
    edges_ms = serializers.ListField(child=serializers.IntegerField())
    definition = serializers.CharField()
    states = serializers.ListField(child=serializers.CharField())
    points = serializers.ListField(child=serializers.DictField(child=serializers.FloatField()))
    robots = RobotTimeOut(many=True)


class RobotStatesView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(parameters=[MetricQueryIn], responses=RobotStatesOut)
    def get(self, request: Request) -> Response:
        """Return how long robots worked, waited, were blocked and offline, in seconds by bucket and by robot."""
        query, edges, size = _edges(request)
        robots = metric_robots(request, query.asked)
        report = robot_states.robot_state_report(robots=robots, edges=edges)
        return Response({
            "range": _range(query, size),
            "edges_ms": [to_ms(edge) for edge in edges],
            "definition": robot_states.DEFINITION,
            "states": robot_states.STATES,
            **asdict(report),
        })  # fmt: skip


class TargetReachedOut(serializers.Serializer[Any]):
    task = serializers.CharField()
    target = serializers.FloatField()
    reached_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    at_reaching = RateOut(allow_null=True)
    newest = RateOut(allow_null=True)


class TimeToTargetOut(serializers.Serializer[Any]):
    """`run` is null before there is one."""

    definition = serializers.CharField()
    run = serializers.CharField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    tasks = TargetReachedOut(many=True)


class TimeToTargetView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[MetricQueryIn], responses=TimeToTargetOut)
    def get(self, request: Request) -> Response:
        """Return for each task when its target was first reached in a run: the one asked for, else the fleet's.

        Of the filter only `run` and `task` count: a run's time to target does not depend on what is looked at.
        """
        asked = metric_query(request).asked
        run = access_training_run_by_id(request.user, asked.run) if asked.run else fleet_run()
        if run is None:
            return Response({"definition": target.DEFINITION, "run": None, "started_at": None, "tasks": []})
        tasks = access_tasks(request.user).order_by("slug")
        tasks = tasks.filter(slug__in=asked.tasks) if asked.tasks else tasks.filter(is_active=True)
        found = {
            "definition": target.DEFINITION,
            "run": run.name,
            "started_at": target.run_started_at(run),
            "tasks": [
                asdict(each)
                for each in target.time_to_target(run=run, tasks=list(tasks[:100]), coverage=asked.coverage)
            ],
        }
        return Response(TimeToTargetOut(found).data)


def _edges(request: Request) -> tuple[MetricQuery, tuple[datetime, ...], str]:
    query = metric_query(request)
    found = buckets_of(start=query.asked.start, end=query.asked.end, zone=query.zone, size=query.size)
    return query, found.edges, found.size


def _range(query: MetricQuery, size: str) -> dict[str, Any]:
    ends, is_limited = _ends(query.asked.start, query.asked.end), not query.asked.coverage.is_whole
    return {**ends, "by": size, "tz": query.zone.key, "is_limited": is_limited}


def _ends(start: datetime, end: datetime) -> dict[str, int]:
    return {"since_ms": to_ms(start), "until_ms": to_ms(end)}


def _measures(names: Sequence[str]) -> list[dict[str, Any]]:
    return [dict(MeasureOut(MEASURES[name]).data) for name in names]


def _estimates(estimates: Sequence[Estimate]) -> list[dict[str, Any]]:
    return [vars(estimate) for estimate in estimates]


def _spread(found: Spread) -> dict[str, Any]:
    quantiles = {
        name: dict(zip(("value", "low", "high"), getattr(found, name), strict=True)) for name in ("p50", "p90", "p99")
    }
    return {"n": found.n, **quantiles, "max": found.max}


def _versions(query: MetricQuery) -> list[dict[str, int]]:
    """Return marks of the run's versions that were published in the range."""
    run = TrainingRun.objects.filter(id=query.asked.run).first() if query.asked.run else fleet_run()
    return [
        {"number": version.number, "published_ms": to_ms(version.published_at)}
        for version in policy_versions_newest(run=run)
        if query.asked.start <= version.published_at < query.asked.end
    ]
