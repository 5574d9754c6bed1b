"""Webhooks: who wants to hear of what, and every message to them with what became of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Webhook(models.Model):
    """One receiver. Its secrets are in no row: they follow from SOP_SECRET_KEY, the id and `secret_generation`.

    `revision` grows with every change of what people edit, also when the server turns it off: the ETag.

    The generation before signs too for a day after `rotated_at`. `failing_since`: of the first failure after the last
    success. `busy_until`: a worker sends to it now, and no second one does; passed, that worker is dead.
    """

    class Event(models.TextChoices):
        EPISODE_REGISTERED = "episode.registered"
        POLICY_VERSION_PUBLISHED = "policy_version.published"
        HELP_REQUESTED = "help.requested"
        EXPORT_FINISHED = "export.finished"
        ALERT_OPENED = "alert.opened"
        ALERT_RESOLVED = "alert.resolved"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=2000)
    events = ArrayField(models.CharField(max_length=40, choices=Event.choices))
    is_active = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=300, blank=True, help_text="Set when the server turned it off.")
    secret_generation = models.PositiveIntegerField(default=1)
    rotated_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    dropped = models.PositiveBigIntegerField(default=0, help_text="Events not kept, because too many waited already.")
    busy_until = models.DateTimeField(null=True, blank=True)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("created_at", "id")
        constraints = (
            models.CheckConstraint(condition=~Q(name=""), name="webhook_has_a_name"),
            models.CheckConstraint(condition=~Q(events=[]), name="webhook_hears_something"),
        )

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One message to one receiver: `event_id` is what the receiver tells doubles by, `last_*` of the newest attempt."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        DEAD = "dead"

    id = models.BigAutoField(primary_key=True)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.UUIDField()
    event = models.CharField(max_length=40)
    payload = models.JSONField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveIntegerField(null=True, blank=True)
    last_ms = models.PositiveIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("webhook", "-id"), name="delivery_log"),
            models.Index(fields=("webhook", "next_try_at"), condition=Q(state="pending"), name="delivery_due"),
            models.Index(fields=("created_at",), name="delivery_by_age"),
        )
        constraints = (
            models.UniqueConstraint(fields=("webhook", "event_id"), name="delivery_one_an_event"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "delivered", "dead"]), name="delivery_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="pending") | Q(next_try_at__isnull=False), name="delivery_pending_has_a_time"
            ),
        )

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook_id}"
