"""Read-only lists and details: policy versions."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import generics, serializers

from fleet.access import access_policy_versions
from fleet.api.sparse import SparseFields
from fleet.models import PolicyVersion
from fleet.scopes import Needs, Scope


class PolicyVersionOut(serializers.ModelSerializer[PolicyVersion]):
    class Meta:
        model = PolicyVersion
        fields = ("id", "run", "number", "step", "architecture", "size_bytes", "trained_at", "published_at")


class PolicyVersionList(SparseFields, generics.ListAPIView[PolicyVersion]):
    needs = Needs(read=Scope.POLICIES_READ)
    serializer_class = PolicyVersionOut
    ordering = ("-published_at", "id")
    queryset = PolicyVersion.objects.none()

    def get_queryset(self) -> QuerySet[PolicyVersion]:
        return access_policy_versions(self.request.user)


class PolicyVersionDetail(SparseFields, generics.RetrieveAPIView[PolicyVersion]):
    needs = Needs(read=Scope.POLICIES_READ)
    serializer_class = PolicyVersionOut
    queryset = PolicyVersion.objects.none()

    def get_queryset(self) -> QuerySet[PolicyVersion]:
        return access_policy_versions(self.request.user)
