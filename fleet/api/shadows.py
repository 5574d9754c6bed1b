"""Shadows: a version that proposes on robots beside the one that drives, and how far its proposals lay from it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_policy_version_by_id, access_shadow_by_id, access_shadows, access_training_run_by_id
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.models import Shadow, ShadowResult
from fleet.scopes import Needs, Scope
from fleet.selectors.shadow import shadow_results, shadow_view, shadows_of
from fleet.services.shadow import shadow_begin, shadow_end

NEEDS = Needs(read=Scope.POLICIES_READ, write=Scope.POLICIES_WRITE)
READS = Needs(read=Scope.POLICIES_READ)
MAX_SHADOWS = 20


class IntervalOut(serializers.Serializer[Any]):
    """A mean with its 95 % interval; null where there is none: nothing measured, or one episode alone."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class FiguresOut(serializers.Serializer[Any]):
    """Distances in [0, 2], see docs/rollout.md. Skipped proposals: asked less answered."""

    episodes = serializers.IntegerField()
    human_episodes = serializers.IntegerField()
    instants = serializers.IntegerField()
    asked = serializers.IntegerField()
    answered = serializers.IntegerField()
    policy_n = serializers.IntegerField()
    human_n = serializers.IntegerField()
    policy = IntervalOut()
    human = IntervalOut()
    own = IntervalOut()
    closer = IntervalOut(help_text="own less human: above 0 the candidate lay closer to the human.")


class MemberOut(serializers.Serializer[Any]):
    """`state`: starting, fetching, running, refused, ended, unsupported, same_version or retired."""

    robot = serializers.UUIDField(source="robot.id")
    robot_name = serializers.CharField(source="robot.name")
    state = serializers.CharField()
    code = serializers.CharField()
    text = serializers.CharField()
    episodes = serializers.IntegerField()


class StretchOut(serializers.Serializer[Any]):
    began_at = serializers.DateTimeField()
    until = serializers.DateTimeField()
    figures = FiguresOut()


class TaskFiguresOut(serializers.Serializer[Any]):
    task = serializers.CharField()
    figures = FiguresOut()


class ShadowOut(serializers.Serializer[Any]):
    """`is_cut`: the figures are of the newest 50,000 episodes."""

    id = serializers.UUIDField(source="shadow.id")
    version = serializers.UUIDField(source="shadow.version_id")
    number = serializers.IntegerField(source="shadow.version.number")
    run = serializers.UUIDField(source="shadow.version.run_id")
    share = serializers.FloatField(source="shadow.share")
    max_episodes = serializers.IntegerField(source="shadow.max_episodes")
    tag = serializers.CharField(source="shadow.tag")
    began_at = serializers.DateTimeField(source="shadow.began_at")
    ends_at = serializers.DateTimeField(source="shadow.ends_at")
    ended_at = serializers.DateTimeField(source="shadow.ended_at", allow_null=True)
    reason = serializers.CharField(source="shadow.reason")
    by_name = serializers.CharField(source="shadow.by_name")
    sentence = serializers.CharField()
    total = FiguresOut()
    robots = MemberOut(source="members", many=True)
    points = StretchOut(many=True)
    tasks = TaskFiguresOut(many=True)
    is_cut = serializers.BooleanField()


class ShadowsOut(serializers.Serializer[Any]):
    """The newest twenty, the newest first."""

    shadows = ShadowOut(many=True)


class ResultOut(serializers.ModelSerializer[ShadowResult]):
    """`policy_total / policy_n` is the episode's mean distance."""

    robot_name = serializers.CharField(source="episode.robot.name", default="")
    task = serializers.CharField(source="episode.task.slug")
    started_at = serializers.DateTimeField(source="episode.started_at")
    driving_number = serializers.IntegerField(
        source="episode.policy_version.number", default=None, allow_null=True, help_text="Of the version that drove."
    )

    class Meta:
        model = ShadowResult
        fields = (
            "episode",
            "robot_name",
            "task",
            "started_at",
            "driving_number",
            "instants",
            "asked",
            "answered",
            "inference_ms",
            "policy_n",
            "policy_total",
            "policy_p50",
            "policy_p95",
            "human_n",
            "human_total",
            "human_p50",
            "human_p95",
            "own_total",
            "own_p50",
            "own_p95",
        )


class ShadowBody(serializers.Serializer[Any]):
    """On `robots`, else those tagged, else `robot_share` of those that could, by lot."""

    robots = serializers.ListField(child=serializers.UUIDField(), max_length=1000, required=False, min_length=1)
    tag = serializers.CharField(max_length=64, required=False, default="", allow_blank=True)
    robot_share = serializers.FloatField(required=False, default=None, allow_null=True)
    share = serializers.FloatField(required=False, default=1.0, help_text="Of the replanning instants.")
    duration_s = serializers.FloatField(required=False, default=86400.0)
    max_episodes = serializers.IntegerField(required=False, default=200, help_text="Of each robot.")


class EndBody(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class VersionShadowsView(APIView):
    needs = NEEDS

    @extend_schema(responses=ShadowsOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return where and how this version was shadowed."""
        return _shadows(
            shadows_of(among=access_shadows(request.user), version=access_policy_version_by_id(request.user, pk))
        )

    @extend_schema(request=ShadowBody, responses={201: ShadowOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Let robots shadow this version: it proposes beside what drives and is never executed."""
        user, version = person_of(request), access_policy_version_by_id(request.user, pk)
        body = ShadowBody(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        shadow = shadow_begin(version_id=version.id, robot_ids=values.pop("robots", None), user=user, **values)
        return Response(ShadowOut(shadow_view(shadow=shadow)).data, status=201)


class RunShadowsView(APIView):
    needs = READS

    @extend_schema(responses=ShadowsOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the shadows of all versions of this run."""
        return _shadows(shadows_of(among=access_shadows(request.user), run=access_training_run_by_id(request.user, pk)))


class ShadowView(APIView):
    needs = READS

    @extend_schema(responses=ShadowOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one shadow: its robots, and the distance over time and by task."""
        return Response(ShadowOut(shadow_view(shadow=access_shadow_by_id(request.user, pk))).data)


class ShadowEndView(APIView):
    needs = NEEDS

    @extend_schema(request=EndBody, responses=ShadowOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """End it on all its robots."""
        user, shadow = person_of(request), access_shadow_by_id(request.user, pk)
        body = EndBody(data=request.data)
        body.is_valid(raise_exception=True)
        ended = shadow_end(shadow_id=shadow.id, reason=body.validated_data["reason"], user=user)
        return Response(ShadowOut(shadow_view(shadow=ended)).data)


class ShadowEpisodeList(generics.ListAPIView[ShadowResult]):
    """The episodes behind a shadow's figures, one row each."""

    needs = READS
    serializer_class = ResultOut
    ordering = ("-id",)
    queryset = ShadowResult.objects.none()

    def get_queryset(self) -> QuerySet[ShadowResult]:
        return shadow_results(shadow=access_shadow_by_id(self.request.user, self.kwargs["pk"]))


def _shadows(rows: QuerySet[Shadow]) -> Response:
    views = [shadow_view(shadow=shadow) for shadow in rows[:MAX_SHADOWS]]
    return Response(ShadowsOut({"shadows": views}).data)
