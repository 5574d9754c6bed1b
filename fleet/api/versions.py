"""Policy versions: lineage, one version with all that is known of it, two compared, notes, download."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_policy_version_by_id, access_training_run_by_id, coverage_of
from fleet.api.etag import IF_MATCH, etag_of, revision_read
from fleet.api.streams import streamed
from fleet.api.training_runs import RateOut
from fleet.exports.tar import FileRange, TarFile, tar_next, tar_pieces, tar_size
from fleet.models import PolicyVersion
from fleet.scopes import Needs, Scope
from fleet.selectors.objects import object_store
from fleet.selectors.version import (
    version_compare,
    version_data,
    version_deployments,
    version_node,
    version_nodes,
    version_rates_by_task,
    version_source,
)
from fleet.services.rollout import version_note
from fleet.storage import keys

READ_BYTES = 1024 * 1024


class RatesOut(serializers.Serializer[Any]):
    success = RateOut(allow_null=True)
    interventions = RateOut(allow_null=True)


class NodeOut(serializers.Serializer[Any]):
    """`stages`: any of current, canary, newest, pinned. `parent`: what it was trained from, null for a base.

    `notes_revision`: what If-Match names to change the notes.
    """

    id = serializers.UUIDField(source="version.id")
    run = serializers.UUIDField(source="version.run_id")
    number = serializers.IntegerField(source="version.number")
    step = serializers.IntegerField(source="version.step")
    parent = serializers.UUIDField(source="version.parent_id", allow_null=True)  # type: ignore[assignment]
    architecture = serializers.CharField(source="version.architecture")
    size_bytes = serializers.IntegerField(source="version.size_bytes")
    trained_at = serializers.DateTimeField(source="version.trained_at")
    published_at = serializers.DateTimeField(source="version.published_at")
    notes = serializers.CharField(source="version.notes")
    notes_revision = serializers.IntegerField(source="version.notes_revision")
    stages = serializers.ListField(child=serializers.CharField())
    robots = serializers.IntegerField()
    rates = RatesOut()


class LineageOut(serializers.Serializer[Any]):
    versions = NodeOut(many=True)


class TaskRatesOut(RatesOut):
    task = serializers.CharField()


class DataShareOut(serializers.Serializer[Any]):
    task = serializers.CharField()
    origin = serializers.CharField()
    episodes = serializers.IntegerField()
    frames = serializers.IntegerField()
    human_frames = serializers.IntegerField()


class DataSourceOut(serializers.Serializer[Any]):
    """A frozen version of a dataset; `digest`: SHA-256 over its episodes and their outcomes. `split` empty: all of it.

    `takes_online`: new episodes of robots came to it.
    """

    dataset = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    digest = serializers.CharField()
    split = serializers.CharField()
    takes_online = serializers.BooleanField()


class BeganFromOut(serializers.Serializer[Any]):
    """The version, of this or another run, that it was trained from."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    run = serializers.UUIDField(source="run_id")
    run_name = serializers.CharField(source="run.name")


class DeploymentOut(serializers.Serializer[Any]):
    robot = serializers.UUIDField(source="robot_id")
    robot_name = serializers.CharField(source="robot.name")
    robot_revision = serializers.IntegerField(source="robot.revision", help_text="What If-Match names to pin it.")
    is_running = serializers.SerializerMethodField()
    pinned_version = serializers.UUIDField(
        source="robot.pinned_version_id",
        allow_null=True,
        help_text="What the robot is pinned to, this or another; null: none.",
    )
    pinned_number = serializers.IntegerField(source="robot.pinned_version.number", allow_null=True, default=None)
    pinned_run_name = serializers.CharField(source="robot.pinned_version.run.name", allow_null=True, default=None)
    pinned_reason = serializers.CharField(source="robot.pinned_reason")
    announced_at = serializers.DateTimeField()
    fetched_at = serializers.DateTimeField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)
    refused_at = serializers.DateTimeField(allow_null=True)
    refused_code = serializers.CharField()
    refused_message = serializers.CharField()
    fetched_bytes = serializers.IntegerField()

    def get_is_running(self, row: Any) -> bool:
        return bool(row.robot.policy_version_id == row.version_id)


class VersionReportOut(serializers.Serializer[Any]):
    """`data`: null where not known, as of a base. `dataset`: null if its run learns from none.

    `blobs`: SHA-256 -> bytes. `parent`: what it was trained from, with its run; null where not known.
    """

    version = NodeOut()
    run_name = serializers.CharField()
    manifest_sha256 = serializers.CharField()
    blobs = serializers.DictField(child=serializers.IntegerField())
    tasks = TaskRatesOut(many=True)
    data = DataShareOut(many=True, allow_null=True)  # type: ignore[assignment]
    dataset = DataSourceOut(allow_null=True)
    parent = BeganFromOut(allow_null=True)
    deployments = DeploymentOut(many=True)


class NotesBody(serializers.Serializer[Any]):
    notes = serializers.CharField(max_length=4000, allow_blank=True, trim_whitespace=False)


class CompareIn(serializers.Serializer[Any]):
    task = serializers.SlugField(required=False, default=None)


class ComparisonOut(serializers.Serializer[Any]):
    """`difference`: of the rates, this minus the other, tasks as strata; low and high: its 95 % interval."""

    measure = serializers.CharField()
    one = RateOut(allow_null=True)
    other = RateOut(allow_null=True)
    difference = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    sentence = serializers.CharField()


class CompareOut(serializers.Serializer[Any]):
    measures = ComparisonOut(many=True)


class LineageView(APIView):
    needs = Needs(read=Scope.POLICIES_READ)

    @extend_schema(responses=LineageOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return a run's newest 500 versions and its base, by number."""
        run = access_training_run_by_id(request.user, pk)
        return Response(LineageOut({"versions": version_nodes(run=run, coverage=coverage_of(request.user))}).data)


class VersionReportView(APIView):
    needs = Needs(read=Scope.POLICIES_READ)

    @extend_schema(responses=VersionReportOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return all that is known of a version."""
        version = access_policy_version_by_id(request.user, pk)
        coverage = coverage_of(request.user)
        by_task = version_rates_by_task(version=version, coverage=coverage)
        report = {
            "version": version_node(version=version, coverage=coverage),
            "run_name": version.run.name,
            "manifest_sha256": version.manifest_sha256,
            "blobs": version.blobs,
            "tasks": [{"task": slug, **rates.__dict__} for slug, rates in by_task.items()],
            "data": version_data(version=version, coverage=coverage),
            "dataset": version_source(version=version),
            "parent": version.parent,
            "deployments": version_deployments(version=version, coverage=coverage),
        }
        return Response(VersionReportOut(report).data)


class VersionNotesView(APIView):
    needs = Needs(read=Scope.POLICIES_READ, write=Scope.POLICIES_WRITE)

    @extend_schema(request=NotesBody, responses=NotesBody, parameters=[IF_MATCH])
    def put(self, request: Request, pk: uuid.UUID) -> Response:
        """Replace a version's notes over its `notes_revision` in If-Match; managers only."""
        access_policy_version_by_id(request.user, pk)
        revision, body = revision_read(request), NotesBody(data=request.data)
        body.is_valid(raise_exception=True)
        version = version_note(version_id=pk, notes=body.validated_data["notes"], revision=revision)
        return Response({"notes": version.notes}, headers=etag_of(version.notes_revision))


class VersionCompareView(APIView):
    needs = Needs(read=Scope.POLICIES_READ)

    @extend_schema(parameters=[CompareIn], responses=CompareOut)
    def get(self, request: Request, pk: uuid.UUID, other: uuid.UUID) -> Response:
        """Compare this version with another, over the tasks both worked at or at one."""
        query = CompareIn(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = version_compare(
            one=access_policy_version_by_id(request.user, pk),
            other=access_policy_version_by_id(request.user, other),
            task=query.validated_data["task"],
            coverage=coverage_of(request.user),
        )
        return Response(CompareOut({"measures": found}).data)


class VersionDownloadView(APIView):
    needs = Needs(read=Scope.POLICIES_READ)

    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: uuid.UUID) -> StreamingHttpResponse:
        """Return a tar of manifest.json and the safetensors blobs: a policy folder, as the learner reads one."""
        version = access_policy_version_by_id(request.user, pk)
        name = f"{version.run.name}-version-{version.number}".replace("/", "_").replace('"', "")
        pieces, size = _tar(version, name)
        headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}.tar"'}
        return streamed(request, pieces, content_type="application/x-tar", headers=headers)


def _tar(version: PolicyVersion, folder: str) -> tuple[Iterator[bytes], int]:
    store = object_store()
    stored = {"manifest.json": version.manifest_key}
    stored |= {f"{sha256}.safetensors": keys.policy_blob(sha256) for sha256 in sorted(version.blobs)}
    files, at = [], 0
    for name, key in stored.items():
        files.append(TarFile(name, store.size(key), at))
        at = tar_next(f"{folder}/{name}", files[-1].size, at)
    total = tar_size(at)

    def pieces() -> Iterator[bytes]:
        for piece in tar_pieces(files, folder, total=total, start=0, end=total):
            if not isinstance(piece, FileRange):
                yield piece
                continue
            with store.open(stored[piece.name], start=piece.start) as file:
                left = piece.end - piece.start
                while left and (data := file.read(min(READ_BYTES, left))):
                    left -= len(data)
                    yield data

    return pieces(), total
