"""The object store over HTTP: what it holds, its last reports, a collection of garbage, retention rules. For admins."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_retention_rules
from fleet.api.etag import IF_MATCH, text_etag_of, version_read
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.models import RetentionRule
from fleet.queue import enqueue_storage_collect
from fleet.scopes import Needs, Scope
from fleet.selectors.retention import RetentionPreview, retention_preview
from fleet.selectors.row_version import retention_version
from fleet.selectors.storage import storage_state, usage_by_task
from fleet.services.retention import (
    retention_rule_build,
    retention_rule_change,
    retention_rule_create,
    retention_rule_remove,
)

ADMIN = Needs(read=Scope.ADMIN, write=Scope.ADMIN)


class TaskUsageOut(serializers.Serializer[Any]):
    task = serializers.CharField()
    episodes = serializers.IntegerField()
    bytes = serializers.IntegerField()


class StoredKindOut(serializers.Serializer[Any]):
    """`orphans`: named by no row and old enough to go; `young`: named by no row, too young to tell."""

    kind = serializers.CharField()
    objects = serializers.IntegerField()
    bytes = serializers.IntegerField()
    orphans = serializers.IntegerField()
    orphan_bytes = serializers.IntegerField()
    young = serializers.IntegerField()
    removed = serializers.IntegerField()
    removed_bytes = serializers.IntegerField()
    examples = serializers.ListField(child=serializers.CharField())


class GcOut(serializers.Serializer[Any]):
    is_dry = serializers.BooleanField()
    older_than_s = serializers.FloatField()
    kinds = StoredKindOut(many=True)
    incoming = serializers.IntegerField()
    incoming_bytes = serializers.IntegerField()


class VerifyOut(serializers.Serializer[Any]):
    scope = serializers.CharField()
    episodes = serializers.IntegerField()
    policies = serializers.IntegerField()
    checkpoints = serializers.IntegerField()
    objects = serializers.IntegerField()
    bytes = serializers.IntegerField()
    damaged = serializers.IntegerField()
    problems = serializers.ListField(child=serializers.CharField())


class StorageOut(serializers.Serializer[Any]):
    """`gc`, `verify`: the last reports of store_gc and store_verify, null before the first."""

    by_task = TaskUsageOut(many=True)
    gc_at = serializers.DateTimeField(allow_null=True)
    gc = GcOut(source="gc_report", allow_null=True)
    verify_at = serializers.DateTimeField(allow_null=True)
    verify = VerifyOut(source="verify_report", allow_null=True)


class CollectIn(serializers.Serializer[Any]):
    """`delete` false: only look."""

    delete = serializers.BooleanField()


class RetentionRuleChange(serializers.Serializer[Any]):
    """What is left out stays."""

    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=RetentionRule.Kind.choices),
        min_length=1,
        max_length=len(RetentionRule.Kind),
        required=False,
    )
    keep_days = serializers.IntegerField(min_value=1, max_value=36500, allow_null=True, required=False)
    keep_bytes = serializers.IntegerField(min_value=0, max_value=2**60, allow_null=True, required=False)
    takes_interventions = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)


class RetentionRuleIn(RetentionRuleChange):
    """`task` null: all tasks without a rule of their own."""

    task = serializers.UUIDField(allow_null=True)


class RetentionRuleOut(serializers.ModelSerializer[RetentionRule]):
    """`removed`: episodes since the rule was made. `version`: what If-Match names."""

    task_slug = serializers.CharField(source="task.slug", allow_null=True, default=None)
    version = serializers.SerializerMethodField()

    def get_version(self, rule: RetentionRule) -> str:
        return retention_version(rule)

    class Meta:
        model = RetentionRule
        fields = (
            "id",
            "version",
            "task",
            "task_slug",
            "is_active",
            "kinds",
            "keep_days",
            "keep_bytes",
            "takes_interventions",
            "changed_at",
            "last_run_at",
            "removed",
            "removed_bytes",
        )


class RetentionRulesOut(serializers.Serializer[Any]):
    results = RetentionRuleOut(many=True)


class RetentionPreviewOut(serializers.Serializer[RetentionPreview]):
    """What would go now. `protected`: of those due by age or size, how many stay, and why."""

    episodes = serializers.IntegerField()
    bytes = serializers.IntegerField()
    oldest = serializers.DateTimeField(allow_null=True)
    newest = serializers.DateTimeField(allow_null=True)
    by_task = TaskUsageOut(many=True)
    examples = serializers.ListField(child=serializers.UUIDField())
    protected = serializers.DictField(child=serializers.IntegerField())


class StorageView(APIView):
    needs = Needs(read=Scope.ADMIN)

    @extend_schema(responses=StorageOut)
    def get(self, request: Request) -> Response:
        """Return what is stored by task, and the last reports."""
        state = storage_state()
        values = {name: getattr(state, name) for name in ("gc_at", "gc_report", "verify_at", "verify_report")}
        return Response(StorageOut({"by_task": usage_by_task(), **values}).data)


class StorageCollectView(APIView):
    needs = ADMIN

    @extend_schema(request=CollectIn, responses={202: CollectIn})
    @idempotent
    def post(self, request: Request) -> Response:
        """Look for objects that no row names, and with `delete` remove those older than a day; `gc` tells later."""
        body = CollectIn(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            enqueue_storage_collect(is_dry=not body.validated_data["delete"])
        return Response(body.validated_data, status=202)


class RetentionRuleList(APIView):
    needs = ADMIN

    @extend_schema(responses=RetentionRulesOut)
    def get(self, request: Request) -> Response:
        """Return all rules by task, that of the other tasks last."""
        return Response(RetentionRulesOut({"results": access_retention_rules(request.user)}).data)

    @extend_schema(request=RetentionRuleIn, responses={201: RetentionRuleOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Save a rule; it is off unless `is_active` says so. Preview it first."""
        values = _rule(request)
        return Response(RetentionRuleOut(retention_rule_create(user=person_of(request), **values)).data, status=201)


class RetentionPreviewView(APIView):
    needs = ADMIN
    idempotency_exempt = "it counts, and changes nothing"

    @extend_schema(request=RetentionRuleIn, responses=RetentionPreviewOut)
    def post(self, request: Request) -> Response:
        """Return what such a rule would remove now. Changes nothing."""
        rule = retention_rule_build(**_rule(request))
        return Response(RetentionPreviewOut(retention_preview(rule=rule, now=timezone.now())).data)


class RetentionRuleDetail(APIView):
    needs = ADMIN

    @extend_schema(request=RetentionRuleChange, responses=RetentionRuleOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Change a rule over the version in If-Match."""
        version, body = version_read(request), RetentionRuleChange(data=request.data)
        body.is_valid(raise_exception=True)
        rule = retention_rule_change(rule_id=pk, user=person_of(request), version=version, **body.validated_data)
        return Response(RetentionRuleOut(rule).data, headers=text_etag_of(retention_version(rule)))

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Forget a rule, over the version in If-Match; what it removed stays removed."""
        retention_rule_remove(rule_id=pk, version=version_read(request))
        return Response(status=204)


def _rule(request: Request) -> dict[str, Any]:
    body = RetentionRuleIn(data=request.data)
    body.is_valid(raise_exception=True)
    values = dict(body.validated_data)
    return {"task_id": values.pop("task"), "kinds": values.pop("kinds", []), **values}
