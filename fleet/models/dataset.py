"""Datasets: named sets of episodes in frozen, numbered versions, and what people collect for the next one.

A frozen version never changes: triggers in the migration refuse it to every writer, not only to the services.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.models.episode import Episode
from fleet.protocol.recording import Outcome


class Dataset(models.Model):
    """A name for versions. `revision` counts changes of what a person may edit: the ETag."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=4000, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    is_archived = models.BooleanField(default=False)
    revision = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_by_name = models.CharField(max_length=150, blank=True, help_text="Stays when the account is removed.")

    class Meta:
        ordering = ("-created_at", "id")
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="dataset_has_a_name"),)

    def __str__(self) -> str:
        return self.name


class DatasetCandidate(models.Model):
    """An episode that people collected for the next version of a dataset."""

    id = models.BigAutoField(primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="candidates")
    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        ordering = ("dataset", "id")
        constraints = (models.UniqueConstraint(fields=("dataset", "episode"), name="candidate_once_a_dataset"),)

    def __str__(self) -> str:
        return f"{self.episode_id} for {self.dataset_id}"


class DatasetVersion(models.Model):
    """A frozen query result. Sealed once `digest` is set: from then on only `notes` and what is derived may change.

    `query`: as it was asked: {"filter": {...}}, {"ids": [...]} or {"collected": true}. `splits`: [{"name", "share",
    "episodes"}] in the order of export. `terminated`: episodes that count in a success rate. `archived_left_out`:
    asked for by id or collected, but archived. `statistics`: see `services/dataset_describe.py`; what is read from
    the steps comes after freezing, in pieces, while `state` is "describing". `card`: Markdown, without `notes`.
    """

    class State(models.TextChoices):
        DESCRIBING = "describing"
        READY = "ready"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    query = models.JSONField()
    seed = models.BigIntegerField()
    splits = models.JSONField(default=list)
    is_stratified = models.BooleanField(default=False)
    notes = models.CharField(max_length=4000, blank=True)
    notes_revision = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State.choices, default=State.DESCRIBING)
    digest = models.CharField(max_length=64, blank=True)
    episodes_count = models.PositiveIntegerField(default=0)
    frames = models.PositiveBigIntegerField(default=0)
    human_frames = models.PositiveBigIntegerField(default=0)
    successes = models.PositiveIntegerField(default=0)
    terminated = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    archived_left_out = models.PositiveIntegerField(default=0)
    statistics = models.JSONField(default=dict)
    card = models.TextField(blank=True)
    described_at = models.DateTimeField(null=True, blank=True, help_text="Last sign of life of the describing.")
    frozen_at = models.DateTimeField(default=timezone.now)
    frozen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    frozen_by_name = models.CharField(max_length=150, blank=True, help_text="Stays when the account is removed.")

    class Meta:
        ordering = ("dataset", "-number")
        constraints = (
            models.UniqueConstraint(fields=("dataset", "number"), name="dataset_version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="dataset_version_number_from_one"),
            models.CheckConstraint(condition=Q(state__in=["describing", "ready"]), name="dataset_version_state_known"),
            models.CheckConstraint(
                condition=Q(digest="") | (Q(digest__regex=r"^[0-9a-f]{64}$") & Q(episodes_count__gte=1)),
                name="dataset_version_sealed_with_episodes",
            ),
        )

    def __str__(self) -> str:
        return f"version {self.number} of {self.dataset_id}"


class DatasetEpisode(models.Model):
    """An episode of a version, as it was when the version was frozen; later labels do not reach it."""

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="episodes")
    position = models.PositiveIntegerField(help_text="In the order of export: 0, 1, 2, ...")
    episode = models.ForeignKey(Episode, on_delete=models.PROTECT, related_name="dataset_episodes")
    split = models.CharField(max_length=32)
    outcome = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Outcome])
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    manifest_sha256 = models.CharField(max_length=64)

    class Meta:
        ordering = ("version", "position")
        constraints = (
            models.UniqueConstraint(fields=("version", "position"), name="dataset_episode_one_a_position"),
            models.UniqueConstraint(fields=("version", "episode"), name="dataset_episode_once_a_version"),
            models.CheckConstraint(condition=~Q(split=""), name="dataset_episode_has_a_split"),
            models.CheckConstraint(
                condition=Q(outcome__in=[str(v) for v in Outcome]), name="dataset_episode_outcome_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.episode_id} in {self.version_id}"
