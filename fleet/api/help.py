"""The help queue: who waits, what was, how long it took, and by which rule it is ranked."""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_help_requests, coverage_of
from fleet.api.etag import IF_MATCH, text_etag_of, version_read
from fleet.api.sparse import SparseFields
from fleet.errors import InvalidRequest
from fleet.models import HelpRequest
from fleet.protocol.messages import HelpRanking
from fleet.scopes import Needs, Scope
from fleet.selectors.help import help_figures, help_queue, help_ranking
from fleet.services.help import help_ranking_set


class HelpCardOut(serializers.Serializer[Any]):
    request_id = serializers.UUIDField()
    robot_id = serializers.UUIDField()
    robot = serializers.CharField()
    reason = serializers.CharField()
    score = serializers.FloatField()
    detail = serializers.CharField()
    task = serializers.CharField()
    policy_number = serializers.IntegerField(allow_null=True)
    opened_ms = serializers.IntegerField()
    operator = serializers.CharField()
    claimed_ms = serializers.IntegerField(allow_null=True)


class HelpQueueOut(serializers.Serializer[Any]):
    server_ms = serializers.IntegerField()
    ranking = serializers.CharField()
    total = serializers.IntegerField()
    requests = HelpCardOut(many=True)


class HelpRequestOut(serializers.ModelSerializer[HelpRequest]):
    """`ending` is empty until it is closed. `episode`: its row may come later, or never."""

    state = serializers.CharField(read_only=True)  # as text: a run's states have another set of choices by this name
    robot_name = serializers.CharField(source="robot.name", read_only=True)
    task = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    episode = serializers.UUIDField(source="episode_id", allow_null=True, read_only=True)

    class Meta:
        model = HelpRequest
        fields = (
            "id",
            "robot",
            "robot_name",
            "reason",
            "score",
            "detail",
            "state",
            "ending",
            "opened_at",
            "claimed_at",
            "closed_at",
            "operator",
            "lease",
            "task",
            "policy_version",
            "episode",
        )


class FiguresIn(serializers.Serializer[Any]):
    window_s = serializers.IntegerField(min_value=60, max_value=30 * 86400, default=3600)


class SpreadOut(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    p50_s = serializers.FloatField(allow_null=True)
    p90_s = serializers.FloatField(allow_null=True)


class OperatorFiguresOut(serializers.Serializer[Any]):
    operator = serializers.CharField()
    takeovers = serializers.IntegerField()
    switches = serializers.IntegerField()
    dwell = SpreadOut()


class HelpFiguresOut(serializers.Serializer[Any]):
    window_s = serializers.IntegerField()
    answered = serializers.IntegerField()
    unanswered = serializers.IntegerField()
    waiting = SpreadOut()
    service = SpreadOut()
    blocked_s = serializers.FloatField()
    operators = OperatorFiguresOut(many=True)


class RankingBody(serializers.Serializer[Any]):
    ranking = serializers.ChoiceField(choices=[str(v) for v in HelpRanking])


class HelpQueueView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=HelpQueueOut)
    def get(self, request: Request) -> Response:
        """Return the queue as consoles get it live: those that wait, the most urgent first, then those being served."""
        return Response(msgspec.to_builtins(help_queue(coverage=coverage_of(request.user))))


class HelpHistory(SparseFields, generics.ListAPIView[HelpRequest]):
    """Every request, the newest first."""

    needs = Needs(read=Scope.FLEET_READ)
    serializer_class = HelpRequestOut
    ordering = ("-opened_at", "id")
    queryset = HelpRequest.objects.none()

    def get_queryset(self) -> QuerySet[HelpRequest]:
        return access_help_requests(self.request.user)


class HelpFiguresView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(parameters=[FiguresIn], responses=HelpFiguresOut)
    def get(self, request: Request) -> Response:
        """Return waiting and service times of requests that ended in the window, dwell and switches by operator."""
        query = FiguresIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(HelpFiguresOut(help_figures(**query.validated_data, coverage=coverage_of(request.user))).data)


class HelpRankingView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(responses=RankingBody)
    def get(self, request: Request) -> Response:
        """Return the rule by which the queue is ranked; its ETag is the rule itself."""
        return _ranking_answer()

    @extend_schema(request=RankingBody, responses=RankingBody, parameters=[IF_MATCH])
    def put(self, request: Request) -> Response:
        """Choose the rule, for everyone and from now on; managers only."""
        assert isinstance(request.user, AbstractBaseUser)  # signed in, says the matrix
        body = RankingBody(data=request.data)
        body.is_valid(raise_exception=True)
        ranking = HelpRanking(body.validated_data["ranking"])
        help_ranking_set(ranking=ranking, over=_ranking_read(request), user=request.user)
        return _ranking_answer()


def _ranking_answer() -> Response:
    rule = help_ranking().value
    return Response({"ranking": rule}, headers=text_etag_of(rule))


def _ranking_read(request: Request) -> HelpRanking:
    """Raises: PreconditionRequired, InvalidRequest."""
    try:
        return HelpRanking(version_read(request))
    except ValueError:
        raise InvalidRequest('If-Match must be the rule as it was read: "fifo"', field="If-Match") from None
