"""Exports: what there is to choose, asking for one, following it, ending it. Downloads are in `export_files.py`."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_dataset_versions, access_export_by_id, access_exports
from fleet.api.dataset_query import FrozenFilterIn, Strict, selection_of
from fleet.api.idempotency import idempotent
from fleet.api.person import person_of
from fleet.api.sparse import SparseFields
from fleet.errors import InvalidRequest, NotFound
from fleet.exports.registry import FORMATS
from fleet.models import Export
from fleet.scopes import Needs, Scope
from fleet.selectors.dataset_selection import MAX_IDS
from fleet.services.export import (
    ExportAsked,
    export_cancel,
    export_check,
    export_delete,
    export_request,
    export_retry,
)

FOLLOWING = Needs(read=Scope.EXPORTS_READ)
ASKING = Needs(read=Scope.EXPORTS_READ, write=Scope.EXPORTS_WRITE)


class ExportErrorOut(serializers.Serializer[Any]):
    """`details`: what the code has to say besides, as "problems" or "episode_id"."""

    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.JSONField()


class ExportSourceOut(serializers.Serializer[Any]):
    """A version of a dataset, or episodes frozen for this export alone: then `dataset` and `version` are null."""

    name = serializers.CharField()
    dataset = serializers.UUIDField(allow_null=True)
    version = serializers.IntegerField(allow_null=True)
    digest = serializers.CharField()


class ExportOut(serializers.ModelSerializer[Export]):
    """`eta_s`: of a running one, null while the rate is not known. `sha256`: of SHA256SUMS, hence of all bytes.

    `resumed_files`: kept from attempts that broke off. `expires_at`: when its files go; null at a destination.
    """

    source = serializers.SerializerMethodField()  # type: ignore[assignment]
    eta_s = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    is_cancelling = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = (
            "id", "source", "format", "options", "destination", "folder", "state", "is_cancelling", "attempts",
            "episodes", "frames", "frames_total", "bytes_read", "bytes_total", "file", "frames_per_s", "bytes_per_s",
            "eta_s", "files", "size_bytes", "tar_bytes", "sha256", "resumed_files", "error", "requested_by_name",
            "created_at", "started_at", "finished_at", "expires_at",
        )  # fmt: skip

    @extend_schema_field(ExportSourceOut)
    def get_source(self, row: Export) -> dict[str, Any]:
        version = row.dataset_version
        return {
            "name": row.info["name"],
            "dataset": str(version.dataset_id) if version else None,
            "version": version.number if version else None,
            "digest": row.info["digest"],
        }

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_eta_s(self, row: Export) -> float | None:
        if row.state != Export.State.RUNNING or row.bytes_per_s <= 0:
            return None
        return max(0.0, (row.bytes_total - row.bytes_read) / row.bytes_per_s)

    @extend_schema_field(ExportErrorOut(allow_null=True))
    def get_error(self, row: Export) -> dict[str, Any] | None:
        if not row.error_code:
            return None
        return {"code": row.error_code, "message": row.error_message, "details": row.error_data}

    def get_is_cancelling(self, row: Export) -> bool:
        return row.state == Export.State.RUNNING and row.cancel_requested_at is not None


class ExportIn(Strict):
    """What: `dataset_version`, or `filter` or `ids` of episodes, frozen as they are now. How: a format of
    /exports/formats with its options, and a destination of there; without one it goes to the object store."""

    dataset_version = serializers.UUIDField(required=False)
    filter = FrozenFilterIn(required=False)
    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MAX_IDS, required=False)
    name = serializers.CharField(max_length=100, required=False, allow_blank=True)
    format = serializers.CharField(max_length=32)
    options = serializers.DictField(child=serializers.IntegerField(), required=False)
    destination = serializers.CharField(max_length=64, required=False, allow_blank=True)


class ExportCheckOut(serializers.Serializer[Any]):
    """`source`: the dataset and its version, "" without one. `problems`: everything that stands in the way, in words.
    `checked`: episodes that were read for that."""

    source = serializers.CharField()  # type: ignore[assignment]
    problems = serializers.ListField(child=serializers.CharField())
    episodes = serializers.IntegerField()
    frames = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    checked = serializers.IntegerField()


class OptionOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField()
    default = serializers.IntegerField()
    least = serializers.IntegerField()
    most = serializers.IntegerField()


class FormatOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    options = OptionOut(many=True, source="choices")


class FormatsOut(serializers.Serializer[Any]):
    """`destinations`: names of places besides the object store."""

    formats = FormatOut(many=True)
    destinations = serializers.ListField(child=serializers.CharField())
    keep_days = serializers.IntegerField()


class ExportListIn(serializers.Serializer[Any]):
    state = serializers.ListField(
        child=serializers.ChoiceField(choices=Export.State.values), max_length=6, required=False, help_text="Repeated."
    )
    dataset_version = serializers.UUIDField(required=False)


class ExportList(SparseFields, generics.ListAPIView[Export]):
    needs = ASKING
    serializer_class = ExportOut
    ordering = ("-created_at", "id")
    queryset = Export.objects.none()

    def get_queryset(self) -> QuerySet[Export]:
        query = ExportListIn(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        asked, rows = query.validated_data, access_exports(self.request.user)
        if "state" in asked:
            rows = rows.filter(state__in=asked["state"])
        if "dataset_version" in asked:
            rows = rows.filter(dataset_version=asked["dataset_version"])
        return rows

    @extend_schema(parameters=[ExportListIn])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of exports, the newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=ExportIn, responses={202: ExportOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Check, freeze and queue an export. 422 with `problems` names everything that stands in its way."""
        row = export_request(user=person_of(request), asked=_asked(request))
        return _answer(request, row.id, status=202)


class ExportCheckView(APIView):
    needs = Needs(read=Scope.EXPORTS_READ, write=Scope.EXPORTS_WRITE)

    @extend_schema(request=ExportIn, responses=ExportCheckOut)
    @idempotent
    def post(self, request: Request) -> Response:
        """Say what an export would hold and what stands in its way. Nothing is queued."""
        return Response(ExportCheckOut(export_check(user=person_of(request), asked=_asked(request))).data)


class ExportFormatsView(APIView):
    needs = FOLLOWING

    @extend_schema(responses=FormatsOut)
    def get(self, request: Request) -> Response:
        """Return the formats with their options, and the destinations."""
        found = {
            "formats": list(FORMATS.values()),
            "destinations": sorted(settings.SOP_EXPORT_DESTINATIONS),
            "keep_days": settings.SOP_EXPORT_KEEP_DAYS,
        }
        return Response(FormatsOut(found).data)


class ExportDetail(SparseFields, APIView):
    sparse = ExportOut
    needs = ASKING

    @extend_schema(responses=ExportOut)
    def get(self, request: Request, pk: uuid.UUID) -> Response:
        """Return an export with its progress."""
        return _answer(request, pk)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: uuid.UUID) -> Response:
        """Remove an export that does not run, and its files; what is at a destination stays there."""
        access_export_by_id(request.user, pk)
        export_delete(export_id=pk)
        return Response(status=204)


class ExportCancelView(APIView):
    needs = ASKING

    @extend_schema(request=None, responses=ExportOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Cancel an export: one that runs stops within a second or two, and nothing of it is left."""
        access_export_by_id(request.user, pk)
        export_cancel(export_id=pk)
        return _answer(request, pk)


class ExportRetryView(APIView):
    needs = ASKING

    @extend_schema(request=None, responses=ExportOut)
    @idempotent
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Make a failed, cancelled or expired export again; a failed one goes on where it broke off if it can."""
        access_export_by_id(request.user, pk)
        export_retry(export_id=pk)
        return _answer(request, pk)


def _answer(request: Request, pk: uuid.UUID, status: int = 200) -> Response:
    return Response(ExportOut(access_export_by_id(request.user, pk)).data, status=status)


def _asked(request: Request) -> ExportAsked:
    """Raises: ValidationError, InvalidRequest, NotFound."""
    body = ExportIn(data=request.data)
    body.is_valid(raise_exception=True)
    values = body.validated_data
    how = {name: values[name] for name in ("name", "format", "options", "destination") if name in values}
    version_id = values.get("dataset_version")
    if version_id is None:
        selection = selection_of(values, may_be_collected=False)
        return ExportAsked(selection=selection, query=_query(request), **how)
    if "filter" in values or "ids" in values:
        raise InvalidRequest("name a dataset version, or select episodes", field="dataset_version")
    if not access_dataset_versions(request.user).filter(id=version_id).exists():
        raise NotFound("there is no such dataset version")
    return ExportAsked(version_id=version_id, **how)


def _query(request: Request) -> dict[str, Any]:
    """Return the selection as it was sent; of ids only how many, since the frozen entries hold them."""
    sent: Any = request.data
    return {"filter": sent["filter"]} if "filter" in sent else {"ids": len(sent["ids"])}
