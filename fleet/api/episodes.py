"""Episodes: the library's list, its counts, and one episode with what was recorded of it."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from django.http import QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from fleet.access import access_episode_by_id, access_episodes, coverage_of
from fleet.api.episode_labels import LabelOut
from fleet.api.episode_query import EpisodeFilterIn, filter_asked
from fleet.api.sparse import SparseFields
from fleet.models import Episode, Segment
from fleet.protocol.errors import SopError
from fleet.protocol.recording import EpisodeManifest
from fleet.scopes import Needs, Scope
from fleet.selectors.episode_counts import episode_counts
from fleet.selectors.episode_filter import episodes_filter
from fleet.selectors.episode_page import DEFAULT_SORT, SORT_NAMES, episode_page
from fleet.selectors.episode_recording import episode_manifest
from fleet.selectors.sidecar import episode_has_sidecar


class EpisodeOut(serializers.ModelSerializer[Episode]):
    """`human_share`: human steps of all steps. `label_revision`: 0 until a person labels it; see the label.

    `damage`: what the verification at `verified_at` missed of its objects, "" if nothing.
    """

    task = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    environment_outcome = serializers.CharField(read_only=True)  # as text: it may be empty, unlike other outcomes
    robot_name = serializers.CharField(source="robot.name", default=None, allow_null=True, read_only=True)
    policy_number = serializers.IntegerField(
        source="policy_version.number", default=None, allow_null=True, read_only=True
    )
    run = serializers.UUIDField(source="policy_version.run_id", default=None, allow_null=True, read_only=True)
    run_name = serializers.CharField(source="policy_version.run.name", default=None, allow_null=True, read_only=True)

    class Meta:
        model = Episode
        fields = (
            "id",
            "index_seq",
            "origin",
            "outcome",
            "outcome_source",
            "outcome_reason",
            "environment_outcome",
            "robot",
            "robot_name",
            "task",
            "policy_version",
            "policy_number",
            "run",
            "run_name",
            "instruction",
            "seed",
            "steps",
            "human_steps",
            "human_share",
            "control_rate_hz",
            "sources",
            "operators",
            "tags",
            "comment",
            "is_archived",
            "label_revision",
            "started_at",
            "ended_at",
            "uploaded_at",
            "indexed_at",
            "first_sampled_at",
            "size_bytes",
            "damage",
            "verified_at",
        )


class SegmentOut(serializers.ModelSerializer[Segment]):
    class Meta:
        model = Segment
        fields = ("start", "end", "mode", "source", "lease_epoch", "operator", "reason")


class CameraOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    url = serializers.CharField()


class FileOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    url = serializers.CharField()


class CalibrationOut(serializers.Serializer[Any]):
    """As the driver declared it: a JSON object, as text, and the SHA-256 of that text."""

    document = serializers.CharField()
    sha256 = serializers.CharField()


class RecordingOut(serializers.Serializer[Any]):
    """What the manifest says. URLs take ranges and need the same sign-in as this answer."""

    driver = serializers.CharField()
    outcome = serializers.CharField()
    outcome_source = serializers.CharField()
    outcome_reason = serializers.CharField()
    environment_outcome = serializers.CharField(allow_null=True)
    action_names = serializers.ListField(child=serializers.CharField())
    proprio_names = serializers.ListField(child=serializers.CharField())
    cameras = CameraOut(many=True)
    files = FileOut(many=True)
    software = serializers.DictField(child=serializers.CharField())
    calibration = CalibrationOut(allow_null=True)


class RecordingProblemOut(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()


class EpisodeDetailOut(EpisodeOut):
    """`recording` is null, and `recording_problem` says why, while the manifest cannot be read.

    `has_sidecar`: the run that drove it has derived something of its frames, which the run's `sidecar` of it returns.
    """

    segments = SegmentOut(many=True, read_only=True)
    label = LabelOut(source="*", read_only=True)  # type: ignore[assignment]
    recording = RecordingOut(allow_null=True, read_only=True)
    recording_problem = RecordingProblemOut(allow_null=True, read_only=True)
    has_sidecar = serializers.BooleanField(read_only=True)

    class Meta(EpisodeOut.Meta):
        fields = (  # type: ignore[assignment]
            *EpisodeOut.Meta.fields,
            "segments",
            "label",
            "recording",
            "recording_problem",
            "has_sidecar",
        )


class EpisodeListIn(EpisodeFilterIn):
    """`cursor`: of `next` or `previous`. `sort`: a leading "-" for the largest first."""

    sort = serializers.ChoiceField(choices=SORT_NAMES, default=DEFAULT_SORT)
    cursor = serializers.CharField(max_length=300, default="", allow_blank=True)
    page_size = serializers.IntegerField(min_value=1, max_value=200, default=50)


class EpisodePageOut(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = EpisodeOut(many=True)


class FacetValueOut(serializers.Serializer[Any]):
    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    count = serializers.IntegerField()


class EpisodeCountsOut(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    facets = serializers.DictField(child=FacetValueOut(many=True))


class EpisodeList(SparseFields):
    sparse = EpisodeOut
    needs = Needs(read=Scope.EPISODES_READ)

    @extend_schema(operation_id="episodes_list", parameters=[EpisodeListIn], responses=EpisodePageOut)
    def get(self, request: Request) -> Response:
        """Return a page of the episodes that the filter finds; archived ones only where it asks for them."""
        query = EpisodeListIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        rows = episodes_filter(access_episodes(request.user), filter_asked(request))
        page = episode_page(rows, sort=asked["sort"], cursor=asked["cursor"], size=asked["page_size"])
        return Response(
            {
                "next": _url(request, page.next),
                "previous": _url(request, page.previous),
                "results": EpisodeOut(page.rows, many=True).data,
            }
        )


class EpisodeCountsView(APIView):
    needs = Needs(read=Scope.EPISODES_READ)

    @extend_schema(parameters=[EpisodeFilterIn], responses=EpisodeCountsOut)
    def get(self, request: Request) -> Response:
        """Count what the filter finds, and by each facet's values, each facet without its own choice."""
        coverage = coverage_of(request.user)
        counts = episode_counts(access_episodes(request.user), filter_asked(request), coverage=coverage)
        return Response(EpisodeCountsOut(counts).data)


class EpisodeDetail(SparseFields):
    sparse = EpisodeDetailOut
    needs = Needs(read=Scope.EPISODES_READ)

    @extend_schema(responses=EpisodeDetailOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return one episode, archived or not, with its segments, its label, and where its files are."""
        episode: Any = access_episode_by_id(request.user, pk)
        episode.recording, episode.recording_problem = _recording(request, episode)
        episode.has_sidecar = episode_has_sidecar(episode=episode)
        return Response(EpisodeDetailOut(episode).data)


def _url(request: Request, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    query: QueryDict = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _recording(request: Request, episode: Episode) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """Return what the manifest says, or why nobody knows: the rows tell enough to show the rest of the page."""
    try:
        manifest = episode_manifest(episode=episode)
    except SopError as error:
        return None, {"code": error.code, "detail": error.message}
    urls = {name: _file_url(episode, name) for name in [each.name for each in manifest.objects]}
    cameras = [
        {"name": each.name, "width": each.width, "height": each.height, "url": urls[each.object]}
        for each in manifest.cameras
    ]
    files = [
        {"name": each.name, "size": each.size, "sha256": each.sha256, "url": urls[each.name]}
        for each in manifest.objects
    ]
    return _facts(manifest) | {"cameras": cameras, "files": files}, None


def _facts(manifest: EpisodeManifest) -> dict[str, Any]:
    names = ("driver", "outcome", "outcome_source", "outcome_reason", "environment_outcome")
    facts = {name: getattr(manifest, name) for name in (*names, "action_names", "proprio_names", "software")}
    return facts | {"calibration": msgspec.structs.asdict(manifest.calibration) if manifest.calibration else None}


def _file_url(episode: Episode, name: str) -> str:
    return reverse("episode-file", kwargs={"pk": episode.id, "name": name})
