"""Training runs compared."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_training_runs, coverage_of
from fleet.api.training_runs import RateOut
from fleet.errors import InvalidRequest, NotFound
from fleet.models import TrainingRun
from fleet.scopes import Needs, Scope
from fleet.selectors.run_compare import MOST_RUNS, runs_compare


class RunCompareIn(serializers.Serializer[Any]):
    run = serializers.ListField(
        child=serializers.UUIDField(), min_length=2, max_length=MOST_RUNS, help_text="Repeated: two to four runs."
    )


class SettingRowOut(serializers.Serializer[Any]):
    """`values`: in the order of the runs; null where a run's algorithm has no such setting, or none was set."""

    path = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    group = serializers.CharField()
    unit = serializers.CharField()
    values = serializers.ListField(child=serializers.JSONField(allow_null=True))
    differs = serializers.BooleanField()


class MeanLossOut(serializers.Serializer[Any]):
    """Mean of the newest `n` reports with its 95 % interval, null for a single one."""

    mean = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class ComparedRunOut(serializers.Serializer[Any]):
    """`autonomous`: success without help over all episodes that its versions drove, `interventions` likewise.

    `success`: its trend, parts of equally many episodes, oldest first.
    """

    id = serializers.UUIDField(source="run.id")
    name = serializers.CharField(source="run.name")
    state = serializers.CharField(source="run.state")
    step = serializers.IntegerField(source="run.step")
    versions = serializers.IntegerField()
    steps_per_s = serializers.FloatField()
    loss = MeanLossOut(allow_null=True)
    ingested = serializers.IntegerField()
    autonomous = RateOut(source="rates.success", allow_null=True)
    interventions = RateOut(source="rates.interventions", allow_null=True)
    success = RateOut(many=True)


class RunCompareOut(serializers.Serializer[Any]):
    runs = ComparedRunOut(many=True)
    settings = SettingRowOut(many=True)


class RunCompareView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[RunCompareIn], responses=RunCompareOut)
    def get(self, request: Request) -> Response:
        """Return two to four runs side by side, in the order they are named."""
        query = RunCompareIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        ids = query.validated_data["run"]
        if len(set(ids)) != len(ids):
            raise InvalidRequest("a run is compared with others, not with itself", field="run")
        rows = access_training_runs(request.user).select_related("dataset_version__dataset").prefetch_related("tasks")
        found: dict[Any, TrainingRun] = rows.in_bulk(ids)
        if len(found) != len(ids):
            raise NotFound("there is no such training run")
        settings, columns = runs_compare(runs=[found[each] for each in ids], coverage=coverage_of(request.user))
        return Response(RunCompareOut({"runs": columns, "settings": settings}).data)
