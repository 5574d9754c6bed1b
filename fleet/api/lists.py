"""Read-only lists and details: tasks, policy versions."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import generics, serializers

from fleet.access import access_policy_versions, access_tasks
from fleet.api.sparse import SparseFields
from fleet.models import PolicyVersion, Task
from fleet.scopes import Needs, Scope


class TaskOut(serializers.ModelSerializer[Task]):
    class Meta:
        model = Task
        fields = ("id", "slug", "instruction", "driver_task", "max_steps", "is_active", "created_at")


class PolicyVersionOut(serializers.ModelSerializer[PolicyVersion]):
    class Meta:
        model = PolicyVersion
        fields = ("id", "run", "number", "step", "architecture", "size_bytes", "trained_at", "published_at")


class TaskList(SparseFields, generics.ListAPIView[Task]):
    needs = Needs(read=Scope.FLEET_READ)
    serializer_class = TaskOut
    ordering = ("-created_at", "id")
    queryset = Task.objects.none()

    def get_queryset(self) -> QuerySet[Task]:
        return access_tasks(self.request.user)


class TaskDetail(SparseFields, generics.RetrieveAPIView[Task]):
    needs = Needs(read=Scope.FLEET_READ)
    serializer_class = TaskOut
    queryset = Task.objects.none()

    def get_queryset(self) -> QuerySet[Task]:
        return access_tasks(self.request.user)


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
