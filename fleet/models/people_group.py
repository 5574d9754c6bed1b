"""Groups of people: what of the fleet their members see. Coverage is decided in `fleet/coverage.py`."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from fleet.models.robot import Robot
from fleet.models.task import Task


class PeopleGroup(models.Model):
    """Members see the robots with any of `robot_tags` and those in `robots`, at all tasks or at those in `tasks`.

    `revision` grows with every change that a person makes, and with members who join by an invitation.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="people_groups")
    robot_tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    robots = models.ManyToManyField(Robot, blank=True, related_name="people_groups")
    covers_all_tasks = models.BooleanField(default=True)
    tasks = models.ManyToManyField(Task, blank=True, related_name="people_groups")
    created_at = models.DateTimeField(default=timezone.now)
    revision = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("name",)
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="people_group_has_a_name"),)

    def __str__(self) -> str:
        return self.name
