"""Read-only lists and details: tasks, episodes, policy versions."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import generics, serializers

from fleet.access import access_episodes, access_policy_versions, access_tasks
from fleet.models import Episode, PolicyVersion, Segment, Task


class TaskOut(serializers.ModelSerializer[Task]):
    class Meta:
        model = Task
        fields = ("id", "slug", "instruction", "driver_task", "max_steps", "is_active", "created_at")


class SegmentOut(serializers.ModelSerializer[Segment]):
    class Meta:
        model = Segment
        fields = ("start", "end", "mode", "source", "lease_epoch", "operator", "reason")


class EpisodeOut(serializers.ModelSerializer[Episode]):
    task = serializers.SlugRelatedField[Task](slug_field="slug", read_only=True)

    class Meta:
        model = Episode
        fields = (
            "id",
            "index_seq",
            "origin",
            "outcome",
            "outcome_reason",
            "robot",
            "task",
            "policy_version",
            "instruction",
            "seed",
            "steps",
            "human_steps",
            "started_at",
            "ended_at",
            "uploaded_at",
            "indexed_at",
            "first_sampled_at",
            "size_bytes",
        )


class EpisodeDetailOut(EpisodeOut):
    segments = SegmentOut(many=True, read_only=True)

    class Meta(EpisodeOut.Meta):
        fields = (*EpisodeOut.Meta.fields, "segments")  # type: ignore[assignment]


class PolicyVersionOut(serializers.ModelSerializer[PolicyVersion]):
    class Meta:
        model = PolicyVersion
        fields = ("id", "run", "number", "step", "architecture", "size_bytes", "trained_at", "published_at")


class TaskList(generics.ListAPIView[Task]):
    serializer_class = TaskOut
    ordering = ("-created_at", "id")
    queryset = Task.objects.none()

    def get_queryset(self) -> QuerySet[Task]:
        return access_tasks(self.request.user)


class TaskDetail(generics.RetrieveAPIView[Task]):
    serializer_class = TaskOut
    queryset = Task.objects.none()

    def get_queryset(self) -> QuerySet[Task]:
        return access_tasks(self.request.user)


class EpisodeList(generics.ListAPIView[Episode]):
    serializer_class = EpisodeOut
    ordering = ("-index_seq",)
    queryset = Episode.objects.none()

    def get_queryset(self) -> QuerySet[Episode]:
        return access_episodes(self.request.user)


class EpisodeDetail(generics.RetrieveAPIView[Episode]):
    serializer_class = EpisodeDetailOut
    queryset = Episode.objects.none()

    def get_queryset(self) -> QuerySet[Episode]:
        return access_episodes(self.request.user).prefetch_related("segments")


class PolicyVersionList(generics.ListAPIView[PolicyVersion]):
    serializer_class = PolicyVersionOut
    ordering = ("-published_at", "id")
    queryset = PolicyVersion.objects.none()

    def get_queryset(self) -> QuerySet[PolicyVersion]:
        return access_policy_versions(self.request.user)


class PolicyVersionDetail(generics.RetrieveAPIView[PolicyVersion]):
    serializer_class = PolicyVersionOut
    queryset = PolicyVersion.objects.none()

    def get_queryset(self) -> QuerySet[PolicyVersion]:
        return access_policy_versions(self.request.user)
