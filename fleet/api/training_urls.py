"""Routes of training runs; part of `urls.py`."""

from __future__ import annotations

from django.urls import path

from fleet.api import training_acts, training_compare, training_runs, training_settings

urlpatterns = [
    path("training-settings", training_settings.TrainingSettingsView.as_view(), name="training-settings"),
    path("training-runs/compare", training_compare.RunCompareView.as_view(), name="run-compare"),
    path("training-runs/<uuid:pk>/pause", training_acts.RunPauseView.as_view(), name="run-pause"),
    path("training-runs/<uuid:pk>/resume", training_acts.RunResumeView.as_view(), name="run-resume"),
    path("training-runs/<uuid:pk>/stop", training_acts.RunStopView.as_view(), name="run-stop"),
    path("training-runs", training_runs.TrainingRunList.as_view(), name="training-runs"),
    path("training-runs/<uuid:pk>", training_runs.TrainingRunDetail.as_view(), name="training-run"),
    path("training-runs/<uuid:pk>/metrics", training_runs.RunMetricsView.as_view(), name="run-metrics"),
    path("training-runs/<uuid:pk>/metrics/names", training_runs.RunMetricNamesView.as_view(), name="run-metric-names"),
    path("training-runs/<uuid:pk>/versions", training_runs.RunVersionsView.as_view(), name="run-versions"),
    path(
        "training-runs/<uuid:pk>/episodes/<uuid:episode_id>/sidecar",
        training_runs.RunSidecarView.as_view(),
        name="run-sidecar",
    ),
]
