"""`/api/docs`: the schema as pages (Swagger UI from a pip package, no CDN), and `/api/docs/errors`: every code."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from fleet.api.error_catalog import error_catalog
from fleet.api.permissions import MatrixAllows
from fleet.scopes import PUBLIC


class SchemaView(SpectacularAPIView):
    needs = PUBLIC
    permission_classes = (MatrixAllows,)


class DocsView(SpectacularSwaggerSplitView):
    """Split: its script is a file of its own, so that the page's policy needs no inline scripts."""

    needs = PUBLIC
    permission_classes = (AllowAny,)
    throttle_classes = ()
    url_name = "schema"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Error codes · SOP</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #8884; }}
tr:target {{ background: #fc03; }}
</style></head><body><main><h1>Error codes</h1>
<p>Every refusal of <a href="/api/docs">the REST API</a> carries one of these in <code>code</code>.</p>
<table><thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead>
<tbody>{}</tbody></table></main></body></html>
"""


@require_safe
def errors_page(request: HttpRequest) -> HttpResponse:
    """Describe every code; `type` of a problem document leads to its row."""
    rows = ((each.code, each.code, each.status, each.meaning) for each in error_catalog() if each.is_http)
    body: SafeString = format_html_join("", '<tr id="{}"><td><code>{}</code></td><td>{}</td><td>{}</td></tr>', rows)
    return HttpResponse(format_html(_PAGE, body))
