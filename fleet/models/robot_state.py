"""What each robot did when: intervals that follow each other without a gap, from its first connection on."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from fleet.models.robot import Robot


class RobotStateInterval(models.Model):
    """One state of one robot over [started_at, ended_at), by the server's clock; the newest has no end yet.

    `seen_at`: the newest heartbeat that said so. Changes reach the rows within ten seconds, at most one in five
    seconds, and rows older than SOP_ROBOT_STATE_DAYS go, so their number is bounded.
    """

    class State(models.TextChoices):
        WORKING = "working", "runs or resets an episode, whoever drives"
        WAITING = "waiting", "idle: paused, no task, no policy, or its disk is full"
        BLOCKED = "blocked", "cannot go on without a person: stopped, in error, or asking for help while it stands"
        OFFLINE = "offline", "not connected"

    id = models.BigAutoField(primary_key=True)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="states", db_index=False)
    state = models.CharField(max_length=16, choices=State.choices)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ("robot", "started_at")
        indexes = (
            models.Index(fields=("robot", "started_at"), name="robot_state_start"),
            models.Index(fields=("ended_at",), name="robot_state_end"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("robot",), condition=Q(ended_at__isnull=True), name="robot_state_one_open_a_robot"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["working", "waiting", "blocked", "offline"]), name="robot_state_known"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="robot_state_ends_after_start",
            ),
        )

    def __str__(self) -> str:
        return f"{self.state} of {self.robot_id}"
