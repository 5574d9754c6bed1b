"""Training runs, their bounded rounds, and the numbers they report."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from fleet.models.dataset import DatasetVersion
from fleet.models.task import Task


class TrainingRun(models.Model):
    """One training run. `epoch` fences: only the holder of the newest may write.

    `config` is the learner's and opaque here. `heartbeat_at`: last sign of life of the holder, or of being enqueued.
    `dataset_version`: its offline source; without one it is every demonstration. `dataset_split`: empty for all.
    `asked`: the state that a person asked for and the learner has not confirmed yet; it does so between two rounds.
    `revision` counts what people and the learner did to it, steps apart: people act on what they have read.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        PAUSED = "paused"
        STOPPED = "stopped"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    algorithm = models.CharField(max_length=100)
    config = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    tasks = models.ManyToManyField(Task, blank=True, related_name="runs", help_text="None: all tasks.")
    dataset_version = models.ForeignKey(
        DatasetVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="runs"
    )
    dataset_split = models.CharField(max_length=32, blank=True)
    takes_online = models.BooleanField(
        default=True, help_text="Whether it learns from new episodes of robots; one that does not feeds no robot."
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.PAUSED)
    epoch = models.PositiveIntegerField(default=0)
    holder = models.CharField(max_length=200, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    step = models.PositiveBigIntegerField(default=0, help_text="Gradient steps of the committed rounds.")
    target_steps = models.PositiveBigIntegerField(null=True, blank=True)
    failure_code = models.CharField(max_length=100, blank=True)
    failure_message = models.CharField(max_length=2000, blank=True)
    asked = models.CharField(max_length=16, blank=True, help_text="paused or stopped, from the round's end on.")
    asked_at = models.DateTimeField(null=True, blank=True)
    asked_by_name = models.CharField(max_length=150, blank=True)
    revision = models.PositiveIntegerField(default=0)
    copied_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="copies")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True, help_text="When somebody last let it run.")

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["running", "paused", "stopped", "failed"]), name="run_state_known"
            ),
            models.CheckConstraint(
                condition=Q(takes_online=True) | Q(dataset_version__isnull=False),
                name="run_has_something_to_learn_from",
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(failure_code=""), name="run_failed_with_a_code"),
            models.CheckConstraint(
                condition=Q(asked="", asked_at__isnull=True)
                | Q(asked__in=["paused", "stopped"], asked_at__isnull=False, state="running"),
                name="run_asked_while_it_runs",
            ),
        )

    def __str__(self) -> str:
        return self.name


class TrainingRound(models.Model):
    """A bounded piece of a run. `ingest_upto`: the newest Episode.index_seq it may use, fixed when it begins.

    At most one round of a run is open; a killed one is taken up again with the same bound, so it repeats
    itself exactly.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="rounds")
    index = models.PositiveIntegerField()
    start_step = models.PositiveBigIntegerField()
    end_step = models.PositiveBigIntegerField(null=True, blank=True)
    ingest_upto = models.PositiveBigIntegerField()
    attempts = models.PositiveIntegerField(default=1)
    checkpoint_key = models.CharField(max_length=300, blank=True)
    checkpoint_sha256 = models.CharField(max_length=64, blank=True)
    begun_at = models.DateTimeField()
    committed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("run", "index")
        constraints = (
            models.UniqueConstraint(fields=("run", "index"), name="round_index_unique_a_run"),
            models.UniqueConstraint(
                fields=("run",), condition=Q(committed_at__isnull=True), name="round_one_open_a_run"
            ),
            models.CheckConstraint(
                condition=Q(end_step__isnull=True) | Q(end_step__gte=F("start_step")), name="round_steps_forward"
            ),
            models.CheckConstraint(
                condition=Q(committed_at__isnull=True)
                | (Q(end_step__isnull=False) & ~Q(checkpoint_key="") & ~Q(checkpoint_sha256="")),
                name="round_committed_with_checkpoint",
            ),
        )

    def __str__(self) -> str:
        return f"round {self.index} of {self.run_id}"


class RunMetric(models.Model):
    """Numbers of one gradient step, as the learner reported them.

    Old rows are merged (`services/metric_history.py`): then `values` holds means over `reports` reports, `extremes`
    the lowest and highest of each name, and `step` and `at` are the last report's.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    values = models.JSONField()
    reports = models.PositiveIntegerField(default=1)
    extremes = models.JSONField(null=True, blank=True, help_text="Of a merged row: name -> [lowest, highest].")

    class Meta:
        ordering = ("run", "step")
        constraints = (models.UniqueConstraint(fields=("run", "step"), name="metric_one_a_step"),)

    def __str__(self) -> str:
        return f"step {self.step} of {self.run_id}"
