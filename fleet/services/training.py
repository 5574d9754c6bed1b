"""Training runs and their rounds. Fencing: of two holders only the one with the newest epoch may write."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from fleet.errors import InvalidRequest, NotFound, RunFenced, RunNotRunning
from fleet.events import hint_all_robots, hint_consoles
from fleet.models import DatasetVersion, Episode, PolicyVersion, Robot, RunMetric, Task, TrainingRound, TrainingRun
from fleet.queue import enqueue_train_round
from fleet.selectors.silence import is_silent, silent_since
from fleet.selectors.training import run_queue
from fleet.services.audit import audit_record
from fleet.services.metric_history import metric_history_thin
from fleet.services.robot import robots_bump

logger = logging.getLogger(__name__)

MAX_ROUND_ATTEMPTS = 10  # of one round, workers killed or errors raised, before the run fails and waits for a person


@dataclass(frozen=True)
class RunClaim:
    """What the holder of a run needs to work at it."""

    run_id: str
    name: str
    epoch: int
    algorithm: str
    config: dict[str, Any]
    seed: int
    step: int
    target_steps: int | None
    task_slugs: tuple[str, ...]


@dataclass(frozen=True)
class RoundPlan:
    """One round: which episodes it may use and where it begins.

    `checkpoint_key`: of the newest committed round, None before the first.
    """

    index: int
    start_step: int
    ingest_upto: int
    checkpoint_key: str | None
    checkpoint_sha256: str | None
    newest_version_id: str | None
    newest_version_number: int | None


@transaction.atomic
def training_run_create(
    *,
    name: str,
    algorithm: str,
    config: Mapping[str, Any],
    seed: int,
    task_slugs: Sequence[str] = (),
    target_steps: int | None = None,
    dataset_version: DatasetVersion | None = None,
    dataset_split: str = "",
    takes_online: bool = True,
    copied_from: TrainingRun | None = None,
    is_told: bool = True,
) -> TrainingRun:
    """Create a paused run. `task_slugs`: whose episodes it learns from, none for all.

    `dataset_version`, `dataset_split` (empty: all): its offline source instead of the demonstrations. `takes_online`:
    whether new episodes of robots come to it. `is_told`: robots look anew at which run feeds them.
    Raises: InvalidRequest.
    """
    _check_source(dataset_version, dataset_split, takes_online)
    tasks = list(Task.objects.filter(slug__in=task_slugs))
    if len(tasks) != len(set(task_slugs)):
        raise InvalidRequest("a run names only tasks that exist", field="task_slugs")
    if TrainingRun.objects.filter(name=name).exists():
        raise InvalidRequest(f"a run named '{name}' exists", field="name")
    run = TrainingRun.objects.create(
        name=name,
        algorithm=algorithm,
        config=dict(config),
        seed=seed,
        target_steps=target_steps,
        dataset_version=dataset_version,
        dataset_split=dataset_split,
        takes_online=takes_online,
        copied_from=copied_from,
    )
    run.tasks.set(tasks)
    shown = {"algorithm": algorithm, "config": run.config, "seed": seed, "tasks": sorted(set(task_slugs))}
    audit_record(action="run.create", subject=run, after={**shown, "target_steps": target_steps})
    if is_told:
        _fleet_changed()
    return run


def _check_source(version: DatasetVersion | None, split: str, takes_online: bool) -> None:
    if version is None:
        if split or not takes_online:
            raise InvalidRequest("without a dataset a run learns from the fleet", field="takes_online")
    elif split and split not in {each["name"] for each in version.splits}:
        raise InvalidRequest(f"the dataset has no split '{split[:32]}'", field="split")


@transaction.atomic
def training_run_start(*, run_id: object) -> TrainingRun:
    """Let a run train: a new epoch, one round enqueued; a running run starts anew. Raises: NotFound."""
    run = run_lock(run_id=run_id)
    before = {"state": run.state, "epoch": run.epoch}
    run.state, run.failure_code, run.failure_message = TrainingRun.State.RUNNING, "", ""
    _forget_asked(run)
    run.started_at = timezone.now()
    run.rounds.filter(committed_at__isnull=True).update(attempts=0)
    _new_epoch(run)
    audit_record(action="run.start", subject=run, before=before, after={"state": run.state, "epoch": run.epoch})
    _enqueue_round(run)
    _fleet_changed()
    return run


@transaction.atomic
def training_run_stop(*, run_id: object) -> TrainingRun:
    """Stop a run; its holder is fenced and ends at its next write. Raises: NotFound."""
    run = run_lock(run_id=run_id)
    before = {"state": run.state, "epoch": run.epoch}
    run_settle(run, TrainingRun.State.STOPPED)
    audit_record(action="run.stop", subject=run, before=before, after={"state": run.state, "epoch": run.epoch})
    return run


def run_settle(run: TrainingRun, state: TrainingRun.State) -> None:
    """Bring a locked run to rest: nothing is asked of it any more, and whoever may still work at it is fenced."""
    run.state = state
    _forget_asked(run)
    _new_epoch(run)
    _fleet_changed()


@transaction.atomic
def training_run_claim(*, run_id: str, epoch: int, holder: str) -> RunClaim:
    """Become the holder of a run's epoch.

    While a living holder is within a round, another is refused even with the same epoch: a message that the broker
    delivered twice must not put two workers on one round.
    Raises: RunFenced, RunNotRunning, NotFound.
    """
    run = run_lock(run_id=run_id, epoch=epoch)
    is_alive = run.heartbeat_at is not None and not is_silent(run.heartbeat_at, _stale_before())
    if run.holder not in ("", holder[:200]) and is_alive and run.rounds.filter(committed_at__isnull=True).exists():
        raise RunFenced(f"'{run.holder}' works at this round", epoch=epoch, newest_epoch=run.epoch)
    run.holder, run.heartbeat_at = holder[:200], timezone.now()
    run.save(update_fields=["holder", "heartbeat_at"])
    return RunClaim(
        run_id=str(run.id),
        name=run.name,
        epoch=run.epoch,
        algorithm=run.algorithm,
        config=dict(run.config),
        seed=run.seed,
        step=run.step,
        target_steps=run.target_steps,
        task_slugs=tuple(run.tasks.order_by("slug").values_list("slug", flat=True)),
    )


@transaction.atomic
def training_run_heartbeat(*, run_id: str, epoch: int, holder: str) -> None:
    """Show that the holder lives. Raises: RunFenced, RunNotRunning, NotFound: then it must stop."""
    run = run_lock(run_id=run_id, epoch=epoch)
    run.holder, run.heartbeat_at = holder[:200], timezone.now()
    run.save(update_fields=["holder", "heartbeat_at"])


@transaction.atomic
def training_round_begin(*, run_id: str, epoch: int, holder: str) -> RoundPlan:
    """Begin the next round, or take up the one that was begun and never committed, with the same bounds.

    Raises: RunFenced, RunNotRunning, NotFound.
    """
    run = run_lock(run_id=run_id, epoch=epoch)
    run.holder, run.heartbeat_at = holder[:200], timezone.now()
    run.save(update_fields=["holder", "heartbeat_at"])
    last = TrainingRound.objects.filter(run=run, committed_at__isnull=False).order_by("-index").first()
    current = TrainingRound.objects.filter(run=run, committed_at__isnull=True).first()
    if current is not None:
        current.attempts += 1
        current.save(update_fields=["attempts"])
    else:
        current = TrainingRound.objects.create(
            run=run,
            index=last.index + 1 if last else 0,
            start_step=run.step,
            ingest_upto=Episode.objects.aggregate(newest=Max("index_seq"))["newest"] or 0,
            begun_at=timezone.now(),
        )
    newest = PolicyVersion.objects.filter(run=run).order_by("-number").first()
    return RoundPlan(
        index=current.index,
        start_step=current.start_step,
        ingest_upto=current.ingest_upto,
        checkpoint_key=last.checkpoint_key if last else None,
        checkpoint_sha256=last.checkpoint_sha256 if last else None,
        newest_version_id=str(newest.id) if newest else None,
        newest_version_number=newest.number if newest else None,
    )


@transaction.atomic
def training_round_commit(
    *,
    run_id: str,
    epoch: int,
    index: int,
    end_step: int,
    checkpoint_key: str,
    checkpoint_sha256: str,
    next_delay_s: float = 0.0,
) -> TrainingRound:
    """Commit a round whose checkpoint is stored and enqueue the next; or rest, as asked or at the run's target.

    Committing a committed round with the same checkpoint changes nothing.
    Raises: RunFenced, RunNotRunning, NotFound, InvalidRequest.
    """
    run = run_lock(run_id=run_id, epoch=epoch)
    row = TrainingRound.objects.filter(run=run, index=index).first()
    if row is None or end_step < row.start_step or not checkpoint_key:
        raise InvalidRequest("this round was not begun, or ends before its start", field="index")
    if row.committed_at is not None:
        if (row.end_step, row.checkpoint_sha256) != (end_step, checkpoint_sha256):
            raise InvalidRequest("this round is committed with another checkpoint", field="index")
        return row
    now = timezone.now()
    row.end_step, row.committed_at = end_step, now
    row.checkpoint_key, row.checkpoint_sha256 = checkpoint_key, checkpoint_sha256
    row.save()
    run.step, run.heartbeat_at = end_step, now
    run.save(update_fields=["step", "heartbeat_at"])
    is_done = run.target_steps is not None and end_step >= run.target_steps
    if rest := TrainingRun.State.STOPPED if is_done else run.asked:
        _confirm(run, TrainingRun.State(rest))
    else:
        _enqueue_round(run, delay_s=next_delay_s)
        hint_consoles("run", run.id)
    return row


def _confirm(run: TrainingRun, state: TrainingRun.State) -> None:
    before = {"state": run.state, "asked": run.asked}
    run_settle(run, state)
    audit_record(action="run.rest", subject=run, before=before, after={"state": run.state, "asked": ""})


@transaction.atomic
def training_run_fail(*, run_id: str, epoch: int, code: str, message: str) -> None:
    """Mark a run as failed for good; starting it again is a person's decision. Raises: RunFenced, RunNotRunning."""
    run = run_lock(run_id=run_id, epoch=epoch)
    run.state = TrainingRun.State.FAILED
    run.failure_code, run.failure_message = code[:100] or "internal", message[:2000]
    _forget_asked(run)
    run.revision += 1
    run.save(update_fields=["state", "failure_code", "failure_message", *_ASKED])
    shown = {"state": run.state, "failure_code": run.failure_code, "failure_message": run.failure_message}
    audit_record(action="run.fail", subject=run, after=shown)
    hint_consoles("run", run.id)
    _fleet_changed()
    logger.error("training run failed", extra={"event": {"run": run.name, "code": code, "message": message[:200]}})


@transaction.atomic
def run_metrics_record(*, run_id: str, epoch: int, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Store numbers by gradient step; a repeated step overwrites, also within `rows` (PostgreSQL refuses it there).

    A value that is not finite is left out: JSON has none, and its absence shows in the chart. Open pages that look at
    the run get the rows; old rows are merged once there are more than SOP_RUN_METRIC_ROWS.
    Raises: RunFenced, RunNotRunning, NotFound.
    """
    run = run_lock(run_id=run_id, epoch=epoch)
    now = timezone.now()
    finite = {
        step: {name: float(value) for name, value in values.items() if math.isfinite(value)} for step, values in rows
    }
    RunMetric.objects.bulk_create(
        [RunMetric(run=run, step=step, at=now, values=values) for step, values in finite.items()],
        update_conflicts=True,
        unique_fields=["run", "step"],
        update_fields=["at", "values", "reports", "extremes"],
    )
    metric_history_thin(run_id=run.id, keep=settings.SOP_RUN_METRIC_ROWS)
    hint_consoles("rows", run.id)


def training_runs_reap() -> list[uuid.UUID]:
    """Give every running run whose holder is silent a new epoch and enqueue it again; return their ids.

    A round that was tried `MAX_ROUND_ATTEMPTS` times and never committed fails its run instead.
    """
    limit = _stale_before()
    silent = TrainingRun.objects.filter(silent_since("heartbeat_at", limit), state=TrainingRun.State.RUNNING)
    return [run_id for run_id in list(silent.values_list("id", flat=True)) if _reap(run_id, limit)]


@transaction.atomic
def _reap(run_id: uuid.UUID, limit: datetime) -> bool:
    run = run_lock(run_id=run_id)
    if run.state != TrainingRun.State.RUNNING or not is_silent(run.heartbeat_at, limit):
        return False
    if run.rounds.filter(committed_at__isnull=True, attempts__gte=MAX_ROUND_ATTEMPTS).exists():
        message = f"a round was tried {MAX_ROUND_ATTEMPTS} times and never committed; the learner's log says why"
        training_run_fail(run_id=str(run.id), epoch=run.epoch, code="round_keeps_failing", message=message)
        return False
    event = {"run": run.name, "holder": run.holder, "epoch": run.epoch}
    logger.warning("training run reaped", extra={"event": event})
    if run.asked:  # nobody is left to finish the round; whoever resumes the run takes it up again
        _confirm(run, TrainingRun.State(run.asked))
        return False
    _new_epoch(run)
    _enqueue_round(run)
    return True


def _enqueue_round(run: TrainingRun, *, delay_s: float = 0.0) -> None:
    enqueue_train_round(run_id=str(run.id), epoch=run.epoch, queue=run_queue(run=run), delay_s=delay_s)


def run_lock(*, run_id: object, epoch: int | None = None) -> TrainingRun:
    """Return the run's row, locked until the transaction ends; with `epoch`, only to its rightful, running holder.

    Raises: NotFound, RunFenced, RunNotRunning.
    """
    try:
        run = TrainingRun.objects.select_for_update().filter(id=uuid.UUID(str(run_id))).first()
    except ValueError:
        run = None
    if run is None:
        raise NotFound("there is no such training run")
    if epoch is not None and epoch != run.epoch:
        raise RunFenced(f"epoch {epoch} is over, the newest is {run.epoch}", epoch=epoch, newest_epoch=run.epoch)
    if epoch is not None and run.state != TrainingRun.State.RUNNING:
        raise RunNotRunning(f"the run is {run.state}", state=run.state)
    return run


def _stale_before() -> datetime:
    """Holders whose last sign of life is older count as dead."""
    return timezone.now() - timedelta(seconds=settings.SOP_RUN_STALE_S)


_ASKED = ("asked", "asked_at", "asked_by_name", "revision")


def _forget_asked(run: TrainingRun) -> None:
    run.asked, run.asked_at, run.asked_by_name = "", None, ""


def _new_epoch(run: TrainingRun) -> None:
    run.epoch, run.revision = run.epoch + 1, run.revision + 1
    run.holder, run.heartbeat_at = "", timezone.now()
    fields = ["state", "epoch", "holder", "heartbeat_at", "failure_code", "failure_message", "started_at"]
    run.save(update_fields=[*fields, *_ASKED])
    hint_consoles("run", run.id)


def _fleet_changed() -> None:
    """Another run may feed the fleet now, so every robot's target may differ."""
    robots = Robot.objects.select_for_update().order_by("id").values_list("id", flat=True)
    robots_bump(robot_ids=list(robots), is_hinted=False)
    hint_all_robots()
