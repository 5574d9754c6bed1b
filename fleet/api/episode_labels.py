"""Labels over HTTP. A single label is written only over the revision that was read: ETag and If-Match."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from msgspec import UNSET
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_episode_by_id, access_episodes
from fleet.api.episode_query import EpisodeFilterIn, filter_of
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.idempotency import idempotent
from fleet.api.permissions import check
from fleet.api.person import person_of
from fleet.errors import InvalidRequest
from fleet.models import Episode, EpisodeLabel
from fleet.permissions import Permission
from fleet.protocol.recording import Outcome
from fleet.scopes import Needs, Scope
from fleet.selectors.episode_filter import episodes_filter
from fleet.services.episode_label import (
    MAX_BULK,
    MAX_TAGS,
    BulkDone,
    LabelChange,
    episode_label,
    episode_label_undo,
    episodes_label,
    episodes_label_undo,
)

MAX_HISTORY = 100


class LabelOut(serializers.Serializer[Episode]):
    """`revision` is the ETag. `outcome_source` "environment": what was recorded counts."""

    revision = serializers.IntegerField(source="label_revision")
    outcome = serializers.CharField()
    outcome_source = serializers.CharField()
    outcome_reason = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    comment = serializers.CharField()
    is_archived = serializers.BooleanField()


class RevisionOut(serializers.ModelSerializer[EpisodeLabel]):
    """Revision 0 is what was recorded: nobody made it, and `at` is when it was registered."""

    class Meta:
        model = EpisodeLabel
        fields = (
            "revision",
            "outcome",
            "outcome_source",
            "outcome_reason",
            "tags",
            "comment",
            "is_archived",
            "at",
            "by_name",
            "batch",
            "undoes",
        )


class HistoryOut(serializers.Serializer[Any]):
    revisions = RevisionOut(many=True)


def _tags() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(max_length=200), max_length=MAX_TAGS, required=False)


class LabelBody(serializers.Serializer[Any]):
    """What is left out stays. `outcome` null: what was recorded counts again."""

    outcome = serializers.ChoiceField(choices=[str(v) for v in Outcome], allow_null=True, required=False)
    outcome_reason = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=200), max_length=MAX_TAGS, required=False)
    add_tags = serializers.ListField(child=serializers.CharField(max_length=200), max_length=MAX_TAGS, required=False)
    remove_tags = serializers.ListField(
        child=serializers.CharField(max_length=200), max_length=MAX_TAGS, required=False
    )
    comment = serializers.CharField(max_length=4000, allow_blank=True, required=False)
    is_archived = serializers.BooleanField(required=False)


class BulkBody(serializers.Serializer[Any]):
    """Either the episodes' ids, or the filter that finds them; no more than 5,000."""

    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MAX_BULK, required=False)
    filter = EpisodeFilterIn(required=False)
    change = LabelBody()


class BulkOut(serializers.Serializer[BulkDone]):
    """`batch`: what undoes this."""

    batch = serializers.UUIDField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()


class LabelView(APIView):
    needs = Needs(read=Scope.EPISODES_READ, write=Scope.EPISODES_WRITE)

    @extend_schema(responses=LabelOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the label that counts, with its revision as ETag."""
        return _answer(access_episode_by_id(request.user, pk))

    @extend_schema(request=LabelBody, responses=LabelOut, parameters=[IF_MATCH])
    def patch(self, request: Request, pk: uuid.UUID) -> Response:
        """Change the label over the revision in If-Match; 412 if there is a newer one, 428 without the header."""
        access_episode_by_id(request.user, pk)
        revision, change = revision_read(request), _change(request.data)
        _check_archive(request, change)
        return _answer(episode_label(episode_id=pk, user=person_of(request), change=change, revision=revision))


class LabelUndoView(APIView):
    needs = Needs(read=Scope.EPISODES_READ, write=Scope.EPISODES_WRITE)

    @extend_schema(request=None, responses=LabelOut, parameters=[IF_MATCH])
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Take the change back that made the revision in If-Match; again, and it is there again."""
        access_episode_by_id(request.user, pk)
        return _answer(episode_label_undo(episode_id=pk, user=person_of(request), revision=revision_read(request)))


class LabelHistoryView(APIView):
    needs = Needs(read=Scope.EPISODES_READ)

    @extend_schema(responses=HistoryOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return the newest 100 revisions, the newest first; none while nobody labelled the episode."""
        episode = access_episode_by_id(request.user, pk)
        return Response(HistoryOut({"revisions": episode.labels.order_by("-revision")[:MAX_HISTORY]}).data)


class BulkLabelView(APIView):
    needs = Needs(read=Scope.EPISODES_READ, write=Scope.EPISODES_WRITE)

    @extend_schema(request=BulkBody, responses=BulkOut)
    @idempotent
    def post(self, request: Request) -> Response:
        """Change many labels at once, whatever their revisions."""
        body = BulkBody(data=request.data)
        body.is_valid(raise_exception=True)
        ids = _episodes(request, body.validated_data)
        sent: Any = request.data
        change = _change(sent["change"])
        _check_archive(request, change)
        return Response(BulkOut(episodes_label(episode_ids=ids, user=person_of(request), change=change)).data)


class BulkLabelUndoView(APIView):
    needs = Needs(read=Scope.EPISODES_READ, write=Scope.EPISODES_WRITE)

    @extend_schema(request=None, responses=BulkOut)
    @idempotent
    def post(self, request: Request, batch: uuid.UUID) -> Response:
        """Take a bulk change back, except where something came after it; those are `unchanged`."""
        return Response(BulkOut(episodes_label_undo(batch=batch, user=person_of(request))).data)


def _answer(episode: Episode) -> Response:
    return Response(LabelOut(episode).data, headers=etag_of(episode.label_revision))


def _change(data: Any) -> LabelChange:
    body = LabelBody(data=data)
    body.is_valid(raise_exception=True)
    sound = body.validated_data
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in sound.items()}
    if given.get("outcome", UNSET) not in (None, UNSET):
        given["outcome"] = Outcome(given["outcome"])
    return LabelChange(**given)


def _check_archive(request: Request, change: LabelChange) -> None:
    if change.is_archived is not UNSET:
        check(request.user, Permission.ARCHIVE)


def _episodes(request: Request, body: dict[str, Any]) -> list[uuid.UUID]:
    """Return the ids, those that this user may see. Raises: InvalidRequest."""
    if ("ids" in body) == ("filter" in body):
        raise InvalidRequest("send either ids or a filter", field="ids")
    rows = access_episodes(request.user).select_related(None)
    rows = rows.filter(id__in=body["ids"]) if "ids" in body else episodes_filter(rows, filter_of(body["filter"]))
    return list(rows.order_by().values_list("id", flat=True)[: MAX_BULK + 1])
