"""People: what the fleet knows of a user beyond Django's own row."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from fleet.permissions import Role


class Person(models.Model):
    """A user's roles. Without this row Django's own marks count, see selectors/person.py."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="person"
    )
    roles = ArrayField(
        models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Role]), default=list, blank=True
    )

    class Meta:
        verbose_name_plural = "people"
        constraints = (
            models.CheckConstraint(condition=Q(roles__contained_by=[str(v) for v in Role]), name="person_roles_known"),
        )

    def __str__(self) -> str:
        return f"{self.user_id}: {', '.join(self.roles)}"
