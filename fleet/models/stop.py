"""Stops: who made a robot stand still, and who let it go again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from fleet.models.robot import Robot


class RobotStop(models.Model):
    """In force while `cleared_at` is null; `id` gives the order in which the server heard of them.

    `stop_id` comes from whoever stopped. It names one stop of one robot: the same id may stop several robots at once.
    """

    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="stops")
    stop_id = models.UUIDField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who stopped over the server; empty if the robot reported the stop.",
    )
    by = models.CharField(max_length=200)
    reason = models.CharField(max_length=2000, blank=True)
    stopped_at = models.DateTimeField(help_text="By the clock of whoever stopped.")
    confirmed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the server first heard of it from the robot itself."
    )
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty if it was cleared at the robot.",
    )

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("robot", "stop_id"), name="stop_id_unique_a_robot"),
            models.CheckConstraint(
                condition=Q(cleared_at__isnull=False) | Q(cleared_by__isnull=True), name="stop_cleared_by_at_a_time"
            ),
        )
        indexes = (models.Index(fields=("robot",), condition=Q(cleared_at__isnull=True), name="stop_in_force"),)

    def __str__(self) -> str:
        return f"stop {self.stop_id} of {self.robot_id}"
