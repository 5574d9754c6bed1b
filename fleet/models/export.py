"""Exports: what was asked for, how far it is, and what came of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.models.dataset import DatasetVersion
from fleet.models.episode import Episode
from fleet.protocol.recording import Outcome


class Export(models.Model):
    """A dataset version, or episodes frozen for this export alone, in a format at a destination.

    `info`: what the export says of its dataset, frozen (fleet.exports.base.DatasetInfo). `query`: of an export without
    a version, {"filter": {...}} or {"ids": number}. `destination`: "" is the object store, else a name of
    SOP_EXPORT_DESTINATIONS. `folder`: what the tar stream's paths begin with, and the folder at a destination.
    `epoch` fences as a training run's does: of two workers only the one with the newest may write. `attempts`: claims
    since the last request or retry. `heartbeat_at`: last sign of life of the worker, or of being enqueued.
    `expires_at`: when the files go. `cleanup_at`: when to remove what is left, again if that did not succeed.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"
        EXPIRED = "expired"

    ACTIVE = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset_version = models.ForeignKey(
        DatasetVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="exports"
    )
    query = models.JSONField(null=True, blank=True)
    info = models.JSONField()
    format = models.CharField(max_length=32)
    options = models.JSONField(default=dict, blank=True)
    destination = models.CharField(max_length=64, blank=True)
    folder = models.CharField(max_length=128)
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    epoch = models.PositiveIntegerField(default=1)
    attempts = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField()
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    episodes = models.PositiveIntegerField()
    frames_total = models.PositiveBigIntegerField()
    bytes_total = models.PositiveBigIntegerField()
    frames = models.PositiveBigIntegerField(default=0)
    bytes_read = models.PositiveBigIntegerField(default=0)
    file = models.CharField(max_length=1100, blank=True, help_text="Under way.")
    frames_per_s = models.FloatField(default=0)
    bytes_per_s = models.FloatField(default=0)

    files = models.PositiveIntegerField(null=True, blank=True)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    tar_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of SHA256SUMS, hence of all bytes.")
    resumed_files = models.PositiveIntegerField(default=0, help_text="Kept from attempts that broke off.")
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.CharField(max_length=2000, blank=True)
    error_data = models.JSONField(default=dict, blank=True)

    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    requested_by_name = models.CharField(max_length=150, blank=True, help_text="Stays when the account is removed.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    cleanup_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (
            models.Index(fields=("-created_at", "id"), condition=Q(deleted_at=None), name="export_newest"),
            models.Index(fields=("state", "heartbeat_at"), name="export_by_sign_of_life"),
            models.Index(fields=("expires_at",), condition=Q(expires_at__isnull=False), name="export_by_expiry"),
            models.Index(fields=("cleanup_at",), condition=Q(cleanup_at__isnull=False), name="export_to_clean"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "done", "failed", "cancelled", "expired"]),
                name="export_state_known",
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error_code=""), name="export_failed_with_a_code"),
            models.CheckConstraint(
                condition=~Q(state="done")
                | Q(files__gte=1, size_bytes__gte=1, tar_bytes__gte=1, sha256__regex=r"^[0-9a-f]{64}$"),
                name="export_done_with_a_result",
            ),
            models.CheckConstraint(condition=Q(episodes__gte=1), name="export_of_something"),
            models.CheckConstraint(
                condition=Q(dataset_version__isnull=True, query__isnull=False)
                | Q(dataset_version__isnull=False, query__isnull=True),
                name="export_of_one_thing",
            ),
        )

    def __str__(self) -> str:
        return f"{self.folder} ({self.state})"


class ExportEpisode(models.Model):
    """An episode of an export without a dataset version, as it was when the export was asked for.

    It keeps no episode from being removed (datasets do): an export that needs one that is gone fails and says so.
    """

    id = models.BigAutoField(primary_key=True)
    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="entries")
    position = models.PositiveIntegerField(help_text="In the order of export: 0, 1, 2, ...")
    episode = models.ForeignKey(Episode, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    split = models.CharField(max_length=32)
    outcome = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Outcome])
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    manifest_sha256 = models.CharField(max_length=64)

    class Meta:
        ordering = ("export", "position")
        constraints = (
            models.UniqueConstraint(fields=("export", "position"), name="export_episode_one_a_position"),
            models.UniqueConstraint(fields=("export", "episode"), name="export_episode_once_an_export"),
        )

    def __str__(self) -> str:
        return f"{self.episode_id} in {self.export_id}"


class ExportFile(models.Model):
    """A file of a finished export. `tar_offset`: where its header begins in the tar stream."""

    id = models.BigAutoField(primary_key=True)
    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="made_files")
    name = models.CharField(max_length=1100)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    tar_offset = models.PositiveBigIntegerField()

    class Meta:
        ordering = ("export", "tar_offset")
        constraints = (
            models.UniqueConstraint(fields=("export", "tar_offset"), name="export_file_one_a_place"),
            models.UniqueConstraint(fields=("export", "name"), name="export_file_once_a_name"),
        )

    def __str__(self) -> str:
        return self.name
