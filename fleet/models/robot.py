"""Robots and how they prove who they are. Secrets are stored as SHA-256: they are 256 random bits, not passwords."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class Robot(models.Model):
    """A robot of the fleet. `state_revision` grows with every change of what the robot should do, `revision` with every
    change that a person makes to this row.

    A robot that waits for approval may connect and gets nothing to do. A retired one has no key that is valid and no
    assignment; its episodes stay.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    is_paused = models.BooleanField(default=False)
    state_revision = models.PositiveBigIntegerField(default=1)
    lease_epoch = models.PositiveIntegerField(default=0, help_text="Epoch of the newest lease ever granted.")
    driver = models.JSONField(default=dict, blank=True, help_text="DriverInfo of the newest connection.")
    daemon_version = models.CharField(max_length=200, blank=True)
    protocol = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="What its newest Hello spoke, whether the server does or not."
    )
    architectures = models.JSONField(default=list, blank=True)
    capabilities = models.JSONField(default=list, blank=True, help_text="What the daemon's Hello named.")
    policy_version = models.ForeignKey(
        "fleet.PolicyVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="running_robots"
    )
    pinned_version = models.ForeignKey(
        "fleet.PolicyVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="pinned_robots",
        help_text="Drives with this one whatever is published or rolled out.",
    )
    pinned_reason = models.CharField(max_length=500, blank=True)
    lifted_hold_id = models.CharField(max_length=36, blank=True, help_text="The local hold lifted at the console.")
    link_session = models.CharField(
        max_length=36, blank=True, help_text="The connection that counts; any other of this robot closes."
    )
    enrolled_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    revision = models.PositiveIntegerField(default=1)
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    note = models.CharField(max_length=2000, blank=True)
    is_approved = models.BooleanField(default=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    schedule_digest = models.CharField(
        max_length=64, blank=True, help_text="Of the assignments that were active when the robot was last told."
    )

    class Meta:
        ordering = ("name",)
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="robot_has_a_name"),)

    def __str__(self) -> str:
        return self.name


class EnrolmentToken(models.Model):
    """Lets one robot enrol once, until it expires.

    `needs_approval`: the robot then waits until somebody approves it. `robot`: not a new robot but this one, which
    gets a new key in the place of all it had.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token_sha256 = models.CharField(max_length=64, unique=True)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(Robot, on_delete=models.SET_NULL, null=True, blank=True, related_name="tokens")
    revoked_at = models.DateTimeField(null=True, blank=True)
    needs_approval = models.BooleanField(default=False)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, null=True, blank=True, related_name="rekey_tokens")

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="token_expires_after_creation"),
            models.CheckConstraint(condition=Q(token_sha256__regex=r"^[0-9a-f]{64}$"), name="token_is_hashed"),
        )

    def __str__(self) -> str:
        return self.note or str(self.id)


class RobotKey(models.Model):
    """A robot's key. Revoked keys stay as a record."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="keys")
    key_sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(condition=Q(key_sha256__regex=r"^[0-9a-f]{64}$"), name="key_is_hashed"),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True) | Q(revoked_at__gte=F("created_at")),
                name="key_revoked_after_creation",
            ),
        )

    def __str__(self) -> str:
        return f"key of {self.robot_id}"
