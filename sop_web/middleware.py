"""The Content-Security-Policy header (Django 5.2 has none of its own)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from fleet.both_ways import BothWays, Finish


def content_security_policy(store_url: str) -> str:
    """Return the header. `store_url`: OBJECT_STORE_URL; recorded videos are redirected to the bucket's server, and
    imports are sent there."""
    # All else comes from this server. Styles may be inline because chart libraries and the admin set them; scripts not.
    return "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data: blob:",
            f"connect-src 'self'{_bucket(store_url)}",
            f"media-src 'self' blob:{_bucket(store_url)}",
            "style-src 'self' 'unsafe-inline'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _bucket(store_url: str) -> str:
    parts = urlsplit(store_url)
    if parts.scheme != "s3":
        return ""
    endpoint = parse_qs(parts.query).get("endpoint")
    return " " + (endpoint[0].rstrip("/") if endpoint else "https://*.amazonaws.com")


class ContentSecurityPolicy(BothWays):
    """Adds the policy to every response that has none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        super().__init__(get_response)
        self._policy = content_security_policy(settings.SOP_OBJECT_STORE_URL)

    @contextmanager
    def around(self, request: HttpRequest) -> Iterator[Finish]:
        yield self._add

    def _add(self, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", self._policy)
        return response
