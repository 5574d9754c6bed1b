"""`/objects/<key>`: the local object store over signed URLs. GET with ranges, PUT verified and atomic.

Called by robots with URLs from UploadGrant and DesiredState; the signature is the only credential. An S3 store has
URLs of its own and never comes here. Production lets the proxy send the bytes; this path is the equal, slower one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from fleet.api.errors import PROBLEM_TYPE, problem, problem_response
from fleet.errors import NotFound
from fleet.protocol.errors import SopError
from fleet.selectors.objects import object_store
from fleet.storage.local import LocalStore

_PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@csrf_exempt
async def object_view(request: HttpRequest, key: str) -> HttpResponseBase:
    """Serve or take one object. Answers: 200, 201, 206, 403, 404, 405, 409, 411, 416, 422."""
    store = object_store()
    try:
        if not isinstance(store, LocalStore):
            raise NotFound("this server's objects are elsewhere")
        if request.method in ("GET", "HEAD"):
            return await _read(request, store, key)
        if request.method == "PUT":
            return await asyncio.to_thread(_write, request, store, key)
    except SopError as error:
        return problem_response(error)
    return _refuse(405, "method_not_allowed", "only GET, HEAD and PUT", {"Allow": "GET, HEAD, PUT"})


def _write(request: HttpRequest, store: LocalStore, key: str) -> HttpResponse:
    """Store the body if its size and hash are the signed ones; 201 if it is new, 200 if it was there.

    `body_limit.py` refused unsigned bodies before; the check here is the one that this view's correctness rests on.
    """
    length, sha256 = request.headers.get("Content-Length", ""), request.headers.get("X-Sop-Sha256", "")
    if not (length.isascii() and length.isdigit()):
        return _refuse(411, "length_required", "send Content-Length")
    if not _SHA256.fullmatch(sha256):
        return _refuse(422, "invalid_request", "send X-Sop-Sha256 as 64 lower-case hex digits")
    _check(request, store, key, promise=f"{int(length)}:{sha256}")
    is_new = store.put_verified(key, cast(BinaryIO, request), size=int(length), sha256=sha256)
    return HttpResponse(status=201 if is_new else 200)


async def _read(request: HttpRequest, store: LocalStore, key: str) -> HttpResponseBase:
    _check(request, store, key, method="GET")
    path = store.path_or_none(key)
    assert path is not None
    stat = await asyncio.to_thread(path.stat)
    etag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
    headers = {"Accept-Ranges": "bytes", "ETag": etag, "Last-Modified": formatdate(stat.st_mtime, usegmt=True)}
    start, end, status = 0, stat.st_size, 200
    wanted = request.headers.get("Range", "")
    # Several ranges or another unit get the whole object: RFC 9110 lets a server ignore what it does not serve.
    match = _RANGE.fullmatch(wanted)
    if match is not None and request.headers.get("If-Range", etag) == etag:
        start, end = _bounds(match, stat.st_size)
        if start >= end:
            return _refuse(416, "range_not_satisfiable", wanted[:100], {"Content-Range": f"bytes */{stat.st_size}"})
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stat.st_size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers, content_type="application/octet-stream")
    body = _pieces(path, start, end)
    return StreamingHttpResponse(body, status=status, headers=headers, content_type="application/octet-stream")


def _check(request: HttpRequest, store: LocalStore, key: str, *, method: str = "PUT", promise: str = "") -> None:
    store.check_signature(
        method,
        key,
        expires=request.GET.get("expires", ""),
        signature=request.GET.get("signature", ""),
        promise=promise,
    )


def _bounds(match: re.Match[str], size: int) -> tuple[int, int]:
    """Return [start, end) of a single byte range; start >= end if it lies beyond the object."""
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    return int(first), min(int(last) + 1 if last else size, size)


async def _pieces(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield bytes [start, end), read in threads so that the event loop never waits for a disk."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        await asyncio.to_thread(file.seek, start)
        left = end - start
        while left > 0 and (piece := await asyncio.to_thread(file.read, min(_PIECE, left))):
            left -= len(piece)
            yield piece
    finally:
        file.close()


def _refuse(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> HttpResponse:
    return JsonResponse(problem(status, code, detail), status=status, content_type=PROBLEM_TYPE, headers=headers)
