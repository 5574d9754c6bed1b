"""Routes of imports; part of `urls.py`."""

from __future__ import annotations

from django.urls import path

from fleet.api import dataset_imports

urlpatterns = [
    path("imports", dataset_imports.ImportList.as_view(), name="imports"),
    path("imports/options", dataset_imports.ImportOptions.as_view(), name="import-options"),
    path("imports/<uuid:pk>", dataset_imports.ImportDetail.as_view(), name="import"),
    path("imports/<uuid:pk>/check", dataset_imports.ImportCheck.as_view(), name="import-check"),
    path("imports/<uuid:pk>/mapping", dataset_imports.ImportMapping.as_view(), name="import-mapping"),
    path("imports/<uuid:pk>/mapping/check", dataset_imports.ImportMappingCheck.as_view(), name="import-mapping-check"),
    path("imports/<uuid:pk>/run", dataset_imports.ImportRun.as_view(), name="import-run"),
    path("imports/<uuid:pk>/cancel", dataset_imports.ImportCancel.as_view(), name="import-cancel"),
]
