"""Tasks (what a robot can be asked to do) and assignments (who works at what)."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from fleet.models.robot import Robot


class Task(models.Model):
    """A task with the instruction the policy is given. `driver_task`: what the robot's driver calls it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=100, unique=True)
    instruction = models.CharField(max_length=1000)
    driver_task = models.CharField(max_length=100)
    max_steps = models.PositiveIntegerField()
    is_active = models.BooleanField(default=True)
    target_rate = models.FloatField(default=0.8, db_default=0.8, help_text="Success rate that charts show as the goal.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("slug",)
        constraints = (
            models.CheckConstraint(condition=Q(max_steps__gte=1, max_steps__lte=100_000), name="task_max_steps_range"),
            models.CheckConstraint(condition=~Q(instruction=""), name="task_has_an_instruction"),
            models.CheckConstraint(condition=Q(target_rate__gte=0, target_rate__lte=1), name="task_target_rate_range"),
        )

    def __str__(self) -> str:
        return self.slug


class Assignment(models.Model):
    """A robot works at a task from `created_at` until `ended_at`; the robot draws among its tasks by weight."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="assignments")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="assignments")
    weight = models.FloatField(default=1.0)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("robot", "task"), condition=Q(ended_at__isnull=True), name="assignment_one_active_a_robot_task"
            ),
            models.CheckConstraint(condition=Q(weight__gt=0, weight__lte=1000), name="assignment_weight_range"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("created_at")),
                name="assignment_ends_after_start",
            ),
        )

    def __str__(self) -> str:
        return f"{self.robot_id} at {self.task_id}"
