"""What every answer under /api/ carries: what is left of the rate limit, an ETag and Cache-Control.

A read gets an ETag of its bytes (`fleet/api/etag.py`), and 304 if the asker holds them: the work of the query is done
all the same, the transfer is saved. Files and pictures bring their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.response import Response

from fleet.api.etag import etag_of_read
from fleet.both_ways import BothWays, Finish

PREFIX = "/api/"


class ApiHeaders(BothWays):
    """Before the session's middleware, so that it sees every answer."""

    @contextmanager
    def around(self, request: HttpRequest) -> Iterator[Finish]:
        yield lambda response: _finished(request, response)


def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if not request.path.startswith(PREFIX):
        return response
    taken = getattr(request, "rate_limit", None)
    if taken is not None:
        for name, value in taken.headers().items():
            response.headers[name] = value
    is_plain_read = request.method in ("GET", "HEAD") and response.status_code == 200
    if not is_plain_read or not isinstance(response, HttpResponse) or response.streaming:
        return response
    response.headers.setdefault("Cache-Control", "private, no-cache")
    if isinstance(response, Response) or not response.has_header("ETag"):
        response.headers["ETag"] = etag_of_read(response.content, response.headers.get("ETag"))
    found = get_conditional_response(request, etag=response.headers["ETag"], response=response)
    if found is None:  # its stubs think it may be
        return response
    if found is not response:
        for name in ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"):
            if name in response.headers:
                found.headers[name] = response.headers[name]
    return found
