"""Leases: who may drive a robot. The epoch fences earlier holders; at most one lease of a robot is open."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from fleet.models.robot import Robot
from fleet.protocol.authority import Source


class Lease(models.Model):
    """Open while `released_at` is null; in force while it is open and not expired."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="leases")
    epoch = models.PositiveIntegerField()
    source = models.CharField(max_length=16, choices=[("person", "person"), ("scripted", "scripted")])
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True)
    operator = models.CharField(max_length=200)
    reason = models.CharField(max_length=2000, blank=True)
    connection = models.CharField(max_length=36, blank=True, help_text="The console connection that holds it.")
    offered_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who may take it without being a manager, as its holder said.",
    )
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=2000, blank=True)

    class Meta:
        ordering = ("-granted_at",)
        indexes = (models.Index(fields=("-granted_at",), name="lease_by_grant"),)
        constraints = (
            models.UniqueConstraint(
                fields=("robot",), condition=Q(released_at__isnull=True), name="lease_one_open_a_robot"
            ),
            models.UniqueConstraint(fields=("robot", "epoch"), name="lease_epoch_unique_a_robot"),
            models.CheckConstraint(condition=Q(epoch__gte=1), name="lease_epoch_range"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("granted_at")), name="lease_expires_after_grant"),
            models.CheckConstraint(
                condition=Q(source=Source.SCRIPTED.value, user__isnull=True)
                | Q(source=Source.PERSON.value, user__isnull=False),
                name="lease_person_has_a_user",
            ),
        )

    def __str__(self) -> str:
        return f"lease {self.epoch} of {self.robot_id}"
