"""Rules by which episodes go after a time or beyond a size. Off until somebody turns one on."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.models.task import Task


class RetentionRule(models.Model):
    """What may go of a task's episodes; without a task, of all tasks that have no rule of their own.

    `kinds`: which episodes the rule looks at. Of these go those older than `keep_days`, and the oldest beyond
    `keep_bytes`, counted a task. What never goes is in selectors/retention.py.
    """

    class Kind(models.TextChoices):
        FAILURES = "failures"
        ABORTED = "aborted"
        EVALUATION = "evaluation"
        ARCHIVED = "archived"
        AUTONOMOUS = "autonomous"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.OneToOneField(
        Task, on_delete=models.CASCADE, null=True, blank=True, related_name="retention_rule", help_text="None: others."
    )
    is_active = models.BooleanField(default=False)
    kinds = ArrayField(models.CharField(max_length=16, choices=Kind.choices))
    keep_days = models.PositiveIntegerField(null=True, blank=True)
    keep_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    takes_interventions = models.BooleanField(default=False, help_text="Also episodes in which somebody took over.")
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    last_run_at = models.DateTimeField(null=True, blank=True)
    removed = models.PositiveBigIntegerField(default=0, help_text="Episodes, since the rule was made.")
    removed_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ("task__slug", "id")
        constraints = (
            models.UniqueConstraint(
                models.Value(1), condition=Q(task__isnull=True), name="retention_one_rule_for_the_others"
            ),
            models.CheckConstraint(condition=~Q(kinds=[]), name="retention_looks_at_something"),
            models.CheckConstraint(
                condition=Q(keep_days__gte=1) | Q(keep_bytes__isnull=False), name="retention_keeps_for_days_or_bytes"
            ),
        )

    def __str__(self) -> str:
        return self.task.slug if self.task else "all other tasks"
