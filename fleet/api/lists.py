"""Read-only lists and details: policy versions."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import generics, serializers

from fleet.access import access_policy_versions
from fleet.api.sparse import SparseFields
from fleet.models import PolicyVersion
from fleet.scopes import Needs, Scope
from fleet.selectors.version import version_source


class PolicyVersionOut(serializers.ModelSerializer[PolicyVersion]):
    """`dataset_digest`: of the frozen version that its run learns from, null without one; its report says more."""

    dataset_digest = serializers.SerializerMethodField()

    class Meta:
        model = PolicyVersion
        fields = (
            "id",
            "run",
            "number",
            "step",
            "architecture",
            "size_bytes",
            "trained_at",
            "published_at",
            "dataset_digest",
        )

    def get_dataset_digest(self, version: PolicyVersion) -> str | None:
        source = version_source(version=version)
        return source.digest if source is not None else None


class PolicyVersionList(SparseFields, generics.ListAPIView[PolicyVersion]):
    needs = Needs(read=Scope.POLICIES_READ)
    serializer_class = PolicyVersionOut
    ordering = ("-published_at", "id")
    queryset = PolicyVersion.objects.none()

    def get_queryset(self) -> QuerySet[PolicyVersion]:
        return access_policy_versions(self.request.user).select_related("run__dataset_version__dataset")


class PolicyVersionDetail(SparseFields, generics.RetrieveAPIView[PolicyVersion]):
    needs = Needs(read=Scope.POLICIES_READ)
    serializer_class = PolicyVersionOut
    queryset = PolicyVersion.objects.none()

    def get_queryset(self) -> QuerySet[PolicyVersion]:
        return access_policy_versions(self.request.user).select_related("run__dataset_version__dataset")
