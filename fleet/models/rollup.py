"""Sums of the episode rows that the charts are drawn from, and what the robots did when."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from fleet.models.policy import PolicyVersion
from fleet.models.robot import Robot
from fleet.models.task import Task
from fleet.protocol.recording import Origin


class EpisodeRollup(models.Model):
    """Sums over the episodes that ended in one quarter of an hour (UTC) and share the key.

    A key may have several rows: what counts is their sum. Every change of an episode adds a row with what it takes away
    (negative) and one with what it brings, so writers never wait for each other; `rollups_compact` folds them. Whole
    numbers only, so that sums are exact in any order. Every time zone lies a whole number of quarters from UTC.

    frames: control steps. human_frames: of them driven by a person or the scripted supervisor. interventions, reset_ms:
    see Episode. duration_ms: ended - started. human_ms: human_frames at the control rate. The products (frames_squared,
    ...) are summed episode by episode: intervals of ratios need them. success_human_frames: of successful episodes.
    """

    id = models.BigAutoField(primary_key=True)
    quarter = models.DateTimeField()
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+", db_index=False)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    policy_version = models.ForeignKey(
        PolicyVersion, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    origin = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Origin])
    is_assisted = models.BooleanField()
    is_archived = models.BooleanField()
    is_folded = models.BooleanField(
        default=False, db_default=False, help_text="Written by rollups_compact: nothing to do for it."
    )
    episodes = models.BigIntegerField()
    successes = models.BigIntegerField()
    failures = models.BigIntegerField()
    timeouts = models.BigIntegerField()
    aborted = models.BigIntegerField()
    frames = models.BigIntegerField()
    human_frames = models.BigIntegerField()
    interventions = models.BigIntegerField()
    duration_ms = models.BigIntegerField()
    reset_ms = models.BigIntegerField()
    human_ms = models.BigIntegerField()
    frames_squared = models.BigIntegerField()
    human_frames_squared = models.BigIntegerField()
    frames_human_frames = models.BigIntegerField()
    success_human_frames = models.BigIntegerField()

    class Meta:
        ordering = ("quarter", "id")
        indexes = (
            models.Index(fields=("quarter",), name="rollup_quarter"),
            models.Index(fields=("task", "quarter"), name="rollup_task_quarter"),
            models.Index(fields=("robot", "quarter"), name="rollup_robot_quarter"),
            models.Index(fields=("policy_version", "quarter"), name="rollup_version_quarter"),
            models.Index(fields=("quarter",), condition=Q(is_folded=False), name="rollup_unfolded"),
        )

    def __str__(self) -> str:
        return f"{self.quarter:%Y-%m-%d %H:%M} {self.task_id}"
