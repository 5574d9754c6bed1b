"""What people say about episodes, as a history that only grows, and the filters that they keep."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.models.episode import Episode
from fleet.protocol.recording import Outcome, OutcomeSource


class EpisodeLabel(models.Model):
    """The whole label of an episode after one change. The newest revision is also in the episode's row.

    Revision 0 is what was recorded; it is written together with revision 1, and undoing a change writes the revision
    before it once more. `batch`: of a bulk change. `undoes`: the revision that this one takes back.
    """

    id = models.BigAutoField(primary_key=True)
    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="labels")
    revision = models.PositiveIntegerField()
    outcome = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Outcome])
    outcome_source = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in OutcomeSource])
    outcome_reason = models.CharField(max_length=2000, blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    comment = models.CharField(max_length=4000, blank=True)
    is_archived = models.BooleanField(default=False)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True, help_text="Stays when the account is removed.")
    batch = models.UUIDField(null=True, blank=True)
    undoes = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("episode", "-revision")
        indexes = (models.Index(fields=("batch",), condition=Q(batch__isnull=False), name="label_batch"),)
        constraints = (
            models.UniqueConstraint(fields=("episode", "revision"), name="label_one_a_revision"),
            models.CheckConstraint(condition=Q(outcome__in=[str(v) for v in Outcome]), name="label_outcome_known"),
        )

    def __str__(self) -> str:
        return f"label {self.revision} of {self.episode_id}"


class SavedFilter(models.Model):
    """A user's named filter of the library; `query` is what the list's URL carries, decoded."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters")
    name = models.CharField(max_length=100)
    query = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("user", "name")
        constraints = (
            models.UniqueConstraint(fields=("user", "name"), name="saved_filter_name_once_a_user"),
            models.CheckConstraint(condition=~Q(name=""), name="saved_filter_has_a_name"),
        )

    def __str__(self) -> str:
        return self.name
