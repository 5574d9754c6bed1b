"""How versions of a run reach robots: the run's track, each candidate's rollout, and a history that only grows."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.models.policy import PolicyVersion
from fleet.models.robot import Robot
from fleet.models.training import TrainingRun


class ReleaseTrack(models.Model):
    """What robots that follow a run shall drive with. A run without a track is immediate.

    `current`: the version of everyone who is neither pinned nor in a canary; empty with `immediate`, where it is
    always the newest. `revision` grows with every change of them: the ETag, 0 before the first.
    """

    class Strategy(models.TextChoices):
        IMMEDIATE = "immediate"
        CANARY = "canary"
        MANUAL = "manual"

    run = models.OneToOneField(TrainingRun, on_delete=models.CASCADE, primary_key=True, related_name="track")
    strategy = models.CharField(max_length=16, choices=Strategy.choices, default=Strategy.IMMEDIATE)
    current = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    canary = models.JSONField(default=dict, blank=True, help_text="CanarySettings of the canaries that begin next.")
    revision = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(strategy__in=["immediate", "canary", "manual"]), name="track_known"),
            models.CheckConstraint(
                condition=Q(strategy="immediate", current__isnull=True)
                | (~Q(strategy="immediate") & Q(current__isnull=False)),
                name="track_current_unless_immediate",
            ),
        )

    def __str__(self) -> str:
        return f"{self.strategy} of {self.run_id}"


class Rollout(models.Model):
    """One candidate on its way. `robots` drive with it while it is open; all others stay at `baseline`.

    `per_block`: how many baseline episodes one of the candidate's is compared with, fixed before the first.
    `evidence`: the judgement's numbers when it was decided.
    """

    class State(models.TextChoices):
        CANARY = "canary"
        PAUSED = "paused"
        PROMOTED = "promoted"
        ROLLED_BACK = "rolled_back"

    OPEN = ("canary", "paused")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="rollouts")
    candidate = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="rollouts")
    baseline = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    robots = models.ManyToManyField(Robot, related_name="rollouts")
    settings = models.JSONField()
    per_block = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=State.choices, default=State.CANARY)
    reason = models.CharField(max_length=2000, blank=True)
    is_automatic = models.BooleanField(default=False, help_text="Decided by the test, not by a person.")
    evidence = models.JSONField(null=True, blank=True)
    began_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)
    by_name = models.CharField(max_length=150, blank=True, help_text="Who began it; empty: the run's strategy.")

    class Meta:
        ordering = ("-began_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("run",), condition=Q(state__in=["canary", "paused"]), name="rollout_one_open_a_run"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["canary", "paused", "promoted", "rolled_back"]), name="rollout_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["canary", "paused"], decided_at__isnull=True)
                | (Q(state__in=["promoted", "rolled_back"], decided_at__isnull=False) & ~Q(reason="")),
                name="rollout_decided_with_a_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.candidate_id} {self.state}"


class RolloutEvent(models.Model):
    """What happened to the versions of a run, by whom and why. Never changed."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="rollout_events")
    rollout = models.ForeignKey(Rollout, on_delete=models.SET_NULL, null=True, blank=True, related_name="events")
    version = models.ForeignKey(PolicyVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    robot = models.ForeignKey(Robot, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=32)
    reason = models.CharField(max_length=2000, blank=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True, help_text="Stays when the account is removed.")

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.kind} of {self.version_id}"
