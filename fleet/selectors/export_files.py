"""The bytes of a finished export: single files, and the tar stream from any place on.

Called by the downloads' views, a thread at a time. Nothing is read ahead of who reads, and memory holds one piece and
one page of rows whatever the export's size.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connection
from django.utils import timezone

from fleet.errors import ExportElsewhere, ExportExpired, ExportNotNow, NotFound
from fleet.exports import tar
from fleet.exports.errors import NameInvalid
from fleet.exports.sink import check_name
from fleet.models import Export, ExportFile
from fleet.protocol.errors import ObjectMismatch
from fleet.selectors.objects import object_store
from fleet.storage import keys

PIECE = 256 * 1024
_PAGE = 500


def require_downloadable(export: Export) -> None:
    """Raises: ExportNotNow, ExportExpired, ExportElsewhere."""
    is_over = export.expires_at is not None and export.expires_at < timezone.now()
    if export.state == Export.State.EXPIRED or (export.state == Export.State.DONE and is_over):
        raise ExportExpired("the export's files are gone; retry makes them again")
    if export.state != Export.State.DONE:
        raise ExportNotNow(f"the export is {export.state}", state=export.state)
    if export.destination:
        raise ExportElsewhere(f"the export is at the destination '{export.destination}'")


def export_file(*, export: Export, name: str) -> ExportFile:
    """Return one file of it. Raises: NotFound."""
    try:
        file = ExportFile.objects.filter(export=export, name=check_name(name)).first()
    except NameInvalid:
        file = None
    if file is None:
        raise NotFound("the export has no such file")
    return file


def export_tar_etag(*, export: Export) -> str:
    """Return what stands for the stream's bytes: the hash of all files, the folder, and the way it is laid out."""
    text = f"{tar.VERSION} {export.folder} {export.sha256}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()}"'


def export_tar_bytes(*, export: Export, start: int, end: int) -> Iterator[bytes]:
    """Yield bytes [start, end) of the tar stream. Raises: StorageError; ObjectMismatch if a file lost bytes."""
    total = export.tar_bytes or 0
    files = _files_from(export.id, start)
    for piece in tar.tar_pieces(files, export.folder, total=total, start=start, end=end):
        if isinstance(piece, tar.FileRange):
            yield from export_file_bytes(export=export, name=piece.name, start=piece.start, end=piece.end)
        else:
            yield piece


def export_file_bytes(*, export: Export, name: str, start: int, end: int) -> Iterator[bytes]:
    """Yield bytes [start, end) of a file. Raises: StorageError; ObjectMismatch if there are fewer."""
    left = end - start
    with object_store().open(f"{keys.export_folder(str(export.id))}/{name}", start=start) as source:
        while left > 0:
            piece = source.read(min(PIECE, left))
            if not piece:
                raise ObjectMismatch("a file of the export is shorter than it was", object=name)
            left -= len(piece)
            yield piece


def _files_from(export_id: uuid.UUID, start: int) -> Iterator[tar.TarFile]:
    """Yield the files from the one on whose part of the stream holds `start`."""
    rows = ExportFile.objects.filter(export=export_id)
    first = rows.filter(tar_offset__lte=start).order_by("-tar_offset").values_list("tar_offset", flat=True)[:1]
    at = next(iter(_read(first)), 0) - 1
    while page := _read(
        rows.filter(tar_offset__gt=at).order_by("tar_offset").values_list("name", "size", "tar_offset")[:_PAGE]
    ):
        yield from (tar.TarFile(*row) for row in page)
        at = page[-1][2]


def _read(rows: Iterable[Any]) -> list[Any]:
    """Return the rows, and give the connection back: a download lasts for hours, and each of its threads would keep
    one from the pool."""
    try:
        return list(rows)
    finally:
        if not connection.in_atomic_block:
            connection.close()
