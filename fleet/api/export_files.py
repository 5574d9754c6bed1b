"""Downloads of finished exports: the tar stream and single files, with byte ranges, so that a broken one goes on."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from fleet.access import access_export_by_id
from fleet.api.ranges import range_response
from fleet.models import Export, ExportFile
from fleet.scopes import Needs, Scope
from fleet.selectors.export_files import (
    export_file,
    export_file_bytes,
    export_tar_bytes,
    export_tar_etag,
    require_downloadable,
)

DOWNLOADING = Needs(read=Scope.EXPORTS_READ)
_TYPES = {".json": "application/json", ".md": "text/markdown", ".mp4": "video/mp4"}
_BINARY = {
    (200, "application/octet-stream"): OpenApiTypes.BINARY,
    (206, "application/octet-stream"): OpenApiTypes.BINARY,
}
_RANGE = [
    OpenApiParameter("Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="One range of bytes."),
    OpenApiParameter(
        "If-Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The ETag of what came before."
    ),
]


class ExportFileOut(serializers.ModelSerializer[ExportFile]):
    class Meta:
        model = ExportFile
        fields = ("name", "size", "sha256")


class ExportFileList(generics.ListAPIView[ExportFile]):
    """The files of a finished export, in the order of the tar stream."""

    needs = DOWNLOADING
    serializer_class = ExportFileOut
    ordering = ("tar_offset",)
    queryset = ExportFile.objects.none()

    def get_queryset(self) -> QuerySet[ExportFile]:
        export = access_export_by_id(self.request.user, self.kwargs["pk"])
        require_downloadable(export)
        return ExportFile.objects.filter(export=export)


class ExportFileView(APIView):
    needs = DOWNLOADING

    @extend_schema(responses=_BINARY, parameters=_RANGE)
    def get(self, request: Request, pk: uuid.UUID, name: str) -> HttpResponseBase:
        """Return one file of a finished export, or the range of bytes asked for. The ETag is its SHA-256."""
        export = _downloadable(request, pk)
        file = export_file(export=export, name=name)
        return range_response(
            request._request,
            _streamed(lambda start, end: export_file_bytes(export=export, name=file.name, start=start, end=end)),
            size=file.size,
            etag=f'"{file.sha256}"',
            content_type=_TYPES.get(name[name.rfind(".") :], "application/octet-stream"),
            headers={"Content-Disposition": f'attachment; filename="{name.rpartition("/")[2]}"'},
        )


class ExportDownloadView(APIView):
    needs = DOWNLOADING

    @extend_schema(responses={(200, "application/x-tar"): OpenApiTypes.BINARY}, parameters=_RANGE)
    def get(self, request: Request, pk: uuid.UUID) -> HttpResponseBase:
        """Return the whole export as one tar file, or the range of bytes asked for: `curl -C -` goes on with it.

        The same export gives the same bytes for as long as it is there.
        """
        export = _downloadable(request, pk)
        return range_response(
            request._request,
            _streamed(lambda start, end: export_tar_bytes(export=export, start=start, end=end)),
            size=export.tar_bytes or 0,
            etag=export_tar_etag(export=export),
            content_type="application/x-tar",
            headers={"Content-Disposition": f'attachment; filename="{export.folder}.tar"'},
        )


def _downloadable(request: Request, pk: uuid.UUID) -> Export:
    export = access_export_by_id(request.user, pk)
    require_downloadable(export)
    return export


def _streamed(make: Callable[[int, int], Iterator[bytes]]) -> Callable[[int, int], AsyncIterator[bytes]]:
    """Turn an iterator that waits for disks and networks into one that waits in threads."""

    async def pieces(start: int, end: int) -> AsyncIterator[bytes]:
        iterator: Any = make(start, end)
        try:
            while (piece := await asyncio.to_thread(next, iterator, None)) is not None:
                yield piece
        finally:
            await asyncio.to_thread(iterator.close)

    if not connection.in_atomic_block:
        connection.close()  # the request's own, which would be kept for as long as the download lasts
    return pieces
