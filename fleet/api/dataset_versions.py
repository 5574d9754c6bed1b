"""Versions of datasets: freezing one, reading it, its episodes, and what differs from another."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_dataset_by_id, access_dataset_version, access_dataset_versions
from fleet.api.dataset_query import DEFAULT_SPLITS, SplitIn, Strict, asked_of, selection_of
from fleet.api.datasets import CURATION, READING
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.api.sparse import SparseFields
from fleet.api.training_runs import RateOut
from fleet.models import DatasetEpisode, DatasetVersion
from fleet.selectors.dataset_compare import dataset_versions_compare
from fleet.selectors.success import wilson
from fleet.services.dataset import dataset_version_annotate
from fleet.services.dataset_freeze import dataset_freeze


class FrozenSplitOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    share = serializers.FloatField()
    episodes = serializers.IntegerField()


class VersionOut(serializers.ModelSerializer[DatasetVersion]):
    """`state`: "describing" until the steps are read, then "ready". `success`: of the episodes that terminated, null
    if none did."""

    dataset = serializers.UUIDField(source="dataset_id", read_only=True)
    dataset_name = serializers.CharField(source="dataset.name", read_only=True)
    episodes = serializers.IntegerField(source="episodes_count", read_only=True)
    splits = FrozenSplitOut(many=True, read_only=True)
    success = serializers.SerializerMethodField()

    class Meta:
        model = DatasetVersion
        fields = (
            "id",
            "dataset",
            "dataset_name",
            "number",
            "state",
            "digest",
            "seed",
            "splits",
            "is_stratified",
            "notes",
            "episodes",
            "frames",
            "human_frames",
            "successes",
            "terminated",
            "success",
            "size_bytes",
            "archived_left_out",
            "frozen_at",
            "frozen_by_name",
        )

    @extend_schema_field(RateOut(allow_null=True))
    def get_success(self, version: DatasetVersion) -> Any:
        if not version.terminated:
            return None
        return RateOut(wilson(successes=version.successes, n=version.terminated)).data


class GroupOut(serializers.Serializer[Any]):
    """`number`: of a policy version, whose `name` is its run's."""

    name = serializers.CharField()
    number = serializers.IntegerField(required=False)
    episodes = serializers.IntegerField()
    frames = serializers.IntegerField()
    human_frames = serializers.IntegerField(required=False)
    successes = serializers.IntegerField(required=False)
    terminated = serializers.IntegerField(required=False)


def _numbers() -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField())


class FeatureOut(serializers.Serializer[Any]):
    """Statistics of a column over all frames, a number an axis."""

    name = serializers.CharField()
    axes = serializers.ListField(child=serializers.CharField())
    episodes = serializers.IntegerField()
    frames = serializers.IntegerField()
    min = _numbers()
    max = _numbers()
    mean = _numbers()
    std = _numbers()


class ProblemOut(serializers.Serializer[Any]):
    episode = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class StepsReadOut(serializers.Serializer[Any]):
    """`episodes`: how many have been read so far. `problems`: the first of `unreadable`."""

    episodes = serializers.IntegerField()
    unreadable = serializers.IntegerField()
    problems = ProblemOut(many=True)


class StatisticsOut(serializers.Serializer[Any]):
    """Each list: the most frequent 100."""

    recorded_from = serializers.CharField()
    recorded_until = serializers.CharField()
    episodes_with_takeover = serializers.IntegerField()
    episodes_driven_by_people = serializers.IntegerField()
    splits = GroupOut(many=True)
    tasks = GroupOut(many=True)
    outcomes = GroupOut(many=True)
    origins = GroupOut(many=True)
    robots = GroupOut(many=True)
    policy_versions = GroupOut(many=True)
    operators = GroupOut(many=True)
    steps_read = StepsReadOut()
    features = FeatureOut(many=True)


class VersionDetailOut(VersionOut):
    """`query`: as it was asked. `notes_revision` is the ETag. `card`: Markdown, without description and notes."""

    query = serializers.JSONField(read_only=True)
    statistics = StatisticsOut(read_only=True)

    class Meta(VersionOut.Meta):
        fields = (*VersionOut.Meta.fields, "query", "notes_revision", "statistics", "card")  # type: ignore[assignment]


class FreezeIn(SplitIn):
    """`expected`: the fingerprint of the preview that was agreed to."""

    seed = serializers.IntegerField(min_value=-(2**63), max_value=2**63 - 1, default=0)
    notes = serializers.CharField(max_length=8000, allow_blank=True, default="")
    expected = serializers.RegexField(r"^[0-9a-f]{32}$", required=False)


class NotesIn(Strict):
    notes = serializers.CharField(max_length=8000, allow_blank=True)


class VersionEpisodeOut(serializers.ModelSerializer[DatasetEpisode]):
    """`outcome` and `tags` as they were frozen."""

    episode = serializers.UUIDField(source="episode_id", read_only=True)
    task = serializers.CharField(source="episode.task.slug", read_only=True)
    steps = serializers.IntegerField(source="episode.steps", read_only=True)
    human_steps = serializers.IntegerField(source="episode.human_steps", read_only=True)
    ended_at = serializers.DateTimeField(source="episode.ended_at", read_only=True)

    class Meta:
        model = DatasetEpisode
        fields = (
            "position",
            "episode",
            "split",
            "outcome",
            "tags",
            "manifest_sha256",
            "task",
            "steps",
            "human_steps",
            "ended_at",
        )


class VersionEpisodesIn(serializers.Serializer[Any]):
    split = serializers.CharField(max_length=32, required=False)


class EpisodeDifferenceOut(serializers.Serializer[Any]):
    episode = serializers.UUIDField()
    old_split = serializers.CharField(allow_null=True)
    new_split = serializers.CharField(allow_null=True)
    old_outcome = serializers.CharField(allow_null=True)
    new_outcome = serializers.CharField(allow_null=True)


class DifferenceOut(serializers.Serializer[Any]):
    """`episodes`: the first 200 of `count`."""

    count = serializers.IntegerField()
    episodes = EpisodeDifferenceOut(many=True)


class ComparedOut(serializers.Serializer[Any]):
    """`relabelled`: outcome or tags differ; `moved`: nothing but the split."""

    added = DifferenceOut()
    removed = DifferenceOut()
    relabelled = DifferenceOut()
    moved = DifferenceOut()


class VersionList(SparseFields, generics.ListAPIView[DatasetVersion]):
    needs = CURATION
    serializer_class = VersionOut
    ordering = ("-number",)
    queryset = DatasetVersion.objects.none()

    def get_queryset(self) -> QuerySet[DatasetVersion]:
        dataset = access_dataset_by_id(self.request.user, self.kwargs["pk"])
        return access_dataset_versions(self.request.user).filter(dataset=dataset).defer("statistics", "card", "query")

    @extend_schema(request=FreezeIn, responses={201: VersionDetailOut})
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Freeze episodes, as their labels are now, as the next version."""
        access_dataset_by_id(request.user, pk)
        body = FreezeIn(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        version = dataset_freeze(
            dataset_id=pk,
            user=person_of(request),
            selection=selection_of(asked),
            asked=asked_of(request),
            splits=asked.get("splits", DEFAULT_SPLITS),
            seed=asked["seed"],
            is_stratified=asked["is_stratified"],
            notes=asked["notes"],
            expected=asked.get("expected"),
        )
        return _answer(version, status=201)


class VersionDetail(SparseFields, APIView):
    sparse = VersionDetailOut
    needs = CURATION

    @extend_schema(responses=VersionDetailOut)
    def get(self, request: Request, pk: uuid.UUID, number: int) -> Response:
        """Return a version with its statistics and card; the ETag is of its notes."""
        return _answer(access_dataset_version(request.user, pk, number))

    @extend_schema(request=NotesIn, responses=VersionDetailOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID, number: int) -> Response:
        """Change the notes, over the revision in If-Match; nothing else of a version changes."""
        version = access_dataset_version(request.user, pk, number)
        revision, body = revision_read(request), NotesIn(data=request.data)
        body.is_valid(raise_exception=True)
        notes = body.validated_data["notes"]
        return _answer(dataset_version_annotate(version_id=version.id, notes=notes, revision=revision))


class VersionEpisodes(generics.ListAPIView[DatasetEpisode]):
    needs = READING
    serializer_class = VersionEpisodeOut
    ordering = ("position",)
    queryset = DatasetEpisode.objects.none()

    def get_queryset(self) -> QuerySet[DatasetEpisode]:
        version = access_dataset_version(self.request.user, self.kwargs["pk"], self.kwargs["number"])
        query = VersionEpisodesIn(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        rows = DatasetEpisode.objects.filter(version=version).select_related("episode__task")
        split = query.validated_data.get("split")
        return rows.filter(split=split) if split is not None else rows

    @extend_schema(parameters=[OpenApiParameter("split", str)])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of the version's episodes, in the order of export."""
        return super().get(request, *args, **kwargs)


class VersionCompare(APIView):
    needs = READING

    @extend_schema(responses=ComparedOut)
    def get(self, request: Request, pk: uuid.UUID, number: int, other: int) -> Response:
        """Return what changes from version `number` to version `other`."""
        old, new = (access_dataset_version(request.user, pk, which) for which in (number, other))
        return Response(ComparedOut(dataset_versions_compare(old=old.id, new=new.id)).data)


def _answer(version: DatasetVersion, status: int = 200) -> Response:
    return Response(VersionDetailOut(version).data, status=status, headers=etag_of(version.notes_revision))
