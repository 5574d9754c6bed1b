"""Charts: autonomous success over time."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.selectors.success import success_series


class SuccessIn(serializers.Serializer[Any]):
    window_s = serializers.IntegerField(min_value=10, max_value=30 * 86400, default=300)
    task = serializers.SlugField(required=False, default=None)


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
    @extend_schema(
        parameters=[OpenApiParameter("window_s", int), OpenApiParameter("task", str)],
        responses=SuccessOut,
    )
    def get(self, request: Request) -> Response:
        """Return autonomous success in a sliding window, with n and its 95 % Wilson interval at every point."""
        query = SuccessIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        series = success_series(window_s=query.validated_data["window_s"], task_slug=query.validated_data["task"])
        return Response(SuccessOut(series).data)
