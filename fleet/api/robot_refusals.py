"""Episodes of a robot that were refused for good. Managers and admins read them, as they read its log."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_robot_by_id
from fleet.scopes import Needs, Scope
from fleet.selectors.episode_refusal import episode_refusals


class RefusalOut(serializers.Serializer[Any]):
    """`code`: as in the robot's `spool/refused/<episode_id>/refusal.json`; docs/api-errors.md explains each."""

    episode_id = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    refused_at = serializers.DateTimeField()


class RefusalsOut(serializers.Serializer[Any]):
    """`results`: the newest first, at most SOP_REFUSALS_KEPT."""

    results = RefusalOut(many=True)


class RobotRefusalsView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=RefusalsOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the episodes that lie refused on the robot; one that is registered later is no longer among them."""
        rows = episode_refusals(robot=access_robot_by_id(request.user, pk))
        return Response(RefusalsOut({"results": rows}).data)
