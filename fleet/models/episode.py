"""Registered episodes and their segments. A row exists only when every object was verified."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast, NullIf

from fleet.models.policy import PolicyVersion
from fleet.models.robot import Robot
from fleet.models.task import Task
from fleet.protocol.authority import Mode, Source
from fleet.protocol.recording import Origin, Outcome, OutcomeSource


class Episode(models.Model):
    """One episode. `started_at`, `ended_at`, `uploaded_at` by the robot's clock, the rest by the server's.

    `index_seq` counts 1, 2, 3, ... in commit order: whoever saw number n has seen every smaller one.
    `interventions`: how often a person or the scripted supervisor took over from the policy. `reset_ms`: from the end
    of the robot's episode before until this one began, at most SOP_RESET_MAX_S; 0 after a longer break.
    `outcome` with its source and reason is what counts: a person's label once there is one (models/episode_label.py
    keeps what was before), else what was recorded. `tags`, `comment`, `is_archived` and `label_revision` are of the
    newest label; `sources`, `operators` (of the segments) and `search_text` (lower case) are there to be searched.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    index_seq = models.PositiveBigIntegerField(unique=True)
    origin = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Origin])
    outcome = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Outcome])
    outcome_source = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in OutcomeSource])
    outcome_reason = models.CharField(max_length=2000, blank=True)
    environment_outcome = models.CharField(
        max_length=16,
        choices=[(str(v), str(v)) for v in Outcome],
        blank=True,
        help_text="What the environment had said of an episode that its operator labelled; empty if nothing yet.",
    )
    robot = models.ForeignKey(Robot, on_delete=models.PROTECT, null=True, blank=True, related_name="episodes")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="episodes")
    policy_version = models.ForeignKey(
        PolicyVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="episodes"
    )
    instruction = models.CharField(max_length=1000)
    seed = models.BigIntegerField()
    steps = models.PositiveIntegerField()
    human_steps = models.PositiveIntegerField()
    interventions = models.PositiveIntegerField(default=0, db_default=0)
    reset_ms = models.PositiveIntegerField(default=0, db_default=0)
    control_rate_hz = models.FloatField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    uploaded_at = models.DateTimeField(null=True, blank=True)
    indexed_at = models.DateTimeField()
    first_sampled_at = models.DateTimeField(null=True, blank=True)
    manifest_key = models.CharField(max_length=300)
    manifest_sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    damage = models.CharField(
        max_length=300, blank=True, help_text="What the last verification missed of its objects; empty if nothing."
    )
    verified_at = models.DateTimeField(null=True, blank=True, help_text="When its objects were last hashed again.")
    human_share = models.GeneratedField(
        expression=Cast(F("human_steps"), models.FloatField()) / NullIf(Cast(F("steps"), models.FloatField()), 0.0),
        output_field=models.FloatField(),
        db_persist=True,
    )
    sources = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    operators = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    comment = models.CharField(max_length=4000, blank=True)
    is_archived = models.BooleanField(default=False)
    label_revision = models.PositiveIntegerField(default=0)
    search_text = models.TextField(blank=True)

    class Meta:
        ordering = ("-index_seq",)
        # Pages go by (sort value, index_seq); benchmarks/episode_list.py shows which index each question takes.
        indexes = (
            models.Index(fields=("ended_at", "index_seq"), name="episode_by_end"),
            models.Index(fields=("steps", "index_seq"), name="episode_by_steps"),
            models.Index(fields=("human_share", "index_seq"), name="episode_by_human_share"),
            models.Index(fields=("size_bytes", "index_seq"), name="episode_by_size"),
            models.Index(fields=("task", "index_seq"), name="episode_task_seq"),
            models.Index(fields=("robot", "index_seq"), name="episode_robot_seq"),
            models.Index(fields=("policy_version", "index_seq"), name="episode_version_seq"),
            models.Index(fields=("outcome", "index_seq"), name="episode_outcome_seq"),
            models.Index(fields=("index_seq",), condition=Q(is_archived=True), name="episode_archived"),
            models.Index(fields=("index_seq",), condition=~Q(damage=""), name="episode_damaged"),
            GinIndex(fields=("operators",), name="episode_operators"),
            GinIndex(fields=("tags",), name="episode_tags"),
            GinIndex(fields=("search_text",), opclasses=("gin_trgm_ops",), name="episode_search_text"),
            models.Index(fields=("origin", "ended_at"), name="episode_origin_end"),
            models.Index(fields=("task", "origin", "ended_at"), name="episode_task_origin_end"),
            models.Index(fields=("robot", "-ended_at"), name="episode_robot_end"),
        )
        constraints = (
            models.CheckConstraint(condition=Q(steps__gte=1, steps__lte=100_000), name="episode_steps_range"),
            models.CheckConstraint(condition=Q(human_steps__lte=F("steps")), name="episode_human_steps_range"),
            models.CheckConstraint(condition=Q(index_seq__gte=1), name="episode_index_seq_range"),
            models.CheckConstraint(condition=Q(origin__in=[str(v) for v in Origin]), name="episode_origin_known"),
            models.CheckConstraint(condition=Q(outcome__in=[str(v) for v in Outcome]), name="episode_outcome_known"),
            models.CheckConstraint(
                condition=Q(environment_outcome__in=["", *(str(v) for v in Outcome)]),
                name="episode_environment_outcome_known",
            ),
            models.CheckConstraint(condition=Q(ended_at__gte=F("started_at")), name="episode_ends_after_start"),
            models.CheckConstraint(
                condition=Q(manifest_sha256__regex=r"^[0-9a-f]{64}$"), name="episode_manifest_is_hashed"
            ),
            models.CheckConstraint(
                condition=~Q(origin=Origin.ONLINE.value) | Q(robot__isnull=False), name="episode_online_has_a_robot"
            ),
        )

    def __str__(self) -> str:
        return str(self.id)


class Segment(models.Model):
    """Steps [start, end) of an episode with one driver."""

    id = models.BigAutoField(primary_key=True)
    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="segments")
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    mode = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Mode])
    source = models.CharField(max_length=16, choices=[(str(v), str(v)) for v in Source])
    lease_epoch = models.PositiveIntegerField()
    operator = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=2000, blank=True)

    class Meta:
        ordering = ("episode", "start")
        constraints = (
            models.UniqueConstraint(fields=("episode", "start"), name="segment_one_a_start"),
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="segment_is_not_empty"),
            models.CheckConstraint(condition=Q(mode__in=[str(v) for v in Mode]), name="segment_mode_known"),
            models.CheckConstraint(condition=Q(source__in=[str(v) for v in Source]), name="segment_source_known"),
        )

    def __str__(self) -> str:
        return f"{self.episode_id}[{self.start}:{self.end}]"
