"""Long answers that are made piece by piece. Under ASGI Django reads a synchronous iterator whole into memory first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework.request import Request

_PIECE = 64 * 1024


def streamed(
    request: Request, pieces: Iterator[bytes], *, content_type: str, headers: Mapping[str, str]
) -> StreamingHttpResponse:
    """Answer with the pieces as they come; whatever makes them runs in the request's own thread."""
    is_async = isinstance(request._request, ASGIRequest)
    content = _apart(pieces) if is_async else pieces
    return StreamingHttpResponse(content, content_type=content_type, headers=dict(headers))


async def _apart(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    # Thread-sensitive: a database cursor belongs to the thread that opened it.
    take = sync_to_async(_take, thread_sensitive=True)
    while piece := await take(pieces):
        yield piece


def _take(pieces: Iterator[bytes]) -> bytes:
    """Return the next pieces up to some kB, so that short lines cost no change of threads each; b"" at the end."""
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size >= _PIECE:
            break
    return b"".join(found)
