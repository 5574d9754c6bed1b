"""Charts: autonomous success over time."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_training_run_by_id, coverage_of
from fleet.scopes import Needs, Scope
from fleet.selectors.success import success_series


class SuccessIn(serializers.Serializer[Any]):
    window_s = serializers.IntegerField(min_value=10, max_value=30 * 86400, default=300)
    task = serializers.SlugField(required=False, default=None)
    run = serializers.UUIDField(required=False, default=None, help_text="Only episodes that its versions drove.")


class SuccessPoint(serializers.Serializer[Any]):
    at_ms = serializers.IntegerField()
    successes = serializers.IntegerField()
    n = serializers.IntegerField()
    rate = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class VersionMark(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    published_ms = serializers.IntegerField()


class SuccessOut(serializers.Serializer[Any]):
    definition = serializers.CharField()
    confidence = serializers.FloatField()
    window_s = serializers.IntegerField()
    points = SuccessPoint(many=True)
    versions = VersionMark(many=True)


class SuccessView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(
        parameters=[SuccessIn],
        responses=SuccessOut,
    )
    def get(self, request: Request) -> Response:
        """Return autonomous success in a sliding window, with n and its 95 % Wilson interval at every point."""
        query = SuccessIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        run = None if asked["run"] is None else access_training_run_by_id(request.user, asked["run"])
        coverage = coverage_of(request.user)
        series = success_series(window_s=asked["window_s"], task_slug=asked["task"], run=run, coverage=coverage)
        return Response(SuccessOut(series).data)
