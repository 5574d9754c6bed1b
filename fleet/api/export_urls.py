"""Routes of exports; part of `urls.py`."""

from __future__ import annotations

from django.urls import path

from fleet.api import export_files, exports

urlpatterns = [
    path("exports", exports.ExportList.as_view(), name="exports"),
    path("exports/formats", exports.ExportFormatsView.as_view(), name="export-formats"),
    path("exports/check", exports.ExportCheckView.as_view(), name="export-check"),
    path("exports/<uuid:pk>", exports.ExportDetail.as_view(), name="export"),
    path("exports/<uuid:pk>/cancel", exports.ExportCancelView.as_view(), name="export-cancel"),
    path("exports/<uuid:pk>/retry", exports.ExportRetryView.as_view(), name="export-retry"),
    path("exports/<uuid:pk>/download", export_files.ExportDownloadView.as_view(), name="export-download"),
    path("exports/<uuid:pk>/files", export_files.ExportFileList.as_view(), name="export-files"),
    path("exports/<uuid:pk>/files/<path:name>", export_files.ExportFileView.as_view(), name="export-file"),
]
