"""Tasks (what a robot can be asked to do), their wordings, and assignments (who works at what, and when)."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from fleet.models.robot import Robot


class Task(models.Model):
    """A task with the instruction the policy is given. `driver_task`: what the robot's driver calls it.

    `instruction` is the newest wording; episodes keep the one they ran with. `success_definition` tells people what
    counts as success. `revision` grows with every change that a person makes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=100, unique=True)
    instruction = models.CharField(max_length=1000)
    driver_task = models.CharField(max_length=100)
    max_steps = models.PositiveIntegerField()
    success_definition = models.CharField(max_length=2000, blank=True)
    is_active = models.BooleanField(default=True)
    target_rate = models.FloatField(default=0.8, db_default=0.8, help_text="Success rate that charts show as the goal.")
    created_at = models.DateTimeField(default=timezone.now)
    revision = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("slug",)
        constraints = (
            models.CheckConstraint(condition=Q(max_steps__gte=1, max_steps__lte=100_000), name="task_max_steps_range"),
            models.CheckConstraint(condition=~Q(instruction=""), name="task_has_an_instruction"),
            models.CheckConstraint(condition=Q(target_rate__gte=0, target_rate__lte=1), name="task_target_rate_range"),
        )

    def __str__(self) -> str:
        return self.slug


class TaskWording(models.Model):
    """One wording of a task's instruction, 1, 2, 3, ...: what was asked from `at` on."""

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="wordings")
    number = models.PositiveIntegerField()
    instruction = models.CharField(max_length=1000)
    at = models.DateTimeField(default=timezone.now)
    by_name = models.CharField(max_length=150, blank=True, help_text="Empty if a command or an import wrote it.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ("task", "-number")
        constraints = (
            models.UniqueConstraint(fields=("task", "number"), name="wording_number_unique_a_task"),
            models.CheckConstraint(condition=~Q(instruction=""), name="wording_is_not_empty"),
        )

    def __str__(self) -> str:
        return f"wording {self.number} of {self.task_id}"


class Assignment(models.Model):
    """A robot works at a task from `created_at` until `ended_at`; the robot draws among its tasks by weight.

    `windows`: when it counts, as [{"days": [0..6], "from": "HH:MM", "until": "HH:MM"}], Monday is 0, in `time_zone`;
    none: always. Of the assignments that count now only those with the highest `priority` are worked at.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="assignments")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="assignments")
    weight = models.FloatField(default=1.0)
    priority = models.SmallIntegerField(default=0)
    windows = models.JSONField(default=list, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("robot", "task"), condition=Q(ended_at__isnull=True), name="assignment_one_active_a_robot_task"
            ),
            models.CheckConstraint(condition=Q(weight__gt=0, weight__lte=1000), name="assignment_weight_range"),
            models.CheckConstraint(condition=Q(priority__gte=-9, priority__lte=9), name="assignment_priority_range"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("created_at")),
                name="assignment_ends_after_start",
            ),
        )

    def __str__(self) -> str:
        return f"{self.robot_id} at {self.task_id}"
