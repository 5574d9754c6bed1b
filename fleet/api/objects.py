"""`/objects/<key>`: the local object store over signed URLs. GET with ranges, PUT verified and atomic.

Called by robots with URLs from UploadGrant and DesiredState; the signature is the only credential. An S3 store has
URLs of its own and never comes here. Production lets the proxy send the bytes; this path is the equal, slower one.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from fleet.api.body_limit import stated_length
from fleet.api.errors import PROBLEM_TYPE, problem, problem_response
from fleet.api.ranges import file_response
from fleet.egress import egress_admit, egress_leave, egress_paced
from fleet.errors import NotFound
from fleet.protocol.errors import SopError
from fleet.selectors.objects import object_store
from fleet.storage import keys
from fleet.storage.local import LocalStore, put_promise

LIMITED = (keys.POLICY_BLOBS, keys.POLICY_PATCHES)  # what every robot asks for in the same second
_TYPE = "application/octet-stream"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@csrf_exempt
async def object_view(request: HttpRequest, key: str) -> HttpResponseBase:
    """Serve or take one object. Answers: 200, 201, 206, 403, 404, 405, 409, 411, 416, 422, 429, 507."""
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
    """Store the body if its size and hash are the signed ones; 201 if it is new, 200 if it was there, or is a part.

    `body_limit.py` refused unsigned bodies before; the check here is the one that this view's correctness rests on.
    """
    length = stated_length(request.headers.get("Content-Length", ""))
    sha256 = request.headers.get("X-Sop-Sha256", "")
    if length is None:
        return _refuse(411, "length_required", "send Content-Length")
    if not _SHA256.fullmatch(sha256):
        return _refuse(422, "invalid_request", "send X-Sop-Sha256 as 64 lower-case hex digits")
    upload, part = request.GET.get("upload", ""), request.GET.get("part", "")
    _check(request, store, key, promise=put_promise(length, sha256, upload=upload, part=part))
    body = cast(BinaryIO, request)
    if upload:
        store.put_part(key, body, upload=upload, number=int(part), size=length, sha256=sha256)
        return HttpResponse(status=200)
    is_new = store.put_verified(key, body, size=length, sha256=sha256)
    return HttpResponse(status=201 if is_new else 200)


async def _read(request: HttpRequest, store: LocalStore, key: str) -> HttpResponseBase:
    robot = request.GET.get("holder", "")
    _check(request, store, key, method="GET", promise=robot)
    path = store.path_or_none(key)
    assert path is not None
    if request.method == "GET" and key.startswith(LIMITED):
        return await _send_limited(request, path, robot)
    return await asyncio.to_thread(file_response, request, path, content_type=_TYPE)


async def _send_limited(request: HttpRequest, path: Path, robot: str) -> HttpResponseBase:
    """Send within what the server sends to all robots together. Raises: DownloadsBusy."""
    await asyncio.to_thread(egress_admit, robot=robot)
    through = partial(egress_paced, robot=robot)
    try:
        response = await asyncio.to_thread(file_response, request, path, content_type=_TYPE, through=through)
    except BaseException:  # cancelled, too
        await asyncio.to_thread(egress_leave, robot=robot)
        raise
    if not response.streaming:
        await asyncio.to_thread(egress_leave, robot=robot)
    return response


def _check(request: HttpRequest, store: LocalStore, key: str, *, method: str = "PUT", promise: str = "") -> None:
    store.check_signature(
        method,
        key,
        expires=request.GET.get("expires", ""),
        signature=request.GET.get("signature", ""),
        promise=promise,
    )


def _refuse(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> HttpResponse:
    return JsonResponse(problem(status, code, detail), status=status, content_type=PROBLEM_TYPE, headers=headers)
