"""Routes of policy versions and of how they reach robots; part of `urls.py`."""

from __future__ import annotations

from django.urls import path

from fleet.api import lists, releases, shadows, versions

urlpatterns = [
    path("policy-versions", lists.PolicyVersionList.as_view(), name="policy-versions"),
    path("policy-versions/<uuid:pk>", lists.PolicyVersionDetail.as_view(), name="policy-version"),
    path("policy-versions/<uuid:pk>/report", versions.VersionReportView.as_view(), name="version-report"),
    path("policy-versions/<uuid:pk>/notes", versions.VersionNotesView.as_view(), name="version-notes"),
    path("policy-versions/<uuid:pk>/download", versions.VersionDownloadView.as_view(), name="version-download"),
    path(
        "policy-versions/<uuid:pk>/compare/<uuid:other>", versions.VersionCompareView.as_view(), name="version-compare"
    ),
    path("policy-versions/<uuid:pk>/stage", releases.StageView.as_view(), name="version-stage"),
    path("policy-versions/<uuid:pk>/shadows", shadows.VersionShadowsView.as_view(), name="version-shadows"),
    path("training-runs/<uuid:pk>/shadows", shadows.RunShadowsView.as_view(), name="run-shadows"),
    path("shadows/<uuid:pk>", shadows.ShadowView.as_view(), name="shadow"),
    path("shadows/<uuid:pk>/episodes", shadows.ShadowEpisodeList.as_view(), name="shadow-episodes"),
    path("shadows/<uuid:pk>/end", shadows.ShadowEndView.as_view(), name="shadow-end"),
    path("training-runs/<uuid:pk>/lineage", versions.LineageView.as_view(), name="run-lineage"),
    path("training-runs/<uuid:pk>/release", releases.ReleaseView.as_view(), name="run-release"),
    path("training-runs/<uuid:pk>/roll-back", releases.RollBackView.as_view(), name="run-roll-back"),
    path("rollouts/<uuid:pk>/<slug:action>", releases.RolloutActionView.as_view(), name="rollout-action"),
    path("robots/<uuid:pk>/hold", releases.HoldView.as_view(), name="robot-hold"),
    path("robots/<uuid:pk>/pin", releases.PinView.as_view(), name="robot-pin"),
]
