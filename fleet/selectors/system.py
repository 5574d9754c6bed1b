"""The system's own state: what waits in the queues, which workers live, how training stands, how full the store is.

Read by the status page and, at each scrape, by the exporter (sop_web/exporter.py): both show the same numbers.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db.models import Count, Max, Min
from django.utils import timezone

from fleet import live
from fleet.coverage import WHOLE, Coverage
from fleet.models import Lease, PolicyVersion, Robot, TrainingRound, TrainingRun
from fleet.task_watch import DUE_HEADER, SCHEDULER


@dataclass(frozen=True)
class QueueState:
    """`oldest_s`: since the oldest waiting task was due; None if none waits or it does not say."""

    name: str
    length: int
    oldest_s: float | None


@dataclass(frozen=True)
class WorkerState:
    """`silent_s`: since its last sign of life, by the clock of its machine."""

    name: str
    queues: tuple[str, ...]
    silent_s: float


@dataclass(frozen=True)
class LearnerState:
    """Of the running training runs together. Ages in seconds, None where there is nothing yet.

    `silent_s`: of the run whose holder was heard longest ago. `round_age_s`: since the oldest open round began.
    """

    running: int
    failed: int
    silent_s: float | None
    round_age_s: float | None
    version_age_s: float | None


@dataclass(frozen=True)
class StoreState:
    """`free_bytes`, `size_bytes`: of the file system; None where the store is a bucket, which has no end."""

    kind: str
    free_bytes: int | None
    size_bytes: int | None


def queue_names() -> tuple[str, ...]:
    """Return the queues that tasks are routed to, and those of learners in another Python."""
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    return tuple(sorted(routed.union(settings.SOP_LEARNER_QUEUES.values())))


def queue_states() -> list[QueueState]:
    found = []
    for name in queue_names():
        length, oldest = live.queue_state(name)
        found.append(QueueState(name, length, _age(oldest)))
    return found


def _age(message: bytes | None) -> float | None:
    try:
        due_s = json.loads(message)["headers"][DUE_HEADER] if message else None
    except (ValueError, KeyError, TypeError):  # written by another program, or by a version before the header
        return None
    return max(0.0, time.time() - due_s) if isinstance(due_s, int | float) else None


def worker_states() -> list[WorkerState]:
    """Return the workers seen within a day, by name."""
    now = time.time()
    return [
        WorkerState(name, tuple(queues), max(0.0, now - seen_s))
        for name, (queues, seen_s) in sorted(live.workers_get().items())
    ]


def worker_silence(workers: list[WorkerState]) -> dict[str, float | None]:
    """Return for each queue, and the scheduler, how long ago any of its workers was heard; None if never."""
    return {
        queue: min((worker.silent_s for worker in workers if queue in worker.queues), default=None)
        for queue in (*queue_names(), SCHEDULER)
    }


def learner_state() -> LearnerState:
    now = timezone.now()
    runs = TrainingRun.objects.filter(state=TrainingRun.State.RUNNING)
    heard = [found for found in runs.values_list("heartbeat_at", flat=True) if found is not None]
    rounds = TrainingRound.objects.filter(run__in=runs, committed_at__isnull=True)
    newest = PolicyVersion.objects.filter(run__in=runs).aggregate(at=Max("published_at"))["at"]
    return LearnerState(
        running=runs.count(),
        failed=TrainingRun.objects.filter(state=TrainingRun.State.FAILED).count(),
        silent_s=_since(now, min(heard, default=None)),
        round_age_s=_since(now, rounds.aggregate(at=Min("begun_at"))["at"]),
        version_age_s=_since(now, newest),
    )


def _since(now: datetime, then: datetime | None) -> float | None:
    return max(0.0, (now - then).total_seconds()) if then is not None else None


def store_state() -> StoreState:
    """Return what the file system of a store in a folder has left."""
    parts = urlsplit(settings.SOP_OBJECT_STORE_URL)
    if parts.scheme != "file":
        return StoreState("bucket", None, None)
    folder = Path(unquote(parts.path))
    while not folder.exists():  # before the first write
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    return StoreState("folder", usage.free, usage.total)


def robot_counts(coverage: Coverage = WHOLE) -> dict[str, int]:
    """Return how many of the covered robots that are not retired are online and offline."""
    found = Robot.objects.filter(coverage.robots(), retired_at__isnull=True)
    ids: list[Any] = list(found.values_list("id", flat=True))
    online = sum(status is not None for status in live.statuses_get(ids))
    return {"online": online, "offline": len(ids) - online}


def lease_counts() -> dict[str, int]:
    """Return the leases in force by who holds them: person or scripted."""
    found = Lease.objects.filter(released_at__isnull=True, expires_at__gt=timezone.now())
    return dict(found.values_list("source").annotate(n=Count("id")).values_list("source", "n"))
