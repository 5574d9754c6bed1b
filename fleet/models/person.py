"""People: what the fleet knows of a user beyond Django's own row, their links, and where they are signed in."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from fleet.models.people_group import PeopleGroup
from fleet.permissions import Role


def _roles() -> ArrayField:  # type: ignore[type-arg]
    choices = [(str(v), str(v)) for v in Role]
    return ArrayField(models.CharField(max_length=16, choices=choices), default=list, blank=True)


class Person(models.Model):
    """A user's roles and second factor. Without this row Django's own marks count, see selectors/person.py.

    `totp_sealed`: the shared secret, encrypted (services/totp.py); it counts once `totp_confirmed_at` is set.
    `totp_step`: the newest time step whose code was used, so that none is used twice. `recovery_sha256`: of the codes
    for recovery that are left. `is_limited`: sees what their groups cover and nothing else, also when the last group is
    gone; who is put into a group is limited from then on.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="person"
    )
    roles = _roles()
    totp_sealed = models.CharField(max_length=300, blank=True)
    totp_confirmed_at = models.DateTimeField(null=True, blank=True)
    totp_step = models.BigIntegerField(default=0)
    recovery_sha256 = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    is_limited = models.BooleanField(default=False, db_default=False)

    class Meta:
        verbose_name_plural = "people"
        constraints = (
            models.CheckConstraint(condition=Q(roles__contained_by=[str(v) for v in Role]), name="person_roles_known"),
            models.CheckConstraint(
                condition=Q(totp_confirmed_at__isnull=True) | ~Q(totp_sealed=""), name="person_totp_has_a_secret"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user_id}: {', '.join(self.roles)}"


class PersonLink(models.Model):
    """A one-time link: to join with some roles, or (with `user`) to choose a new password.

    `is_limited`: whoever joins is, in those of `groups` that are left by then.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    secret_sha256 = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Whose password it sets; of an invitation who took it.",
    )
    is_reset = models.BooleanField(default=False)
    email = models.EmailField(blank=True)
    roles = _roles()
    is_limited = models.BooleanField(default=False, db_default=False)
    groups = models.ManyToManyField(PeopleGroup, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    created_by_name = models.CharField(max_length=150, blank=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="link_expires_after_creation"),
            models.CheckConstraint(condition=Q(secret_sha256__regex=r"^[0-9a-f]{64}$"), name="link_is_hashed"),
            models.CheckConstraint(condition=Q(roles__contained_by=[str(v) for v in Role]), name="link_roles_known"),
            models.CheckConstraint(condition=Q(is_reset=False) | Q(user__isnull=False), name="link_reset_has_a_user"),
        )

    def __str__(self) -> str:
        return f"{'reset' if self.is_reset else 'invitation'} of {self.created_at:%Y-%m-%d}"


class UserSession(models.Model):
    """A browser that is signed in, as its person sees it; the session is Django's. `last_seen_at`: to a minute."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session_key = models.CharField(max_length=40, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="user_sessions")
    created_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-last_seen_at",)

    def __str__(self) -> str:
        return f"session of {self.user_id}"
