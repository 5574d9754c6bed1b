"""What admins do with robots: one-time codes, approval, names and tags, keys, retirement."""

from __future__ import annotations

import uuid
from typing import Any

import segno
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_robot_by_id
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.models import EnrolmentToken, RobotKey
from fleet.scopes import Needs, Scope
from fleet.services.enrolment import MAX_VALID_S, enrolment_token_create, enrolment_token_revoke
from fleet.services.robot import robot_key_revoke
from fleet.services.robot_admin import robot_approve, robot_retire


class CodeIn(serializers.Serializer[Any]):
    """`robot`: the code gives this robot a new key in the place of all it has, and is no new robot."""

    note = serializers.CharField(max_length=200, default="", allow_blank=True)
    valid_s = serializers.FloatField(min_value=60, max_value=MAX_VALID_S, default=3600)
    needs_approval = serializers.BooleanField(default=True)
    robot = serializers.UUIDField(default=None, allow_null=True)


class CodeOut(serializers.ModelSerializer[EnrolmentToken]):
    """A code without its secret."""

    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True, read_only=True)
    used_by = serializers.CharField(source="used_by.name", default=None, allow_null=True, read_only=True)
    robot = serializers.CharField(source="robot.name", default=None, allow_null=True, read_only=True)

    class Meta:
        model = EnrolmentToken
        fields = (
            "id",
            "note",
            "created_at",
            "created_by",
            "expires_at",
            "used_at",
            "used_by",
            "revoked_at",
            "needs_approval",
            "robot",
        )


class NewCodeOut(CodeOut):
    """`code` is shown only here; `command` is what to run on the robot; `qr`: the code as an SVG data URL."""

    code = serializers.CharField()
    command = serializers.CharField()
    qr = serializers.CharField()

    class Meta(CodeOut.Meta):
        fields = (*CodeOut.Meta.fields, "code", "command", "qr")  # type: ignore[assignment]


class KeyOut(serializers.ModelSerializer[RobotKey]):
    class Meta:
        model = RobotKey
        fields = ("id", "created_at", "revoked_at")


class KeysOut(serializers.Serializer[Any]):
    results = KeyOut(many=True)


class CodeList(generics.ListAPIView[EnrolmentToken]):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)
    idempotency_exempt = "its answer holds a secret, which must not be kept"
    serializer_class = CodeOut
    ordering = ("-created_at", "id")
    queryset = EnrolmentToken.objects.none()

    def get_queryset(self) -> QuerySet[EnrolmentToken]:
        return EnrolmentToken.objects.select_related("created_by", "used_by", "robot")

    @extend_schema(request=CodeIn, responses={201: NewCodeOut})
    def post(self, request: Request) -> Response:
        """Create a one-time code for a robot; it is shown only in this answer."""
        body = CodeIn(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        if asked["robot"] is not None:
            access_robot_by_id(request.user, asked["robot"])
        row: Any
        row, secret = enrolment_token_create(
            note=asked["note"],
            valid_s=asked["valid_s"],
            needs_approval=asked["needs_approval"],
            robot_id=asked["robot"],
            user=person_of(request),
        )
        server = request.build_absolute_uri("/").rstrip("/")
        row.code, row.qr = secret, segno.make(secret, micro=False).svg_data_uri(border=2, scale=4)
        row.command = f"python -m fleet.daemon --server {server} --state DIR --driver NAME --token={secret}"
        return Response(NewCodeOut(row).data, status=201, headers={"Cache-Control": "no-store"})


class CodeDetail(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(responses={200: CodeOut})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Revoke a code that was not used yet."""
        return Response(CodeOut(enrolment_token_revoke(token_id=pk)).data)


class RobotApproveView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(request=None, responses={204: None})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Let a robot that waits for approval have its work."""
        robot_approve(robot_id=access_robot_by_id(request.user, pk).id)
        return Response(status=204)


class RobotRetireView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(request=None, responses={204: None})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """End a robot's work for good: its keys are void, its assignments end, its episodes stay."""
        robot_retire(robot_id=access_robot_by_id(request.user, pk).id)
        return Response(status=204)


class RobotKeysView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=KeysOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the robot's keys, revoked ones too, the newest first, at most 100."""
        robot = access_robot_by_id(request.user, pk)
        return Response(KeysOut({"results": robot.keys.order_by("-created_at")[:100]}).data)


class RobotKeyView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(responses={200: KeyOut})
    def delete(self, request: Request, pk: uuid.UUID, key_id: uuid.UUID) -> Response:
        """Revoke a key; its connection closes within moments."""
        robot = access_robot_by_id(request.user, pk)
        key = generics.get_object_or_404(robot.keys, id=key_id)
        return Response(KeyOut(robot_key_revoke(key_id=key.id)).data)
