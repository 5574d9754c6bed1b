"""The system's own state for the status page: the same numbers as `/readyz` and the metrics."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import coverage_of
from fleet.coverage import Coverage
from fleet.scopes import Needs, Scope
from fleet.selectors.latency import latency_report
from fleet.selectors.readiness import Readiness, readiness
from fleet.selectors.system import (
    learner_state,
    queue_states,
    robot_counts,
    store_state,
    worker_silence,
    worker_states,
)
from fleet.task_watch import SCHEDULER

LATENCY_WINDOW = timedelta(hours=1)


class PartOut(serializers.Serializer[Any]):
    """`state`: ready, timeout, failed or a code of docs/api-errors.md."""

    name = serializers.CharField()
    state = serializers.CharField()
    took_ms = serializers.FloatField()


class QueueOut(serializers.Serializer[Any]):
    """`worker_silent_s`: since any worker of it was heard; null if none was within a day."""

    name = serializers.CharField()
    length = serializers.IntegerField()
    oldest_s = serializers.FloatField(allow_null=True)
    worker_silent_s = serializers.FloatField(allow_null=True)


class WorkerOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    queues = serializers.ListField(child=serializers.CharField())
    silent_s = serializers.FloatField()


class LearnerOut(serializers.Serializer[Any]):
    """Of the running runs together. Ages are null where there is nothing yet."""

    running = serializers.IntegerField()
    failed = serializers.IntegerField()
    silent_s = serializers.FloatField(allow_null=True)
    round_age_s = serializers.FloatField(allow_null=True)
    version_age_s = serializers.FloatField(allow_null=True)


class StoreOut(serializers.Serializer[Any]):
    """`kind`: folder or bucket; a bucket has no end, so both sizes are null."""

    kind = serializers.CharField()
    free_bytes = serializers.IntegerField(allow_null=True)
    size_bytes = serializers.IntegerField(allow_null=True)


class RobotCountsOut(serializers.Serializer[Any]):
    online = serializers.IntegerField()
    offline = serializers.IntegerField()


class LatencyOut(serializers.Serializer[Any]):
    """Of `n` spans of the last hour, in seconds."""

    name = serializers.CharField()
    n = serializers.IntegerField()
    p50 = serializers.FloatField(allow_null=True)
    p90 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)


class StatusOut(serializers.Serializer[Any]):
    """`queues`, `workers`, `robots`: null while Redis does not answer. Robots and latencies: of what the asker sees."""

    is_ready = serializers.BooleanField()
    checked_ms = serializers.IntegerField()
    parts = PartOut(many=True)
    queues = QueueOut(many=True, allow_null=True)
    workers = WorkerOut(many=True, allow_null=True)
    scheduler_silent_s = serializers.FloatField(allow_null=True)
    learner = LearnerOut()
    store = StoreOut()
    robots = RobotCountsOut(allow_null=True)
    latencies = LatencyOut(many=True)


class StatusView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=StatusOut)
    def get(self, request: Request) -> Response:
        """Return how each part of the system is, what waits, which workers live, and how long experience travels."""
        found, coverage = readiness(), coverage_of(request.user)
        since = timezone.now() - LATENCY_WINDOW
        body = {
            "is_ready": found.is_ready,
            "checked_ms": round(found.checked_at * 1000),
            "parts": [{"name": each.name, "state": each.code, "took_ms": each.took_s * 1000} for each in found.parts],
            **_behind_redis(found, coverage),
            "learner": asdict(learner_state()),
            "store": asdict(store_state()),
            "latencies": [
                {"name": name, **values} for name, values in latency_report(since=since, coverage=coverage).items()
            ],
        }
        return Response(StatusOut(body).data, headers={"Cache-Control": "no-store"})


def _behind_redis(found: Readiness, coverage: Coverage) -> dict[str, object]:
    """Ask Redis only if it answers: the page is there to say that it does not."""
    if not all(part.is_ready for part in found.parts if part.name == "redis"):
        return {"queues": None, "workers": None, "scheduler_silent_s": None, "robots": None}
    workers = worker_states()
    silence = worker_silence(workers)
    return {
        "queues": [{**asdict(each), "worker_silent_s": silence[each.name]} for each in queue_states()],
        "workers": [asdict(each) for each in workers],
        "scheduler_silent_s": silence[SCHEDULER],
        "robots": robot_counts(coverage),
    }
