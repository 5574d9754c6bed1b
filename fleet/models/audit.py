"""The audit log: who changed what, when, from what to what. Rows are only ever added; a trigger refuses the rest."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.acting import ActorKind


class AuditEntry(models.Model):
    """One change, or one bulk of changes. Names are as they were: the rows that they name may be gone.

    `before` and `after` hold the fields that changed, without secrets; an object that is new has no `before`, one that
    was removed no `after`.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor_kind = models.CharField(max_length=8, choices=[(str(v), str(v)) for v in ActorKind])
    actor_id = models.CharField(max_length=36, blank=True)
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=64)
    object_kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=200, blank=True)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "audit entries"
        indexes = (
            models.Index(fields=("actor_name", "-id"), name="audit_by_actor"),
            models.Index(fields=("action", "-id"), name="audit_by_action"),
            models.Index(fields=("object_kind", "object_id", "-id"), name="audit_by_object"),
        )
        constraints = (
            models.CheckConstraint(condition=~Q(action="") & ~Q(object_kind=""), name="audit_says_what"),
            models.CheckConstraint(
                condition=Q(actor_kind__in=[str(v) for v in ActorKind]), name="audit_actor_kind_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name}"
