"""Imports of datasets: what was handed in, what the dry run found, how it is to be mapped, and what came of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class DatasetImport(models.Model):
    """One dataset on its way into the library. Its episodes become visible together, when it is done.

    `folder`: of the server, "" for an uploaded archive. `digest`: SHA-256 over the dataset's files, from the check on;
    episode ids derive from it. `report`: imports.report.Report, of the last check; `mapping`: imports.mapping.Mapping;
    `mapping_revision` is its ETag. `epoch` fences as a training run's does: of two workers only the newest may write.
    `attempts`: claims since the last request. `converted`: episodes of the dataset that are staged or left out; a
    resumed run begins behind them. `cleanup_at`: when to remove what it holds, again if that did not succeed.
    """

    class State(models.TextChoices):
        CREATED = "created"  # waits for its upload, or for the check
        CHECKING = "checking"
        CHECKED = "checked"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ACTIVE = (State.CHECKING, State.RUNNING)
    ENDED = (State.DONE, State.FAILED, State.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    folder = models.CharField(max_length=1000, blank=True)
    archive_bytes = models.PositiveBigIntegerField(default=0)
    archive_sha256 = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.CREATED)
    epoch = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(
        max_length=20, blank=True, help_text="unpacking, hashing, checking, converting, registering"
    )
    progress = models.PositiveBigIntegerField(default=0)
    progress_total = models.PositiveBigIntegerField(default=0)
    report = models.JSONField(null=True, blank=True)
    mapping = models.JSONField(null=True, blank=True)
    mapping_revision = models.PositiveIntegerField(default=0)
    converted = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0)
    registered = models.PositiveIntegerField(null=True, blank=True, help_text="New episodes, once it is done.")
    known = models.PositiveIntegerField(default=0, help_text="Episodes that an earlier import had registered.")
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.CharField(max_length=2000, blank=True)
    error_data = models.JSONField(default=dict, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    requested_by_name = models.CharField(max_length=150, blank=True, help_text="Stays when the account is removed.")
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    cleanup_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (
            models.Index(fields=("state", "heartbeat_at"), name="import_by_sign_of_life"),
            models.Index(fields=("cleanup_at",), condition=Q(cleanup_at__isnull=False), name="import_to_clean"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["created", "checking", "checked", "running", "done", "failed", "cancelled"]),
                name="import_state_known",
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error_code=""), name="import_failed_with_a_code"),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(registered__isnull=False), name="import_done_with_a_result"
            ),
            # Two at once would stage the same episodes' objects, maybe mapped in two ways.
            models.UniqueConstraint(
                fields=("digest",), condition=Q(state="running"), name="import_one_running_a_dataset"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"

    @property
    def tag(self) -> str:
        """What its episodes are tagged with in the library."""
        return f"import-{self.id.hex[:8]}"
