"""URLs: the API, signed objects, the admin; everything else is the console."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path

from fleet.api.docs import DocsView, errors_page
from fleet.api.health import ready_view
from fleet.api.objects import object_view
from sop_web.console import console_view

handler400 = "fleet.api.errors.request_bad"
handler404 = "fleet.api.errors.page_missing"
handler500 = "fleet.api.errors.server_failed"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/docs", DocsView.as_view(), name="api-docs"),
    path("api/docs/errors", errors_page, name="api-errors"),
    path("api/v1/", include("fleet.api.urls")),
    path("objects/<path:key>", object_view, name="object"),
    path("readyz", ready_view, name="ready"),
    re_path(r"^(?!healthz$|readyz$|api/|admin/|objects/|static/|assets/|ws/).*$", console_view, name="console"),
]
