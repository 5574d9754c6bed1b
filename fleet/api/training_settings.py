"""What may be set of a training run, for forms: the learner's own fields with defaults, ranges, units and help."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.scopes import Needs, Scope
from fleet.selectors.training_settings import training_settings


class SettingOut(serializers.Serializer[Any]):
    """`path`: where it lies in `config`, by points. `kind`: integer, number, boolean, choice or text.

    `low` and `high` are allowed, `above` and `below` are not; null: no such limit. `is_optional`: null may be set.
    """

    path = serializers.CharField()
    group = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    kind = serializers.CharField()
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)
    is_optional = serializers.BooleanField()
    default = serializers.JSONField(allow_null=True)
    unit = serializers.CharField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    above = serializers.FloatField(allow_null=True)
    below = serializers.FloatField(allow_null=True)
    pattern = serializers.CharField(allow_null=True)
    help = serializers.CharField()


class AlgorithmOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    help = serializers.CharField()
    fields = SettingOut(many=True)  # type: ignore[assignment]


class TrainingSettingsOut(serializers.Serializer[Any]):
    """`fields`: of every run. `ascending`: paths whose values may not fall."""

    algorithms = AlgorithmOut(many=True)
    fields = SettingOut(many=True)  # type: ignore[assignment]
    ascending = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))


class TrainingSettingsView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(responses=TrainingSettingsOut)
    def get(self, request: Request) -> Response:
        """Return the algorithms that the learner has and every setting of a run."""
        return Response(training_settings())
