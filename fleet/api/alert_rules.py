"""Alert rules: what is watched, and what a rule would find now. Managers and admins change them."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_alert_rule_by_id, access_alert_rules
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.models import AlertRule
from fleet.models.alert import Severity
from fleet.scopes import Needs, Scope
from fleet.selectors.alert_kinds import MAX_SILENCES
from fleet.services.alert_rule import (
    MAX_CLEAR_AFTER_S,
    MAX_NAMED,
    MAX_RECIPIENTS,
    RuleChange,
    alert_rule_change,
    alert_rule_create,
    alert_rule_preview,
    alert_rule_remove,
)
from fleet.services.alert_tell import mail_is_set_up


class AlertRuleOut(serializers.ModelSerializer[AlertRule]):
    """`revision` is the ETag. `tasks`, `robots`: ids; none: all."""

    class Meta:
        model = AlertRule
        fields = (
            "id",
            "name",
            "kind",
            "params",
            "tasks",
            "robots",
            "severity",
            "is_enabled",
            "clear_after_s",
            "silences",
            "time_zone",
            "channels",
            "mail_to",
            "created_at",
            "evaluated_at",
            "revision",
        )


class AlertRulesOut(serializers.Serializer[Any]):
    """`is_mail_set_up`: whether the server can mail at all (SOP_SMTP_URL)."""

    results = AlertRuleOut(many=True)
    is_mail_set_up = serializers.BooleanField()


def _ids() -> serializers.ListField:
    return serializers.ListField(child=serializers.UUIDField(), max_length=MAX_NAMED, required=False)


class AlertRuleChangeIn(serializers.Serializer[Any]):
    """What is left out stays. See docs/alerts.md for `params` and `silences`."""

    name = serializers.CharField(max_length=100, required=False)
    params = serializers.DictField(required=False)
    tasks = _ids()
    robots = _ids()
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    is_enabled = serializers.BooleanField(required=False)
    clear_after_s = serializers.FloatField(min_value=0, max_value=MAX_CLEAR_AFTER_S, required=False)
    silences = serializers.ListField(child=serializers.DictField(), max_length=MAX_SILENCES, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    channels = serializers.ListField(
        child=serializers.ChoiceField(choices=AlertRule.Channel.choices),
        max_length=len(AlertRule.Channel),
        required=False,
    )
    mail_to = serializers.ListField(
        child=serializers.CharField(max_length=254), max_length=MAX_RECIPIENTS, required=False
    )


class AlertRuleIn(AlertRuleChangeIn):
    """`kind`: what is watched; it stays as it is."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=AlertRule.Kind.choices)


class AlertPreviewIn(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=AlertRule.Kind.choices)
    params = serializers.DictField(default=dict)
    tasks = _ids()
    robots = _ids()


class ReadingOut(serializers.Serializer[Any]):
    """`finding`: firing, clear, or between, which opens nothing and resolves nothing."""

    subject_kind = serializers.CharField()
    subject_id = serializers.CharField()
    subject_name = serializers.CharField()
    finding = serializers.ChoiceField(choices=["firing", "between", "clear"])
    unit = serializers.CharField()
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()
    text = serializers.CharField()


class AlertPreviewOut(serializers.Serializer[Any]):
    """One reading of each subject that can be measured now."""

    results = ReadingOut(many=True)


class AlertRuleList(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(operation_id="alert_rules_list", responses=AlertRulesOut)
    def get(self, request: Request) -> Response:
        """Return all rules by name, at most 200."""
        rows = access_alert_rules(request.user).prefetch_related("tasks", "robots")
        return Response(AlertRulesOut({"results": rows, "is_mail_set_up": mail_is_set_up()}).data)

    @extend_schema(request=AlertRuleIn, responses={201: AlertRuleOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Make a rule; it is on unless `is_enabled` says otherwise. Preview it first."""
        body = AlertRuleIn(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        rule = alert_rule_create(kind=values.pop("kind"), change=RuleChange(**values))
        return Response(AlertRuleOut(rule).data, status=201, headers=etag_of(rule.revision))


class AlertRuleDetail(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)

    @extend_schema(responses=AlertRuleOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one rule with its revision as ETag."""
        rule = access_alert_rule_by_id(request.user, pk)
        return Response(AlertRuleOut(rule).data, headers=etag_of(rule.revision))

    @extend_schema(request=AlertRuleChangeIn, responses=AlertRuleOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Change a rule over the revision in If-Match; one that is turned off resolves its alerts."""
        access_alert_rule_by_id(request.user, pk)
        body = AlertRuleChangeIn(data=request.data)
        body.is_valid(raise_exception=True)
        change = RuleChange(**body.validated_data)
        rule = alert_rule_change(rule_id=pk, change=change, revision=revision_read(request))
        return Response(AlertRuleOut(rule).data, headers=etag_of(rule.revision))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Remove a rule; its open alerts resolve, and all stay in the history."""
        access_alert_rule_by_id(request.user, pk)
        alert_rule_remove(rule_id=pk)
        return Response(status=204)


class AlertPreviewView(APIView):
    needs = Needs(read=Scope.FLEET_READ, write=Scope.FLEET_WRITE)
    idempotency_exempt = "it measures, and changes nothing"

    @extend_schema(request=AlertPreviewIn, responses=AlertPreviewOut)
    def post(self, request: Request) -> Response:
        """Return what such a rule would find now. Changes nothing."""
        body = AlertPreviewIn(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(AlertPreviewOut({"results": alert_rule_preview(**body.validated_data)}).data)
