"""ICE servers for the browser's end of live video; the robot gets its own with each offer."""

from __future__ import annotations

from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.scopes import SESSION_ONLY
from fleet.selectors.ice import ice_servers


class IceServerOut(serializers.Serializer[Any]):
    urls = serializers.ListField(child=serializers.CharField())
    username = serializers.CharField()
    credential = serializers.CharField()


class IceServersOut(serializers.Serializer[Any]):
    ice_servers = IceServerOut(many=True)
    valid_s = serializers.FloatField()


class IceServersView(APIView):
    needs = SESSION_ONLY  # whoever watches or drives is a person, in a browser

    @extend_schema(responses=IceServersOut)
    def get(self, request: Request) -> Response:
        """Return STUN and TURN servers; their credentials work for `valid_s` seconds from now."""
        found = ice_servers(name=request.user.get_username())
        body = {"ice_servers": msgspec.to_builtins(found), "valid_s": settings.SOP_TURN_TTL_S}
        return Response(body, headers={"Cache-Control": "no-store"})
