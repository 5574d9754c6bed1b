"""Files over HTTP with single byte ranges, read in threads so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse

from fleet.api.errors import PROBLEM_TYPE, problem

Pieces = AsyncIterator[bytes]
_PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")


def file_response(
    request: HttpRequest, path: Path, *, content_type: str, through: Callable[[Pieces], Pieces] = lambda pieces: pieces
) -> HttpResponseBase:
    """Answer GET or HEAD with the file or the range asked for: 200, 206 or 416. Asks the disk for the file's size.

    `through`: what the pieces pass on their way, such as a limit.
    """
    stat = path.stat()
    return range_response(
        request,
        lambda start, end: through(_pieces(path, start, end)),
        size=stat.st_size,
        etag=f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"',
        content_type=content_type,
        headers={"Last-Modified": formatdate(stat.st_mtime, usegmt=True)},
    )


def range_response(
    request: HttpRequest,
    pieces: Callable[[int, int], AsyncIterator[bytes]],
    *,
    size: int,
    etag: str,
    content_type: str,
    headers: Mapping[str, str] | None = None,
) -> HttpResponseBase:
    """Answer GET or HEAD with what `pieces(start, end)` yields, of `size` bytes in all: 200, 206 or 416.

    `etag`: strong; the same for as long as the bytes are.
    """
    sent = {"Accept-Ranges": "bytes", "ETag": etag, **(headers or {})}
    start, end, status = 0, size, 200
    wanted = request.headers.get("Range", "")
    # Several ranges or another unit get the whole object: RFC 9110 lets a server ignore what it does not serve.
    match = _RANGE.fullmatch(wanted)
    if match is not None and request.headers.get("If-Range", etag) == etag:
        start, end = _bounds(match, size)
        if start >= end:
            return _beyond(wanted, size)
        status = 206
        sent["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    sent["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=sent, content_type=content_type)
    return StreamingHttpResponse(pieces(start, end), status=status, headers=sent, content_type=content_type)


def _beyond(wanted: str, size: int) -> HttpResponse:
    body = problem(416, "range_not_satisfiable", wanted[:100])
    return JsonResponse(body, status=416, content_type=PROBLEM_TYPE, headers={"Content-Range": f"bytes */{size}"})


def _bounds(match: re.Match[str], size: int) -> tuple[int, int]:
    """Return [start, end) of a single byte range; start >= end if it lies beyond the object."""
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    return int(first), min(int(last) + 1 if last else size, size)


async def _pieces(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield bytes [start, end)."""
    file = await _opened(path)
    try:
        await asyncio.to_thread(file.seek, start)
        left = end - start
        while left > 0 and (piece := await asyncio.to_thread(file.read, min(_PIECE, left))):
            left -= len(piece)
            yield piece
    finally:
        file.close()


async def _opened(path: Path) -> BinaryIO:
    """Open in a thread; a reader who goes away meanwhile leaves no open file behind."""
    opening = asyncio.create_task(asyncio.to_thread(path.open, "rb"))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Task[BufferedReader]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
