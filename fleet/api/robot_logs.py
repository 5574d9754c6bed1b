"""A robot's log as far as its daemon sent it, and the question for its last lines. Managers and admins read it."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_robot_by_id
from fleet.api.idempotency import idempotent
from fleet.protocol.messages import MAX_LOG_LINES
from fleet.scopes import Needs, Scope
from fleet.selectors.robot_logs import robot_logs
from fleet.services.robot_logs import robot_logs_ask


class LogLineOut(serializers.Serializer[Any]):
    """`at_ms`: by the robot's clock, Unix milliseconds."""

    at_ms = serializers.IntegerField()
    level = serializers.CharField()
    logger = serializers.CharField()
    text = serializers.CharField()


class RobotLogsOut(serializers.Serializer[Any]):
    """`lines`: the newest first. `answered`: the id of the question that was answered last, kept for an hour.

    `can_send` false: the daemon is too old. Before anybody asked, warnings and errors alone are there.
    """

    is_online = serializers.BooleanField()
    can_send = serializers.BooleanField()
    answered = serializers.CharField(allow_null=True)
    lines = LogLineOut(many=True)


class LogsAskIn(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LOG_LINES, default=200)


class LogsAskedOut(serializers.Serializer[Any]):
    """`question`: what `answered` becomes once the robot has answered, usually within a second."""

    question = serializers.CharField()


class RobotLogsView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(responses=RobotLogsOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return what is known of the robot's log."""
        found = robot_logs(robot=access_robot_by_id(request.user, pk))
        return Response(RobotLogsOut(found).data, headers={"Cache-Control": "no-store"})

    @extend_schema(request=LogsAskIn, responses={202: LogsAskedOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Ask the robot for its last lines of every level; read on until they are there."""
        robot = access_robot_by_id(request.user, pk)
        body = LogsAskIn(data=request.data)
        body.is_valid(raise_exception=True)
        question = robot_logs_ask(robot=robot, limit=body.validated_data["limit"])
        return Response(LogsAskedOut({"question": question}).data, status=202)
