"""`/api/v1/`: the REST API."""

from __future__ import annotations

from django.urls import path

from fleet.api import (
    episode_files,
    episode_labels,
    episodes,
    help,
    ice,
    lists,
    metrics,
    robots,
    saved_filters,
    schema,
    session,
    tokens,
    training_runs,
)

urlpatterns = [
    path("schema", schema.SchemaView.as_view(), name="schema"),
    path("session", session.SessionView.as_view(), name="session"),
    path("tokens", tokens.TokenList.as_view(), name="tokens"),
    path("tokens/<uuid:pk>", tokens.TokenDetail.as_view(), name="token"),
    path("ice-servers", ice.IceServersView.as_view(), name="ice-servers"),
    path("robots", robots.RobotList.as_view(), name="robots"),
    path("robots/enrol", robots.EnrolView.as_view(), name="robot-enrol"),
    path("robots/<uuid:pk>", robots.RobotDetail.as_view(), name="robot"),
    path("robots/<uuid:pk>/thumbnail", robots.ThumbnailView.as_view(), name="robot-thumbnail"),
    path("tasks", lists.TaskList.as_view(), name="tasks"),
    path("tasks/<uuid:pk>", lists.TaskDetail.as_view(), name="task"),
    path("episodes", episodes.EpisodeList.as_view(), name="episodes"),
    path("episodes/counts", episodes.EpisodeCountsView.as_view(), name="episode-counts"),
    path("episodes/labels", episode_labels.BulkLabelView.as_view(), name="episode-labels"),
    path("episodes/labels/<uuid:batch>/undo", episode_labels.BulkLabelUndoView.as_view(), name="episode-labels-undo"),
    path("episodes/<uuid:pk>", episodes.EpisodeDetail.as_view(), name="episode"),
    path("episodes/<uuid:pk>/steps", episode_files.EpisodeStepsView.as_view(), name="episode-steps"),
    path("episodes/<uuid:pk>/files/<str:name>", episode_files.EpisodeFileView.as_view(), name="episode-file"),
    path("episodes/<uuid:pk>/label", episode_labels.LabelView.as_view(), name="episode-label"),
    path("episodes/<uuid:pk>/label/undo", episode_labels.LabelUndoView.as_view(), name="episode-label-undo"),
    path("episodes/<uuid:pk>/label/history", episode_labels.LabelHistoryView.as_view(), name="episode-label-history"),
    path("saved-filters", saved_filters.SavedFilterList.as_view(), name="saved-filters"),
    path("saved-filters/<uuid:pk>", saved_filters.SavedFilterDetail.as_view(), name="saved-filter"),
    path("policy-versions", lists.PolicyVersionList.as_view(), name="policy-versions"),
    path("policy-versions/<uuid:pk>", lists.PolicyVersionDetail.as_view(), name="policy-version"),
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
    path("help", help.HelpQueueView.as_view(), name="help"),
    path("help/history", help.HelpHistory.as_view(), name="help-history"),
    path("help/figures", help.HelpFiguresView.as_view(), name="help-figures"),
    path("help/ranking", help.HelpRankingView.as_view(), name="help-ranking"),
    path("metrics/success", metrics.SuccessView.as_view(), name="metrics-success"),
]
