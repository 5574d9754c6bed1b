"""The audit log over HTTP: pages, CSV, and what there is to filter by."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.access import access_audit
from fleet.api.streams import streamed
from fleet.models import AuditEntry
from fleet.scopes import Needs, Scope
from fleet.selectors.audit import audit_facets, audit_filter

MAX_CSV = 100_000  # rows of one file, the newest; a filter of the time brings the others
_COLUMNS = (
    "id", "at", "actor_kind", "actor_name", "actor_id", "action", "object_kind", "object_id", "object_name",
    "before", "after", "address", "request_id",
)  # fmt: skip


class AuditFilterIn(serializers.Serializer[Any]):
    """`action`: "lease.take", or "lease" for all of leases. `object`: an id, or a part of a name."""

    actor = serializers.CharField(max_length=200, required=False, allow_blank=True)
    action = serializers.CharField(max_length=64, required=False, allow_blank=True)
    kind = serializers.CharField(max_length=40, required=False, allow_blank=True)
    object = serializers.CharField(max_length=200, required=False, allow_blank=True)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class AuditEntryOut(serializers.ModelSerializer[AuditEntry]):
    """`before`, `after`: the fields that changed; null where the object was new, or is gone."""

    actor_kind = serializers.CharField(read_only=True)

    class Meta:
        model = AuditEntry
        fields = _COLUMNS


class AuditFacetsOut(serializers.Serializer[Any]):
    actors = serializers.ListField(child=serializers.CharField())
    actions = serializers.ListField(child=serializers.CharField())
    kinds = serializers.ListField(child=serializers.CharField())


class AuditList(generics.ListAPIView[AuditEntry]):
    """The newest first."""

    needs = Needs(read=Scope.ADMIN)
    serializer_class = AuditEntryOut
    ordering = ("-id",)
    queryset = AuditEntry.objects.none()

    @extend_schema(parameters=[AuditFilterIn])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of the entries that the filter finds."""
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return _found(self.request)


class AuditCsv(APIView):
    needs = Needs(read=Scope.ADMIN)

    @extend_schema(parameters=[AuditFilterIn], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        """Return what the filter finds as CSV, the newest 100,000; `before` and `after` are JSON."""
        rows = _found(request).order_by("-id").values_list(*_COLUMNS)[:MAX_CSV]
        lines = _lines(rows.iterator(chunk_size=2000))
        headers = {"Content-Disposition": 'attachment; filename="audit.csv"', "Cache-Control": "no-store"}
        return streamed(request, lines, content_type="text/csv; charset=utf-8", headers=headers)


class AuditFacets(APIView):
    needs = Needs(read=Scope.ADMIN)

    @extend_schema(responses=AuditFacetsOut)
    def get(self, request: Request) -> Response:
        """Return the people, actions and kinds of objects that the log names."""
        return Response(audit_facets(access_audit(request.user)))


def _found(request: Request) -> QuerySet[AuditEntry]:
    query = AuditFilterIn(data=request.query_params)
    query.is_valid(raise_exception=True)
    return audit_filter(access_audit(request.user), query.validated_data)


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> bytes:
        return text.encode()


def _lines(rows: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
    writer: Any = csv.writer(_Echo())
    yield writer.writerow(_COLUMNS)
    for row in rows:
        yield writer.writerow(map(_cell, row))


def _cell(value: Any) -> str:
    """Return the value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
