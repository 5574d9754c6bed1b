"""Comparisons: two versions or two periods, and which version is best."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_policy_versions
from fleet.api.metric_charts import EstimateOut
from fleet.api.metric_query import MetricQueryIn, metric_query
from fleet.clock import to_ms
from fleet.errors import InvalidRequest, NotFound
from fleet.scopes import Needs, Scope
from fleet.selectors.buckets import widened
from fleet.selectors.comparison import METHOD, Comparison, best_version, comparison
from fleet.selectors.measures import MEASURES, Crew, Split
from fleet.selectors.metrics import MetricFilter

SHOWN = ("success", "unaided", "interventions", "human_share", "throughput_sop")


class SuccessMeasureIn(serializers.Serializer[Any]):
    of = serializers.ChoiceField(choices=["unaided", "success"], default="unaided", help_text="Which success rate.")


class CompareIn(SuccessMeasureIn):
    """Two versions (`first`, `second`) or two periods (`first_since` to `second_until`); the rest filters both."""

    first = serializers.UUIDField(required=False, default=None)
    second = serializers.UUIDField(required=False, default=None)
    first_since = serializers.DateTimeField(required=False, default=None)
    first_until = serializers.DateTimeField(required=False, default=None)
    second_since = serializers.DateTimeField(required=False, default=None)
    second_until = serializers.DateTimeField(required=False, default=None)


class MetricDifferenceOut(serializers.Serializer[Any]):
    """First minus second. `confidence`: that the first is really higher. `strata`: tasks that both worked at."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    confidence = serializers.FloatField()
    strata = serializers.IntegerField()


class SideOut(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]  # the stubs mean the serializer's own label
    estimates = serializers.DictField(child=EstimateOut())


class MetricCompareOut(serializers.Serializer[Any]):
    method = serializers.CharField()
    of = serializers.CharField()
    first = SideOut()
    second = SideOut()
    n = serializers.ListField(child=serializers.IntegerField())
    success = MetricDifferenceOut(allow_null=True)
    interventions = MetricDifferenceOut(allow_null=True)
    sentence = serializers.CharField()
    interventions_sentence = serializers.CharField()


class RankedOut(serializers.Serializer[Any]):
    """`chance`: the probability that this version's true rate is the highest; null with fewer than 10 episodes."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the stubs mean the serializer's own label
    at_ms = serializers.IntegerField(allow_null=True)
    chance = serializers.FloatField(allow_null=True)
    estimate = EstimateOut()


class EndsOut(serializers.Serializer[Any]):
    """The range that was counted."""

    since_ms = serializers.IntegerField()
    until_ms = serializers.IntegerField()


class BestOut(serializers.Serializer[Any]):
    range = EndsOut()
    of = serializers.CharField()
    definition = serializers.CharField()
    sentence = serializers.CharField()
    versions = RankedOut(many=True)
    left_out = serializers.IntegerField()


class CompareView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[MetricQueryIn, CompareIn], responses=MetricCompareOut)
    def get(self, request: Request) -> Response:
        """Return the difference of two versions or periods in success and interventions, and what it means in words."""
        asked = metric_query(request).asked
        query = CompareIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        values = query.validated_data
        if values["first"] is not None or values["second"] is not None:
            sides, labels = _versions(request, asked, values)
        else:
            sides, labels = _periods(asked, values)
        found = comparison(first=sides[0], second=sides[1], measure=values["of"])
        return Response(_compared(found, labels))


class BestVersionView(APIView):
    needs = Needs(read=Scope.TRAINING_READ)

    @extend_schema(parameters=[MetricQueryIn, SuccessMeasureIn], responses=BestOut)
    def get(self, request: Request) -> Response:
        """Return the versions by how likely each is the best of them, among the episodes asked for."""
        asked = metric_query(request).asked
        query = SuccessMeasureIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        of = query.validated_data["of"]
        found = best_version(asked=asked, measure=of)
        versions = [
            {
                "key": each.group.key,
                "label": each.group.label,
                "at_ms": to_ms(each.group.at) if each.group.at else None,
                "chance": each.chance,
                "estimate": vars(each.group.estimates[0]),
            }
            for each in found.versions
        ]
        definition = (
            f"{MEASURES[of].definition} Probability of being best: independent Jeffreys posteriors of all versions "
            "listed, which takes the episodes of one version to be alike. Tasks are not told apart: choose one."
        )
        answer = {"of": of, "definition": definition, "sentence": found.sentence, "versions": versions}
        ends = {"since_ms": to_ms(asked.start), "until_ms": to_ms(asked.end)}
        return Response({"range": ends, **answer, "left_out": found.left_out})


def _versions(
    request: Request, asked: MetricFilter, values: dict[str, Any]
) -> tuple[tuple[MetricFilter, MetricFilter], tuple[str, str]]:
    ids = (values["first"], values["second"])
    if None in ids:
        raise InvalidRequest("a comparison takes two versions", field="second" if ids[1] is None else "first")
    if ids[0] == ids[1]:
        raise InvalidRequest("a version is compared with another one", field="second")
    rows = access_policy_versions(request.user).filter(id__in=ids).values_list("id", "number", "run__name")
    names = {pk: f"v{number} of {run}" for pk, number, run in rows}
    if len(names) != 2:
        raise NotFound("there is no such version")
    sides = (replace(asked, versions=(ids[0],)), replace(asked, versions=(ids[1],)))
    return sides, (names[ids[0]], names[ids[1]])


def _periods(asked: MetricFilter, values: dict[str, Any]) -> tuple[tuple[MetricFilter, MetricFilter], tuple[str, str]]:
    names = ("first_since", "first_until", "second_since", "second_until")
    missing = next((name for name in names if values[name] is None), None)
    if missing is not None:
        raise InvalidRequest("a comparison takes two versions, or the ends of two periods", field=missing)
    first = widened(values["first_since"], values["first_until"])
    second = widened(values["second_since"], values["second_until"])
    sides = (replace(asked, start=first[0], end=first[1]), replace(asked, start=second[0], end=second[1]))
    return sides, ("first period", "second period")


def _compared(found: Comparison, labels: tuple[str, str]) -> dict[str, Any]:
    return {
        "method": METHOD,
        "of": found.measure,
        "first": {"label": labels[0], "estimates": _shown(found.first)},
        "second": {"label": labels[1], "estimates": _shown(found.second)},
        "n": found.n,
        "success": asdict(found.success) if found.success else None,
        "interventions": asdict(found.interventions) if found.interventions else None,
        "sentence": found.sentence,
        "interventions_sentence": found.interventions_sentence,
    }


def _shown(split: Split) -> dict[str, Any]:
    return {name: vars(MEASURES[name].of(split, Crew())) for name in SHOWN}
