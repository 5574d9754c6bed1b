"""`/healthz` and `/readyz`, for supervisors and proxies; outside of the API, because it has no version to keep.

`/healthz` is answered by the event loop itself, before Django and its threads: 200 means that the process is alive and
its loop turns, whatever else is away. Restart on its silence. `/readyz` asks every part that requests need: 503 means
send nobody here, and restarting would not help. Strangers learn the one word; which part it is, and how long each took
to answer, go to who asks from this machine and to who is signed in.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from fleet.api.body_limit import Application, Receive, Scope, Send
from fleet.selectors.readiness import Readiness, readiness

HEALTH_PATH = "/healthz"
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
_ALIVE = json.dumps({"status": "alive"}).encode()


class Health:
    """ASGI middleware that answers `/healthz`; passes everything else untouched."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != HEALTH_PATH:
            await self._application(scope, receive, send)
            return
        is_read = scope["method"] in ("GET", "HEAD")
        body = _ALIVE if scope["method"] == "GET" else b""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        status = 200 if is_read else 405
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@require_safe
def ready_view(request: HttpRequest) -> HttpResponse:
    """Answer 200 if all parts are ready, else 503."""
    found = readiness()
    body: dict[str, object] = {"status": "ready" if found.is_ready else "not ready"}
    if _may_see_parts(request, found):
        body["checked_at"] = found.checked_at
        body["parts"] = {
            part.name: {"state": part.code, "took_ms": round(part.took_s * 1000, 1)} for part in found.parts
        }
    response = JsonResponse(body, status=200 if found.is_ready else 503)
    response.headers["Cache-Control"] = "no-store"
    return response


def _may_see_parts(request: HttpRequest, found: Readiness) -> bool:
    return _is_from_here(request.META) or _is_signed_in(request, found)


def _is_from_here(meta: Mapping[str, str]) -> bool:
    """From this machine, and not through a proxy on it, which names the real asker in a header."""
    if any(meta.get(name) for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(meta.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _is_signed_in(request: HttpRequest, found: Readiness) -> bool:
    """A session is a row: it is looked up only for who shows a cookie, and only where the database answers."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    is_database_there = all(part.is_ready for part in found.parts if part.name == "database")
    return is_database_there and request.user.is_authenticated
