"""Datasets: the list, one with what is collected for it, and its previews."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from drf_spectacular.utils import extend_schema
from msgspec import UNSET
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import (
    access_dataset_by_id,
    access_dataset_versions,
    access_datasets,
    access_episodes,
    coverage_of,
)
from fleet.api.dataset_query import DEFAULT_SPLITS, SelectionIn, SplitIn, Strict, selection_of
from fleet.api.episodes import EpisodeOut
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.api.sparse import SparseFields
from fleet.models import Dataset, DatasetCandidate, DatasetEpisode, Episode
from fleet.scopes import Needs, Scope
from fleet.selectors.dataset_selection import MAX_IDS, SelectionCounts, selection_counts
from fleet.selectors.dataset_split import sound_splits
from fleet.services.dataset import (
    DatasetChange,
    dataset_change,
    dataset_collect,
    dataset_create,
    dataset_uncollect,
)

CURATION = Needs(read=Scope.DATASETS_READ, write=Scope.DATASETS_WRITE)
READING = Needs(read=Scope.DATASETS_READ)


class DatasetOut(serializers.ModelSerializer[Dataset]):
    """`revision` is the ETag. `newest_*`: of the newest version, null before the first."""

    newest_version = serializers.IntegerField(allow_null=True, read_only=True)
    newest_episodes = serializers.IntegerField(allow_null=True, read_only=True)
    newest_frames = serializers.IntegerField(allow_null=True, read_only=True)
    newest_at = serializers.DateTimeField(allow_null=True, read_only=True)
    collected = serializers.IntegerField(read_only=True)

    class Meta:
        model = Dataset
        fields = (
            "id",
            "name",
            "description",
            "licence",
            "is_archived",
            "revision",
            "created_at",
            "created_by_name",
            "newest_version",
            "newest_episodes",
            "newest_frames",
            "newest_at",
            "collected",
        )


class DatasetDetailOut(DatasetOut):
    """`collected_new`: of the collected episodes, those that the newest version does not hold."""

    collected_new = serializers.IntegerField(read_only=True)

    class Meta(DatasetOut.Meta):
        fields = (*DatasetOut.Meta.fields, "collected_new")  # type: ignore[assignment]


class DatasetIn(Strict):
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=8000, allow_blank=True, required=False)
    licence = serializers.CharField(max_length=200, allow_blank=True, required=False)


class DatasetPatch(Strict):
    """What is left out stays."""

    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=8000, allow_blank=True, required=False)
    licence = serializers.CharField(max_length=200, allow_blank=True, required=False)
    is_archived = serializers.BooleanField(required=False)


class DatasetListIn(serializers.Serializer[Any]):
    archived = serializers.ChoiceField(choices=["no", "only", "any"], default="no")
    text = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")


class CollectedOut(serializers.Serializer[Any]):
    """`changed`: how many episodes came or went; `collected`: how many there are now."""

    changed = serializers.IntegerField()
    collected = serializers.IntegerField()


class UncollectIn(Strict):
    """`ids`, or `all`."""

    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MAX_IDS, required=False)
    all = serializers.BooleanField(required=False)


class NamedCountOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    episodes = serializers.IntegerField()


class PreviewOut(serializers.Serializer[Any]):
    """Send `fingerprint` with the freeze: it is refused if other episodes or labels would be frozen than these."""

    episodes = serializers.IntegerField()
    frames = serializers.IntegerField()
    human_frames = serializers.IntegerField()
    successes = serializers.IntegerField()
    terminated = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    archived_left_out = serializers.IntegerField()
    fingerprint = serializers.CharField()
    splits = NamedCountOut(many=True)
    tasks = NamedCountOut(many=True)


def _datasets_seen(user: Any) -> QuerySet[Dataset]:
    newest = access_dataset_versions(user).filter(dataset=OuterRef("pk")).order_by("-number")
    candidates = DatasetCandidate.objects.filter(coverage_of(user).episodes("episode__"), dataset=OuterRef("pk"))
    collected = candidates.order_by().values("dataset")
    return access_datasets(user).annotate(
        newest_version=Subquery(newest.values("number")[:1]),
        newest_episodes=Subquery(newest.values("episodes_count")[:1]),
        newest_frames=Subquery(newest.values("frames")[:1]),
        newest_at=Subquery(newest.values("frozen_at")[:1]),
        collected=Subquery(collected.annotate(n=Count("id")).values("n")),
    )


def _answer(request: Request, pk: uuid.UUID, status: int = 200) -> Response:
    access_dataset_by_id(request.user, pk)
    row: Any = _datasets_seen(request.user).get(id=pk)
    row.collected = row.collected or 0
    row.collected_new = _collected_new(request.user, row)
    return Response(DatasetDetailOut(row).data, status=status, headers=etag_of(row.revision))


def _collected_new(user: Any, dataset: Any) -> int:
    """Count what is collected and not in the newest version: freezing keeps what is collected, to go on from there."""
    newest = access_dataset_versions(user).filter(dataset=dataset, number=dataset.newest_version)
    held = DatasetEpisode.objects.filter(version__in=newest, episode=OuterRef("episode"))
    candidates = DatasetCandidate.objects.filter(coverage_of(user).episodes("episode__"), dataset=dataset)
    return candidates.filter(~Exists(held)).count()


class DatasetList(SparseFields, generics.ListAPIView[Dataset]):
    needs = CURATION
    serializer_class = DatasetOut
    ordering = ("-created_at", "id")
    queryset = Dataset.objects.none()

    def get_queryset(self) -> QuerySet[Dataset]:
        query = DatasetListIn(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        asked, rows = query.validated_data, _datasets_seen(self.request.user)
        if asked["archived"] != "any":
            rows = rows.filter(is_archived=asked["archived"] == "only")
        return rows.filter(name__icontains=asked["text"]) if asked["text"] else rows

    @extend_schema(parameters=[DatasetListIn])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of datasets, the newest first."""
        page: Any = self.paginate_queryset(self.get_queryset()) or []
        for row in page:
            row.collected = row.collected or 0
        return self.get_paginated_response(DatasetOut(page, many=True).data)

    @extend_schema(request=DatasetIn, responses={201: DatasetDetailOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Make a dataset without versions."""
        body = DatasetIn(data=request.data)
        body.is_valid(raise_exception=True)
        row = dataset_create(user=person_of(request), **body.validated_data)
        return _answer(request, row.id, status=201)


class DatasetDetail(SparseFields, APIView):
    sparse = DatasetDetailOut
    needs = CURATION

    @extend_schema(responses=DatasetDetailOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one dataset, with its revision as ETag."""
        return _answer(request, pk)

    @extend_schema(request=DatasetPatch, responses=DatasetDetailOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Change name, description, licence, or archive it, over the revision in If-Match."""
        access_dataset_by_id(request.user, pk)
        revision, body = revision_read(request), DatasetPatch(data=request.data)
        body.is_valid(raise_exception=True)
        given = {name: body.validated_data.get(name, UNSET) for name in DatasetChange.__struct_fields__}
        dataset_change(dataset_id=pk, change=DatasetChange(**given), revision=revision)
        return _answer(request, pk)


class CollectedView(generics.ListAPIView[Episode]):
    """What is collected for the next version."""

    needs = CURATION
    serializer_class = EpisodeOut
    ordering = ("-index_seq",)
    queryset = Episode.objects.none()

    def get_queryset(self) -> QuerySet[Episode]:
        dataset = access_dataset_by_id(self.request.user, self.kwargs["pk"])
        collected = DatasetCandidate.objects.filter(dataset=dataset).values("episode")
        return access_episodes(self.request.user).filter(id__in=collected)

    @extend_schema(request=SelectionIn, responses=CollectedOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Collect episodes by their ids, or what a filter finds now; those that are there already stay."""
        access_dataset_by_id(request.user, pk)
        body = SelectionIn(data=request.data)
        body.is_valid(raise_exception=True)
        selection = selection_of(body.validated_data, may_be_collected=False)
        user = person_of(request)
        return _collected(user, pk, dataset_collect(dataset_id=pk, user=user, selection=selection))


class UncollectView(APIView):
    needs = Needs(read=Scope.DATASETS_READ, write=Scope.DATASETS_WRITE)

    @extend_schema(request=UncollectIn, responses=CollectedOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Take episodes off what is collected."""
        access_dataset_by_id(request.user, pk)
        body = UncollectIn(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        if ("ids" in asked) == bool(asked.get("all")):
            raise serializers.ValidationError({"ids": ["name them, or say all"]})
        ids = tuple(asked["ids"]) if "ids" in asked else None
        user = person_of(request)
        return _collected(user, pk, dataset_uncollect(dataset_id=pk, user=user, ids=ids))


class PreviewView(APIView):
    needs = Needs(read=Scope.DATASETS_READ, write=Scope.DATASETS_READ)  # it counts, and changes nothing
    idempotency_exempt = "it counts, and changes nothing"

    @extend_schema(request=SplitIn, responses=PreviewOut)
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Count what a freeze would hold now."""
        dataset = access_dataset_by_id(request.user, pk)
        body = SplitIn(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        counts = selection_counts(
            access_episodes(request.user),
            dataset_id=dataset.id,
            selection=selection_of(asked),
            splits=sound_splits(asked.get("splits", DEFAULT_SPLITS)),
            is_stratified=asked["is_stratified"],
        )
        return Response(PreviewOut(_named(counts)).data)


def _named(counts: SelectionCounts) -> dict[str, Any]:
    lists = {
        field: [{"name": name, "episodes": n} for name, n in getattr(counts, field)] for field in ("splits", "tasks")
    }
    return vars(counts) | lists


def _collected(user: Any, pk: uuid.UUID, changed: int) -> Response:
    collected = DatasetCandidate.objects.filter(coverage_of(user).episodes("episode__"), dataset=pk).count()
    return Response(CollectedOut({"changed": changed, "collected": collected}).data)
