"""Read-only lists and details: tasks, episodes, policy versions, training runs."""

from __future__ import annotations

from rest_framework import generics, serializers

from fleet.models import Episode, PolicyVersion, Segment, Task, TrainingRun


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


class TrainingRunOut(serializers.ModelSerializer[TrainingRun]):
    class Meta:
        model = TrainingRun
        fields = ("id", "name", "algorithm", "state", "step", "target_steps", "failure_code", "created_at")


class TaskList(generics.ListAPIView[Task]):
    queryset = Task.objects.all()
    serializer_class = TaskOut
    ordering = ("-created_at", "id")


class TaskDetail(generics.RetrieveAPIView[Task]):
    queryset = Task.objects.all()
    serializer_class = TaskOut


class EpisodeList(generics.ListAPIView[Episode]):
    queryset = Episode.objects.select_related("task")
    serializer_class = EpisodeOut
    ordering = ("-index_seq",)


class EpisodeDetail(generics.RetrieveAPIView[Episode]):
    queryset = Episode.objects.select_related("task").prefetch_related("segments")
    serializer_class = EpisodeDetailOut


class PolicyVersionList(generics.ListAPIView[PolicyVersion]):
    queryset = PolicyVersion.objects.all()
    serializer_class = PolicyVersionOut
    ordering = ("-published_at", "id")


class PolicyVersionDetail(generics.RetrieveAPIView[PolicyVersion]):
    queryset = PolicyVersion.objects.all()
    serializer_class = PolicyVersionOut


class TrainingRunList(generics.ListAPIView[TrainingRun]):
    queryset = TrainingRun.objects.all()
    serializer_class = TrainingRunOut
    ordering = ("-created_at", "id")


class TrainingRunDetail(generics.RetrieveAPIView[TrainingRun]):
    queryset = TrainingRun.objects.all()
    serializer_class = TrainingRunOut
