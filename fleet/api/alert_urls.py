"""`/api/v1/alerts` and `/api/v1/alert-rules`."""

from __future__ import annotations

from django.urls import path

from fleet.api import alert_rules, alerts

urlpatterns = [
    path("alerts", alerts.AlertList.as_view(), name="alerts"),
    path("alerts/open", alerts.OpenAlertsView.as_view(), name="alerts-open"),
    path("alerts/<uuid:pk>", alerts.AlertDetail.as_view(), name="alert"),
    path("alerts/<uuid:pk>/acknowledge", alerts.AlertAcknowledgeView.as_view(), name="alert-acknowledge"),
    path("alert-rules", alert_rules.AlertRuleList.as_view(), name="alert-rules"),
    path("alert-rules/preview", alert_rules.AlertPreviewView.as_view(), name="alert-rule-preview"),
    path("alert-rules/<uuid:pk>", alert_rules.AlertRuleDetail.as_view(), name="alert-rule"),
]
