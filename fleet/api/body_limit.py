"""Refuses bodies before anything is read of them. Wraps Django's ASGI application in `sop_web/asgi.py`.

Django under ASGI writes the whole body to a temporary file before it calls a view (machine.md 3), so without this
anyone could fill the disk. An upload must carry a valid signature, which holds its size; everything else is small.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from fleet.api.errors import PROBLEM_TYPE, problem
from fleet.protocol.errors import SopError
from fleet.selectors.objects import object_store
from fleet.storage.local import URL_PREFIX, LocalStore, put_promise

DRAIN_S = 5.0  # for which a refused body is still read, and dropped
_LENGTH_DIGITS = 18
MAX_BODY_BYTES = 1024 * 1024  # of requests that are no upload: JSON and the admin's forms

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware; passes everything but HTTP requests untouched."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        stated = headers.get("content-length", "")
        length = stated_length(stated)
        if stated and length is None:
            await _refuse(receive, send, 400, "invalid_request", "Content-Length is no number of bytes")
            return
        is_upload = scope["method"] == "PUT" and scope["path"].startswith(URL_PREFIX)
        if is_upload and (length is None or not _is_signed(scope, headers, length)):
            await _refuse(receive, send, 403, "signature_invalid", "the signature does not fit this upload")
            return
        limit = length if is_upload and length is not None else MAX_BODY_BYTES  # a signed upload states its size
        if length is not None and length > limit:
            await _refuse(receive, send, 413, "body_too_large", f"a request may have {limit} bytes at most")
            return
        await self._application(scope, _limited(receive, limit), send)


def stated_length(text: str) -> int | None:
    """Return a Content-Length in bytes; None if it is none. `int` reads other digits too, and no long ones."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS else None


def _is_signed(scope: Scope, headers: dict[str, str], length: int) -> bool:
    store = object_store()
    if not isinstance(store, LocalStore):
        return False
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    sha256, upload, part = headers.get("x-sop-sha256", ""), query.get("upload", ""), query.get("part", "")
    promise = put_promise(length, sha256, upload=upload, part=part)
    key, expires, signature = scope["path"].removeprefix(URL_PREFIX), query.get("expires"), query.get("signature")
    try:
        store.check_signature("PUT", key, expires=expires or "", signature=signature or "", promise=promise)
    except SopError:
        return False
    return True


def _limited(receive: Receive, limit: int) -> Receive:
    """Count what comes without a stated length; too much of it ends the request as if the client had gone."""
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return counted


async def _refuse(receive: Receive, send: Send, status: int, code: str, detail: str) -> None:
    body = json.dumps(problem(status, code, detail)).encode()
    # The body is unread, so the connection cannot be used for another request.
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    # Closing with bytes unread resets the connection, and a proxy that still sends then never reads this answer: it
    # told robots 502 instead of 403. It stops sending once it has read; until then what comes is dropped.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})
