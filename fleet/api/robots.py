"""Robots: enrolment (by one-time token), lists, thumbnails."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from fleet import live
from fleet.access import access_robot_by_id, access_robots
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.person import person_of
from fleet.api.sparse import SparseFields
from fleet.api.throttling import RateLimit
from fleet.errors import NotFound
from fleet.models import Robot
from fleet.scopes import PUBLIC, Needs, Scope
from fleet.services.enrolment import robot_enrol
from fleet.services.robot_admin import MAX_TAG, MAX_TAGS, RobotChange, robot_update
from fleet.signing import signing_keys


class EnrolIn(serializers.Serializer[Any]):
    """`wants_keys`: of a daemon that checks who signed a version; older ones refuse answers with more in them."""

    token = serializers.CharField(max_length=200)
    name = serializers.CharField(max_length=100)
    wants_keys = serializers.BooleanField(required=False, default=False)


class EnrolOut(serializers.Serializer[Any]):
    robot_id = serializers.UUIDField()
    key = serializers.CharField()
    name = serializers.CharField()
    policy_keys = serializers.ListField(child=serializers.CharField(), required=False)


class RobotOut(serializers.ModelSerializer[Robot]):
    class Meta:
        model = Robot
        fields = (
            "id",
            "name",
            "is_paused",
            "driver",
            "daemon_version",
            "protocol",
            "policy_version",
            "enrolled_at",
            "last_seen_at",
            "tags",
            "note",
            "is_approved",
            "retired_at",
            "revision",
        )


class EnrolView(APIView):
    """No session: the token is the credential."""

    needs = PUBLIC
    idempotency_exempt = "asked by a stranger, and a second time its token is used up"
    authentication_classes = ()
    throttle_classes = (ScopedRateThrottle, RateLimit)
    throttle_scope = "enrol"

    @extend_schema(request=EnrolIn, responses={201: EnrolOut})
    def post(self, request: Request) -> Response:
        """Turn a one-time token into a robot; the key is shown only here."""
        body = EnrolIn(data=request.data)
        body.is_valid(raise_exception=True)
        wants_keys = body.validated_data.pop("wants_keys")
        enrolled = robot_enrol(**body.validated_data)
        answer: dict[str, object] = {
            "robot_id": str(enrolled.robot.id),
            "key": enrolled.key,
            "name": enrolled.robot.name,
        }
        if wants_keys:
            answer["policy_keys"] = [key.public for key in signing_keys()]
        return Response(answer, status=201, headers={"Cache-Control": "no-store"})


class RobotList(SparseFields, generics.ListAPIView[Robot]):
    needs = Needs(read=Scope.FLEET_READ)
    serializer_class = RobotOut
    ordering = ("-enrolled_at", "id")
    queryset = Robot.objects.none()

    def get_queryset(self) -> QuerySet[Robot]:
        return access_robots(self.request.user)


class RobotChangeIn(serializers.Serializer[Any]):
    """What is left out stays."""

    name = serializers.CharField(max_length=100, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=MAX_TAG), max_length=MAX_TAGS, required=False)
    note = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    is_paused = serializers.BooleanField(required=False)


class RobotDetail(SparseFields, APIView):
    sparse = RobotOut
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(responses=RobotOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one robot, retired or not, with its revision as ETag."""
        robot = access_robot_by_id(request.user, pk)
        return Response(RobotOut(robot).data, headers=etag_of(robot.revision))

    @extend_schema(request=RobotChangeIn, responses=RobotOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Rename, tag, note or pause a robot over the revision in If-Match."""
        access_robot_by_id(request.user, pk)
        body = RobotChangeIn(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in body.validated_data.items()
        }
        change = RobotChange(**given)
        robot = robot_update(robot_id=pk, change=change, revision=revision_read(request), user=person_of(request))
        return Response(RobotOut(robot).data, headers=etag_of(robot.revision))


class ThumbnailView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: uuid.UUID) -> HttpResponse:
        """Return the robot's newest picture, at most a minute old; 304 if the browser holds it."""
        robot = access_robot_by_id(request.user, pk)
        found = live.thumbnail_get(robot.id)
        if found is None:
            raise NotFound("there is no recent picture of this robot")
        captured_ns, jpeg = found
        headers = {"ETag": f'"{captured_ns}"', "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return HttpResponse(status=304, headers=headers)
        return HttpResponse(jpeg, content_type="image/jpeg", headers=headers)
