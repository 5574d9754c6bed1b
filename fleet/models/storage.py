"""What the server knows of its object store as a whole: one row."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class StorageState(models.Model):
    """The one row (id 1). `collections` counts batches of objects that were removed because no row named them.

    Whoever checks that objects are stored and then writes a row that names them compares `collections` before and
    after (services/storage_guard.py). Reports are those of the last complete run of each command.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    collections = models.PositiveBigIntegerField(default=0)
    gc_at = models.DateTimeField(null=True, blank=True)
    gc_report = models.JSONField(null=True, blank=True)
    verify_at = models.DateTimeField(null=True, blank=True)
    verify_report = models.JSONField(null=True, blank=True)
    verify_cursor = models.PositiveBigIntegerField(default=0, help_text="Newest index_seq of an unfinished --all.")

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="storage_state_one_row"),)

    def __str__(self) -> str:
        return "storage"
