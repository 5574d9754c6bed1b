"""Which version robots drive with: a run's strategy and canary, promotion, rolling back, pins."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet import live
from fleet.access import (
    access_policy_version_by_id,
    access_robot_by_id,
    access_rollout_by_id,
    access_training_run_by_id,
    coverage_of,
)
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.canary import canary_settings
from fleet.errors import InvalidRequest, NotFound
from fleet.models import Rollout, RolloutEvent, TrainingRun
from fleet.scopes import Needs, Scope
from fleet.selectors.canary import canary_view
from fleet.selectors.rollout import release_track, rollout_episodes, rollout_events, rollout_open, version_current
from fleet.services.robot_version import robot_hold_lift, robot_pin
from fleet.services.rollout import (
    release_roll_back,
    release_strategy_set,
    rollout_begin,
    rollout_pause,
    rollout_roll_back,
    version_promote,
)
from fleet.services.rollout_judge import evidence_json

NEEDS = Needs(read=Scope.POLICIES_READ, write=Scope.POLICIES_WRITE)
MAX_EVENTS = 100
ACTIONS = ("pause", "resume", "promote", "roll-back")


class SettingsBody(serializers.Serializer[Any]):
    """Of a canary; see docs/rollout.md. What is left out has its default, or the run's."""

    share = serializers.FloatField(required=False)
    tag = serializers.CharField(max_length=64, required=False, allow_blank=True, help_text="Instead of a share.")
    min_episodes = serializers.IntegerField(required=False)
    max_episodes = serializers.IntegerField(required=False)
    alpha = serializers.FloatField(required=False)
    beta = serializers.FloatField(required=False)
    margin = serializers.FloatField(required=False)
    silence_s = serializers.FloatField(required=False)
    on_harm = serializers.CharField(required=False)
    on_undecided = serializers.CharField(required=False)


class RolloutOut(serializers.ModelSerializer[Rollout]):
    """`evidence`: candidate, current, left_out, unsettled (episodes) and measures with both counts, the difference's
    confidence sequence, and the odds harm and worth with their limits; null before the first look."""

    candidate_number = serializers.IntegerField(source="candidate.number")
    baseline_number = serializers.IntegerField(source="baseline.number")
    state = serializers.CharField()
    robots = serializers.SerializerMethodField()
    evidence = serializers.SerializerMethodField()
    next = serializers.SerializerMethodField(help_text="What happens next, in words.")
    episodes = serializers.SerializerMethodField(help_text="What the trial cost: all that the candidate drove in it.")

    class Meta:
        model = Rollout
        fields = (
            "id",
            "run",
            "candidate",
            "candidate_number",
            "baseline",
            "baseline_number",
            "robots",
            "settings",
            "per_block",
            "state",
            "reason",
            "is_automatic",
            "evidence",
            "began_at",
            "decided_at",
            "by_name",
            "next",
            "episodes",
        )

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_robots(self, rollout: Rollout) -> list[str]:
        return sorted(rollout.robots.values_list("name", flat=True))

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_evidence(self, rollout: Rollout) -> Any:
        if rollout.state not in Rollout.OPEN:
            return rollout.evidence
        return evidence_json(canary_view(rollout=rollout, now=timezone.now()))

    def get_next(self, rollout: Rollout) -> str:
        if rollout.state == Rollout.State.PAUSED:
            return f"Paused: {rollout.reason or 'by hand'} Robots are back at version {rollout.baseline.number}."
        if rollout.state not in Rollout.OPEN:
            return ""
        return canary_view(rollout=rollout, now=timezone.now()).judgement.reason

    def get_episodes(self, rollout: Rollout) -> int:
        return rollout_episodes(rollout=rollout).count()


class EventOut(serializers.ModelSerializer[RolloutEvent]):
    number = serializers.IntegerField(source="version.number", default=None, allow_null=True)
    robot_name = serializers.CharField(source="robot.name", default="")

    class Meta:
        model = RolloutEvent
        fields = ("id", "kind", "reason", "at", "by_name", "version", "number", "robot_name", "rollout")


class ReleaseOut(serializers.Serializer[Any]):
    """`revision`: of strategy, canary and current, the ETag. `rollout`: the candidate that is being tried; `past`: the
    newest ten decided ones. They are judged on the whole fleet, so whom groups limit has none of these, nor events.
    """

    revision = serializers.IntegerField()
    strategy = serializers.CharField()
    canary = serializers.DictField()
    current = serializers.UUIDField(allow_null=True)
    current_number = serializers.IntegerField(allow_null=True)
    rollout = RolloutOut(allow_null=True)
    past = RolloutOut(many=True)
    events = EventOut(many=True)


class StrategyBody(serializers.Serializer[Any]):
    strategy = serializers.CharField(max_length=16)
    canary = SettingsBody(required=False)
    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class StageBody(serializers.Serializer[Any]):
    """`strategy` canary: try it on those in `robots`, else those tagged, else a share; immediate: all."""

    strategy = serializers.CharField(max_length=16)
    settings = SettingsBody(required=False)
    robots = serializers.ListField(child=serializers.UUIDField(), max_length=1000, required=False, min_length=1)
    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class ReasonBody(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class RollBackBody(ReasonBody):
    version = serializers.UUIDField(required=False, default=None, allow_null=True)


class PinBody(ReasonBody):
    version = serializers.UUIDField()


class ReleaseView(APIView):
    needs = NEEDS

    @extend_schema(responses=ReleaseOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return how versions of this run reach robots, what is being tried, and what was done."""
        return _release(request, access_training_run_by_id(request.user, pk))

    @extend_schema(request=StrategyBody, responses=ReleaseOut, parameters=[IF_MATCH])
    def put(self, request: Request, pk: uuid.UUID) -> Response:
        """Choose the strategy for what is published from now on, over the revision in If-Match."""
        user, run = person_of(request), access_training_run_by_id(request.user, pk)
        body = _body(StrategyBody, request)
        release_strategy_set(run_id=run.id, user=user, revision=revision_read(request), **body)
        return _release(request, run)


class RollBackView(APIView):
    needs = NEEDS

    @extend_schema(request=RollBackBody, responses=ReleaseOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Take every robot back to an earlier version, the one before if none is named, and hold it there."""
        user, run = person_of(request), access_training_run_by_id(request.user, pk)
        body = _body(RollBackBody, request)
        release_roll_back(run_id=run.id, version_id=body["version"], reason=body["reason"], user=user)
        return _release(request, run)


class StageView(APIView):
    needs = NEEDS

    @extend_schema(request=StageBody, responses=ReleaseOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Let robots have this version: some of them, compared with the others, or all."""
        user, version = person_of(request), access_policy_version_by_id(request.user, pk)
        body = _body(StageBody, request)
        if body["strategy"] == "canary":
            robots = body.get("robots")
            rollout_begin(version_id=version.id, settings=body.get("settings"), robot_ids=robots, user=user)
        elif body["strategy"] == "immediate":
            version_promote(version_id=version.id, reason=body["reason"], user=user)
        else:
            raise InvalidRequest("stage by canary or immediate", field="strategy")
        return _release(request, version.run)


class RolloutActionView(APIView):
    """`action`: pause, resume, promote or roll-back."""

    needs = NEEDS

    @extend_schema(request=ReasonBody, responses=ReleaseOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID, action: str) -> Response:
        """Decide on the candidate that is being tried."""
        if action not in ACTIONS:
            raise NotFound("there is no such action")
        user, rollout = person_of(request), access_rollout_by_id(request.user, pk)
        reason = _body(ReasonBody, request)["reason"]
        if action == "promote":
            version_promote(version_id=rollout.candidate_id, reason=reason, user=user)
        elif action == "roll-back":
            rollout_roll_back(rollout_id=rollout.id, reason=reason, user=user)
        else:
            rollout_pause(rollout_id=rollout.id, is_paused=action == "pause", reason=reason, user=user)
        return _release(request, rollout.run)


class PinView(APIView):
    needs = NEEDS

    @extend_schema(request=PinBody, responses={204: None}, parameters=[IF_MATCH])
    def put(self, request: Request, pk: uuid.UUID) -> Response:
        """Let a robot drive with one version whatever is rolled out, over the robot's revision in If-Match."""
        user, robot = person_of(request), access_robot_by_id(request.user, pk)
        body = _body(PinBody, request)
        version = access_policy_version_by_id(request.user, body["version"])
        revision = revision_read(request)
        robot = robot_pin(robot_id=robot.id, version_id=version.id, revision=revision, reason=body["reason"], user=user)
        return Response(status=204, headers=etag_of(robot.revision))

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Let the robot follow its run again, over the robot's revision in If-Match."""
        user, robot = person_of(request), access_robot_by_id(request.user, pk)
        robot = robot_pin(robot_id=robot.id, version_id=None, revision=revision_read(request), user=user)
        return Response(status=204, headers=etag_of(robot.revision))


class HoldView(APIView):
    needs = NEEDS

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Let a robot that somebody took back by hand follow the server again."""
        robot = access_robot_by_id(request.user, pk)
        (status,) = live.statuses_get([robot.id])
        if status is None or status.status.hold is None:
            raise NotFound("this robot is not held, or not connected")
        robot_hold_lift(robot_id=robot.id, hold_id=status.status.hold.hold_id, user=person_of(request))
        return Response(status=204)


def _body(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def _release(request: Request, run: TrainingRun) -> Response:
    """Rollouts are judged on the whole fleet: who does not see it has strategy and current version alone."""
    is_whole = coverage_of(request.user).is_whole
    track, current = release_track(run=run), version_current(run=run)
    decided = Rollout.objects.filter(run=run, decided_at__isnull=False).select_related("candidate", "baseline")
    answer = {
        "revision": track.revision,
        "strategy": track.strategy,
        "canary": asdict(canary_settings(track.canary)),
        "current": current.id if current else None,
        "current_number": current.number if current else None,
        "rollout": rollout_open(run=run) if is_whole else None,
        "past": decided.order_by("-decided_at")[:10] if is_whole else [],
        "events": rollout_events(run=run, limit=MAX_EVENTS) if is_whole else [],
    }
    return Response(ReleaseOut(answer).data, headers=etag_of(track.revision))
