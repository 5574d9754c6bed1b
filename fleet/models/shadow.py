"""Shadows: candidates that propose on robots beside the version that drives, and how far their proposals lay."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from fleet.models.episode import Episode
from fleet.models.policy import PolicyVersion
from fleet.models.robot import Robot
from fleet.protocol.messages import ShadowState


class Shadow(models.Model):
    """One candidate beside the versions that drive on some robots, for a bounded time and number of episodes.

    `share`: of the replanning instants, at which it is asked. `max_episodes`: of each robot. `tag`: by which the robots
    were chosen, empty for names or by lot.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="shadows")
    share = models.FloatField(default=1.0)
    max_episodes = models.PositiveIntegerField()
    tag = models.CharField(max_length=64, blank=True)
    began_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=2000, blank=True, help_text="Why it ended.")
    by_name = models.CharField(max_length=150, blank=True, help_text="Who began it; stays when the account goes.")

    class Meta:
        ordering = ("-began_at", "id")
        indexes = (models.Index(fields=("version", "-began_at"), name="shadow_version_began"),)
        constraints = (
            models.CheckConstraint(condition=Q(share__gt=0, share__lte=1), name="shadow_share_range"),
            models.CheckConstraint(condition=Q(max_episodes__gte=1), name="shadow_has_episodes"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("began_at")), name="shadow_ends_after_it_began"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, reason="") | (Q(ended_at__isnull=False) & ~Q(reason="")),
                name="shadow_ended_with_a_reason",
            ),
        )

    def __str__(self) -> str:
        return f"shadow of {self.version_id}"


class ShadowRobot(models.Model):
    """One robot of a shadow, as it reported. `ended_at`: it shadows this no more and is free for another."""

    id = models.BigAutoField(primary_key=True)
    shadow = models.ForeignKey(Shadow, on_delete=models.CASCADE, related_name="members")
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="shadows")
    state = models.CharField(max_length=16, blank=True, help_text="Empty: it has said nothing yet.")
    code = models.CharField(max_length=100, blank=True)
    message = models.CharField(max_length=2000, blank=True)
    episodes = models.PositiveIntegerField(default=0)
    reported_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("shadow", "robot"), name="shadow_robot_once"),
            models.UniqueConstraint(
                fields=("robot",), condition=Q(ended_at__isnull=True), name="shadow_one_open_a_robot"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["", *(str(value) for value in ShadowState)]), name="shadow_robot_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="refused") | ~Q(code=""), name="shadow_robot_refused_with_a_code"
            ),
        )

    def __str__(self) -> str:
        return f"{self.shadow_id} on {self.robot_id}"


class ShadowResult(models.Model):
    """What was proposed in one episode, see ShadowEpisode of the protocol. Totals are sums of distances over proposals.

    Which version drove, at which task and on which robot, says the episode.
    """

    id = models.BigAutoField(primary_key=True)
    shadow = models.ForeignKey(Shadow, on_delete=models.CASCADE, related_name="results")
    episode = models.OneToOneField(Episode, on_delete=models.CASCADE, related_name="shadow_result")
    instants = models.PositiveIntegerField()
    asked = models.PositiveIntegerField()
    answered = models.PositiveIntegerField()
    inference_ms = models.FloatField()
    policy_n = models.PositiveIntegerField()
    policy_total = models.FloatField()
    policy_p50 = models.FloatField()
    policy_p95 = models.FloatField()
    human_n = models.PositiveIntegerField()
    human_total = models.FloatField()
    human_p50 = models.FloatField()
    human_p95 = models.FloatField()
    own_total = models.FloatField(help_text="Of the executing version to the human, over the same human_n proposals.")
    own_p50 = models.FloatField()
    own_p95 = models.FloatField()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(answered__lte=F("asked"), asked__lte=F("instants")), name="shadow_counts_in_order"
            ),
            models.CheckConstraint(
                condition=Q(policy_n__lte=F("answered"), human_n__lte=F("answered")), name="shadow_of_answered_ones"
            ),
            models.CheckConstraint(
                condition=Q(policy_total__gte=0, policy_total__lte=2 * F("policy_n") + 1e-3)
                & Q(human_total__gte=0, human_total__lte=2 * F("human_n") + 1e-3)
                & Q(own_total__gte=0, own_total__lte=2 * F("human_n") + 1e-3),
                name="shadow_distance_range",
            ),
        )

    def __str__(self) -> str:
        return f"{self.shadow_id} in {self.episode_id}"
