"""Alerts: what is open, the history, and who looks after it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_alert_by_id, access_alerts
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.errors import InvalidRequest
from fleet.models import Alert
from fleet.scopes import Needs, Scope
from fleet.selectors.alert import alerts_open
from fleet.services.alert_watch import MAX_NOTE, alert_acknowledge

STATES = ("all", "open", "resolved")


class AlertOut(serializers.ModelSerializer[Alert]):
    """`value`, `low`, `high` in `unit`: share, per_hour, s, steps or episodes. `told_at`: null while it is silent.

    `subject_id`: of a task, robot, version or run; empty for the whole fleet.
    """

    class Meta:
        model = Alert
        fields = (
            "id",
            "rule",
            "rule_name",
            "kind",
            "severity",
            "subject_kind",
            "subject_id",
            "subject_name",
            "opened_at",
            "last_seen_at",
            "resolved_at",
            "resolution",
            "unit",
            "value",
            "low",
            "high",
            "n",
            "text",
            "resolved_text",
            "told_at",
            "acknowledged_at",
            "acknowledged_by_name",
            "note",
        )


class OpenAlertsOut(serializers.Serializer[Any]):
    """`results`: the newest 500; the counts are of all that are open."""

    results = AlertOut(many=True)
    total = serializers.IntegerField()
    unacknowledged = serializers.IntegerField()


class AcknowledgeIn(serializers.Serializer[Any]):
    note = serializers.CharField(max_length=MAX_NOTE, default="", allow_blank=True)


@extend_schema(parameters=[OpenApiParameter("state", str, enum=STATES, description="all unless it says otherwise")])
class AlertList(generics.ListAPIView[Alert]):
    """Alerts, open and resolved ones, the newest first."""

    needs = Needs(read=Scope.FLEET_READ)
    serializer_class = AlertOut
    ordering = ("-opened_at", "id")
    queryset = Alert.objects.none()

    def get_queryset(self) -> QuerySet[Alert]:
        state = self.request.query_params.get("state", "all")
        if state not in STATES:
            raise InvalidRequest(f"choose from {', '.join(STATES)}", field="state")
        rows = access_alerts(self.request.user)
        return rows if state == "all" else rows.filter(resolved_at__isnull=state == "open")


class OpenAlertsView(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=OpenAlertsOut)
    def get(self, request: Request) -> Response:
        """Return what is open now, the newest first, and how many nobody has acknowledged."""
        return Response(OpenAlertsOut(alerts_open(access_alerts(request.user))).data)


class AlertDetail(APIView):
    needs = Needs(read=Scope.FLEET_READ)

    @extend_schema(responses=AlertOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        return Response(AlertOut(access_alert_by_id(request.user, pk)).data)


class AlertAcknowledgeView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(request=AcknowledgeIn, responses=AlertOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Say that you look after it; the first who said so stays, the note is written anew."""
        access_alert_by_id(request.user, pk)
        body = AcknowledgeIn(data=request.data)
        body.is_valid(raise_exception=True)
        alert = alert_acknowledge(alert_id=pk, user=person_of(request), note=body.validated_data["note"])
        return Response(AlertOut(alert).data)
