"""Alerts: rules over what the reports measure, what they found, and the mail that told of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from fleet.models.robot import Robot
from fleet.models.task import Task


class Severity(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertRule(models.Model):
    """What to watch. `params`: of its kind, see selectors/alert_kinds.py. No tasks, no robots: all of them.

    `clear_after_s`: how long the condition must be gone without a break before the alert resolves. `silences`: when
    nobody is told, in `time_zone`; what happens then is recorded all the same. `revision` guards changes.
    """

    class Kind(models.TextChoices):
        RATE = "rate"
        OFFLINE = "offline"
        BACKLOG = "backlog"
        STALL = "stall"
        STALENESS = "staleness"
        REFUSALS = "refusals"

    class Channel(models.TextChoices):
        WEBHOOK = "webhook"
        MAIL = "mail"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    params = models.JSONField()
    tasks = models.ManyToManyField(Task, blank=True, related_name="alert_rules")
    robots = models.ManyToManyField(Robot, blank=True, related_name="alert_rules")
    severity = models.CharField(max_length=16, choices=Severity.choices, default=Severity.WARNING)
    is_enabled = models.BooleanField(default=True)
    clear_after_s = models.FloatField(default=60.0)
    silences = models.JSONField(default=list, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    channels = ArrayField(models.CharField(max_length=16, choices=Channel.choices), default=list, blank=True)
    mail_to = ArrayField(models.CharField(max_length=254), default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    evaluated_at = models.DateTimeField(null=True, blank=True)
    revision = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(condition=~Q(name=""), name="alert_rule_has_a_name"),
            models.CheckConstraint(
                condition=Q(kind__in=["rate", "offline", "backlog", "stall", "staleness", "refusals"]),
                name="alert_rule_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(severity__in=["info", "warning", "critical"]), name="alert_rule_severity_known"
            ),
            models.CheckConstraint(
                condition=Q(clear_after_s__gte=0, clear_after_s__lte=86400), name="alert_rule_clear_after_range"
            ),
        )

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """A rule's condition that held of one subject, from `opened_at` until `resolved_at`.

    Rule and subject are kept by name too: the rows may go. `value`, `low`, `high`, `n`: as of `last_seen_at`, when the
    condition last held. `clear_since`: it has not held since. `told_at`, `told_resolved_at`: when the channels were
    told, not before a silence ends.
    """

    class Subject(models.TextChoices):
        FLEET = "fleet"
        TASK = "task"
        ROBOT = "robot"
        VERSION = "version"
        RUN = "run"

    class Resolution(models.TextChoices):
        RECOVERED = "recovered"
        GONE = "gone", "the subject is no longer measured or watched"
        RULE_OFF = "rule_off"
        RULE_REMOVED = "rule_removed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(AlertRule, on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts")
    rule_name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=AlertRule.Kind.choices)
    severity = models.CharField(max_length=16, choices=Severity.choices)
    subject_kind = models.CharField(max_length=16, choices=Subject.choices)
    subject_id = models.CharField(max_length=100, blank=True)
    subject_name = models.CharField(max_length=200)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    clear_since = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=16, choices=Resolution.choices, blank=True)
    unit = models.CharField(max_length=16)
    value = models.FloatField()
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    n = models.PositiveBigIntegerField(default=0)
    text = models.CharField(max_length=500)
    resolved_text = models.CharField(max_length=500, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    told_resolved_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by_name = models.CharField(max_length=150, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    note = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ("-opened_at", "id")
        indexes = (
            models.Index(fields=("-opened_at", "id"), name="alert_by_age"),
            models.Index(fields=("-opened_at",), condition=Q(resolved_at__isnull=True), name="alert_open"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("rule", "subject_kind", "subject_id"),
                condition=Q(resolved_at__isnull=True),
                name="alert_one_open_a_rule_and_subject",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True, resolution="")
                | (Q(resolved_at__isnull=False) & ~Q(resolution="")),
                name="alert_resolved_with_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True) | Q(resolved_at__gte=F("opened_at")),
                name="alert_resolved_after_opened",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=False) | Q(rule__isnull=False), name="alert_open_has_its_rule"
            ),
        )

    def __str__(self) -> str:
        return f"{self.rule_name}: {self.subject_name}"


class AlertMail(models.Model):
    """One mail of an alert, once for its opening and once for its end, with what became of it."""

    class Event(models.TextChoices):
        OPENED = "opened"
        RESOLVED = "resolved"

    class State(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        DEAD = "dead"

    id = models.BigAutoField(primary_key=True)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="mails")
    event = models.CharField(max_length=16, choices=Event.choices)
    recipients = ArrayField(models.CharField(max_length=254))
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("next_try_at",), condition=Q(state="pending"), name="alert_mail_due"),)
        constraints = (
            models.UniqueConstraint(fields=("alert", "event"), name="alert_mail_one_an_event"),
            models.CheckConstraint(condition=Q(state__in=["pending", "sent", "dead"]), name="alert_mail_state_known"),
            models.CheckConstraint(
                condition=~Q(state="pending") | Q(next_try_at__isnull=False), name="alert_mail_pending_has_a_time"
            ),
        )

    def __str__(self) -> str:
        return f"{self.event} of {self.alert_id}"
