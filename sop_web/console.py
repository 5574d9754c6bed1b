"""Serves the built console's index.html for `/` and every client-side route; assets come from WhiteNoise."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe


@require_safe
@ensure_csrf_cookie
def console_view(request: HttpRequest) -> HttpResponse:
    """Answer with index.html, never cached, since it names the hashed assets of the newest build."""
    try:
        page = (settings.CONSOLE_DIST / "index.html").read_bytes()
    except FileNotFoundError:
        text = "The console is not built. Run `npm ci && npm run build` in frontend/ (make demo does it).\n"
        return HttpResponse(text, status=503, content_type="text/plain")
    return HttpResponse(page, headers={"Cache-Control": "no-cache"})
