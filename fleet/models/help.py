"""Requests for help: a robot asked for a person, who came, and how it ended. One of a robot at a time."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from fleet.models.lease import Lease
from fleet.models.policy import PolicyVersion
from fleet.models.robot import Robot
from fleet.models.task import Task
from fleet.protocol.messages import HelpRanking, HelpReason


class HelpRequest(models.Model):
    """Times by the server's clock. `reason`, `score` and `detail` are what the request is ranked by.

    `ranked_at`: when these were last taken over from the robot; until SOP_HELP_PIN_S later they stay. `claimed_at`:
    when the first person took the robot; `lease` and `operator` are the newest person's. `episode_id` is no foreign
    key: the episode's row comes when the episode is registered, minutes later or never.
    """

    class State(models.TextChoices):
        OPEN = "open"
        SERVED = "served"
        CLOSED = "closed"

    class Ending(models.TextChoices):
        SERVED = "served", "a person drove the robot and gave it back"
        WITHDRAWN = "withdrawn", "the robot asked no more before anybody came"
        OFFLINE = "offline", "the robot left"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="help_requests")
    reason = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in HelpReason])
    score = models.FloatField()
    detail = models.CharField(max_length=2000, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    ending = models.CharField(max_length=16, choices=Ending.choices, blank=True)
    opened_at = models.DateTimeField(db_index=True)
    ranked_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    lease = models.ForeignKey(Lease, on_delete=models.SET_NULL, null=True, blank=True, related_name="help_requests")
    operator = models.CharField(max_length=200, blank=True)
    task = models.ForeignKey(Task, on_delete=models.SET_NULL, null=True, blank=True)
    policy_version = models.ForeignKey(PolicyVersion, on_delete=models.SET_NULL, null=True, blank=True)
    episode_id = models.UUIDField(null=True, blank=True)

    class Meta:
        ordering = ("-opened_at",)
        indexes = (models.Index(fields=("-closed_at",), condition=Q(closed_at__isnull=False), name="help_by_close"),)
        constraints = (
            models.UniqueConstraint(
                fields=("robot",), condition=Q(closed_at__isnull=True), name="help_one_unclosed_a_robot"
            ),
            models.CheckConstraint(condition=Q(score__gte=0, score__lte=1), name="help_score_range"),
            models.CheckConstraint(condition=Q(reason__in=[str(v) for v in HelpReason]), name="help_reason_known"),
            models.CheckConstraint(
                condition=Q(state="open", claimed_at__isnull=True, closed_at__isnull=True, ending="")
                | Q(state="served", claimed_at__isnull=False, closed_at__isnull=True, ending="")
                | (Q(state="closed", closed_at__isnull=False) & ~Q(ending="")),
                name="help_state_fits_its_times",
            ),
            models.CheckConstraint(
                condition=Q(claimed_at__isnull=True) | Q(claimed_at__gte=F("opened_at")),
                name="help_claimed_after_opened",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("opened_at")), name="help_closed_after_opened"
            ),
        )

    def __str__(self) -> str:
        return f"{self.reason} of {self.robot_id}"


class HelpSettings(models.Model):
    """What managers chose for the queue; at most one row. Without it the settings' defaults hold."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    ranking = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in HelpRanking])
    changed_at = models.DateTimeField()
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        verbose_name_plural = "help settings"
        constraints = (
            models.CheckConstraint(condition=Q(id=1), name="help_settings_one_row"),
            models.CheckConstraint(condition=Q(ranking__in=[str(v) for v in HelpRanking]), name="help_ranking_known"),
        )

    def __str__(self) -> str:
        return self.ranking
