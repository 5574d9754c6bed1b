"""Episodes that the server refused for good: they lie on their robot until a person looks at them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from fleet.models.robot import Robot


class EpisodeRefusal(models.Model):
    """One episode that a robot keeps in `spool/refused/`; gone once it is registered after all.

    `episode_id`: as the robot named it, which need not be a UUID: that may be what was wrong.
    """

    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="refusals")
    episode_id = models.CharField(max_length=36)
    code = models.CharField(max_length=100)
    message = models.CharField(max_length=2000, blank=True)
    refused_at = models.DateTimeField(help_text="The last time, if it was announced again.")

    class Meta:
        ordering = ("-refused_at", "-id")
        constraints = (
            models.UniqueConstraint(fields=("robot", "episode_id"), name="refusal_unique_an_episode"),
            models.CheckConstraint(condition=~Q(code=""), name="refusal_has_a_code"),
        )
        indexes = (models.Index(fields=("robot", "refused_at"), name="refusal_by_robot"),)

    def __str__(self) -> str:
        return f"{self.episode_id}: {self.code}"
