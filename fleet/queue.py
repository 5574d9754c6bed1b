"""Enqueues background work by task name, on commit. The web side never imports the learner."""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)

TRAIN_ROUND = "learner.train_round"
LEARNER_QUEUE = "learner"
DATASET_DESCRIBE = "fleet.dataset_describe"
RETENTION_RUN = "fleet.retention_run"
STORAGE_COLLECT = "fleet.storage_collect"
WEBHOOK_DRAIN = "fleet.webhook_drain"
ALERT_MAIL = "fleet.alert_mail"
EXPORT_RUN = "fleet.export_run"
EXPORT_CLEAN = "fleet.export_clean"
DATASET_IMPORT = "fleet.dataset_import"
DATASET_IMPORT_CLEAN = "fleet.dataset_import_clean"

# What the first argument of a task names: log lines of the task carry it under this word (task_watch.py).
SUBJECTS = {
    TRAIN_ROUND: "run",
    DATASET_DESCRIBE: "dataset_version",
    WEBHOOK_DRAIN: "webhook",
    EXPORT_RUN: "export",
    EXPORT_CLEAN: "export",
    DATASET_IMPORT: "import",
    DATASET_IMPORT_CLEAN: "import",
}


def enqueue_train_round(*, run_id: str, epoch: int, queue: str = LEARNER_QUEUE, delay_s: float = 0.0) -> None:
    """Ask a learner of this queue for one round, on commit. If the broker is away the reaper asks again."""
    transaction.on_commit(lambda: _enqueue(TRAIN_ROUND, (run_id, epoch), queue=queue, delay_s=delay_s))


def enqueue_dataset_describe(*, version_id: str) -> None:
    """Ask for the next piece of a dataset's statistics, on commit. If the broker is away the reaper asks again."""
    transaction.on_commit(lambda: _enqueue(DATASET_DESCRIBE, (version_id,), queue="fleet", delay_s=0.0))


def enqueue_webhook_drain(*, webhook_id: str) -> None:
    """Ask for what waits for a webhook to be sent, on commit. If the broker is away the sweep asks again."""
    transaction.on_commit(lambda: _enqueue(WEBHOOK_DRAIN, (webhook_id,), queue="hooks", delay_s=0.0))


def enqueue_alert_mail() -> None:
    """Ask for the mails of alerts that are due to be sent, on commit. If the broker is away the sweep asks again."""
    transaction.on_commit(lambda: _enqueue(ALERT_MAIL, (), queue="hooks", delay_s=0.0))


def enqueue_export_run(*, export_id: str, epoch: int, delay_s: float = 0.0) -> None:
    """Ask for an export to be made, on commit. If the broker is away the reaper asks again."""
    transaction.on_commit(lambda: _enqueue(EXPORT_RUN, (export_id, epoch), queue="data", delay_s=delay_s))


def enqueue_export_clean(*, export_id: str) -> None:
    """Ask for an export's files to be removed, on commit. If the broker is away the reaper asks again."""
    transaction.on_commit(lambda: _enqueue(EXPORT_CLEAN, (export_id,), queue="data", delay_s=0.0))


def enqueue_dataset_import(*, import_id: str, epoch: int) -> None:
    """Ask for an import's check or run, on commit. If the broker is away the reaper asks again."""
    transaction.on_commit(lambda: _enqueue(DATASET_IMPORT, (import_id, epoch), queue="data", delay_s=0.0))


def enqueue_dataset_import_clean(*, import_id: str) -> None:
    """Ask for what an ended import holds to be removed, on commit. If the broker is away the reaper asks again."""
    transaction.on_commit(lambda: _enqueue(DATASET_IMPORT_CLEAN, (import_id,), queue="data", delay_s=0.0))


def enqueue_retention() -> None:
    """Ask for what is left to remove by retention rules, on commit."""
    transaction.on_commit(lambda: _enqueue(RETENTION_RUN, (), queue="data", delay_s=0.0))


def enqueue_storage_collect(*, is_dry: bool) -> None:
    """Ask for a collection of garbage, on commit."""
    transaction.on_commit(lambda: _enqueue(STORAGE_COLLECT, (is_dry,), queue="data", delay_s=0.0))


def _enqueue(name: str, args: tuple[object, ...], *, queue: str, delay_s: float) -> None:
    try:
        # signature().apply_async, not send_task: send_task ignores task_always_eager.
        current_app.signature(name, args=args).apply_async(
            queue=queue, countdown=delay_s or None, retry=True, retry_policy={"max_retries": 2, "interval_start": 0.2}
        )
    except Exception:  # kombu raises many kinds; the row stays as it is and a sweep repeats the request
        logger.warning("task not enqueued", extra={"event": {"task": name}}, exc_info=True)
