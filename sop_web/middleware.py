"""The Content-Security-Policy header (Django 5.2 has none of its own)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse


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


class ContentSecurityPolicy:
    """Adds the policy to every response that has none. Works in sync and async chains, without a thread in between."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self._get_response = get_response
        self._policy = content_security_policy(settings.SOP_OBJECT_STORE_URL)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self._is_async:
            return self._answer_async(request)
        response = self._get_response(request)
        assert isinstance(response, HttpResponse) or hasattr(response, "headers")
        return self._add(response)  # type: ignore[arg-type]

    async def _answer_async(self, request: HttpRequest) -> HttpResponse:
        return self._add(await self._get_response(request))  # type: ignore[misc]

    def _add(self, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", self._policy)
        return response
