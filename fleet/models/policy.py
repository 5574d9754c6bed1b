"""Policy versions as published, and what became of each on each robot."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from fleet.models.robot import Robot
from fleet.protocol.tracing import TRACEPARENT_CHARS


class PolicyVersion(models.Model):
    """A published version: immutable. `number` counts 0, 1, 2, ... within its run; 0 is the base.

    `blobs`: SHA-256 -> size in bytes of each safetensors file. `parent`: what it was trained from, where known. `notes`
    alone may change. `traceparent`: of its publish, if that was traced.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    run = models.ForeignKey("fleet.TrainingRun", on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    step = models.PositiveBigIntegerField()
    architecture = models.CharField(max_length=100)
    manifest_key = models.CharField(max_length=300)
    manifest_sha256 = models.CharField(max_length=64)
    blobs = models.JSONField()
    size_bytes = models.PositiveBigIntegerField()
    trained_at = models.DateTimeField()
    published_at = models.DateTimeField(db_index=True)
    parent = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children")
    notes = models.CharField(max_length=4000, blank=True)
    notes_revision = models.PositiveIntegerField(default=0)
    traceparent = models.CharField(max_length=TRACEPARENT_CHARS, blank=True, db_default="", default="")

    class Meta:
        ordering = ("-published_at",)
        indexes = (models.Index(fields=("run", "-published_at"), name="policy_run_published"),)
        constraints = (
            models.UniqueConstraint(fields=("run", "number"), name="policy_number_unique_a_run"),
            models.CheckConstraint(
                condition=Q(manifest_sha256__regex=r"^[0-9a-f]{64}$"), name="policy_manifest_is_hashed"
            ),
        )

    def __str__(self) -> str:
        return f"version {self.number}"


class PolicyDeployment(models.Model):
    """One version on one robot: announced by the server; fetched, applied or refused as the robot reported it."""

    TRIED_ON = "disk_full"  # a `refused_code` that says nothing of the version: the robot takes it once there is room

    id = models.BigAutoField(primary_key=True)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="deployments")
    version = models.ForeignKey(PolicyVersion, on_delete=models.CASCADE, related_name="deployments")
    announced_at = models.DateTimeField()
    fetched_at = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    refused_at = models.DateTimeField(null=True, blank=True)
    refused_code = models.CharField(max_length=100, blank=True)
    refused_message = models.CharField(max_length=2000, blank=True)
    fetched_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ("-announced_at",)
        constraints = (
            models.UniqueConstraint(fields=("robot", "version"), name="deployment_one_a_robot_version"),
            models.CheckConstraint(
                condition=Q(applied_at__isnull=True) | Q(fetched_at__lte=F("applied_at")),
                name="deployment_applied_after_fetched",
            ),
            models.CheckConstraint(
                condition=Q(refused_at__isnull=True, refused_code="")
                | (Q(refused_at__isnull=False) & ~Q(refused_code="")),
                name="deployment_refused_with_a_code",
            ),
        )

    def __str__(self) -> str:
        return f"{self.version_id} on {self.robot_id}"
