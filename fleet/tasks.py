"""Background work of the server, idempotent: short on the queue `fleet`, for webhooks on `hooks`, long on `data`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from fleet.services.alert_mail import alert_mails_send
from fleet.services.alert_watch import alerts_evaluate
from fleet.services.assignment import assignments_sweep
from fleet.services.dataset_describe import dataset_describe, datasets_reap
from fleet.services.dataset_import_work import dataset_import_clean, dataset_import_work, dataset_imports_reap
from fleet.services.export_reap import export_clean, exports_reap
from fleet.services.export_run import export_run
from fleet.services.help import help_sweep
from fleet.services.idempotency import idempotency_sweep
from fleet.services.lease import leases_expire
from fleet.services.retention import retention_run
from fleet.services.robot_state import robot_states_sweep
from fleet.services.rollout_judge import rollouts_judge
from fleet.services.rollup import rollups_compact
from fleet.services.shadow import shadows_sweep
from fleet.services.storage_gc import storage_collect
from fleet.services.training import training_runs_reap
from fleet.services.webhook_delivery import webhook_drain, webhooks_sweep
from fleet.storage.base import StoreUnavailable

logger = logging.getLogger(__name__)

# In this order every few seconds: first what ends a right to drive.
_SWEEPS: tuple[Callable[[], object], ...] = (
    leases_expire,
    help_sweep,
    assignments_sweep,  # tell robots whose hours began or ended
    robot_states_sweep,  # count silent robots as offline
    training_runs_reap,  # give runs whose holder fell silent a new epoch and enqueue them again
    rollouts_judge,  # decide canaries
    shadows_sweep,  # end shadows that are over
    datasets_reap,  # go on with what nobody works at any more
    exports_reap,
    dataset_imports_reap,
)


@shared_task(name="fleet.reap")  # type: ignore[untyped-decorator]  # Celery is untyped
def reap() -> None:
    """Look after everything that time changes. A sweep that fails is logged and tried again next time: one row that
    breaks one sweep must not stop the others."""
    for sweep in _SWEEPS:
        try:
            sweep()
        except SoftTimeLimitExceeded:
            raise
        except Exception:  # whatever a sweep raises
            logger.exception("sweep failed", extra={"event": {"sweep": sweep.__name__}})


@shared_task(name="fleet.alerts_evaluate")  # type: ignore[untyped-decorator]
def evaluate_alerts() -> None:
    """Compare what the fleet measures with the alert rules."""
    alerts_evaluate()


@shared_task(name="fleet.alert_mail")  # type: ignore[untyped-decorator]
def send_alert_mails() -> None:
    """Send the mails of alerts that are due; on the webhooks' queue, for a mail server may be slow too."""
    alert_mails_send()


@shared_task(name="fleet.rollups_compact")  # type: ignore[untyped-decorator]
def compact_rollups() -> None:
    """Fold the charts' sums that changed since the last time."""
    rollups_compact()


@shared_task(name="fleet.idempotency_sweep")  # type: ignore[untyped-decorator]
def sweep_idempotency() -> None:
    """Forget answers that were kept for a day."""
    idempotency_sweep()


@shared_task(name="fleet.dataset_describe")  # type: ignore[untyped-decorator]
def describe_dataset(version_id: str) -> None:
    """Read the next piece of a frozen dataset's steps. Silence of the store ends it; the reaper tries again."""
    with contextlib.suppress(StoreUnavailable):
        dataset_describe(version_id=version_id)


@shared_task(name="fleet.webhook_drain")  # type: ignore[untyped-decorator]
def drain(webhook_id: str) -> None:
    """Send what is due to one webhook. Its queue has a worker of its own, so that a slow receiver delays nothing."""
    webhook_drain(webhook_id=webhook_id)


@shared_task(name="fleet.webhooks_sweep")  # type: ignore[untyped-decorator]
def sweep_webhooks() -> None:
    """Ask for the retries that are due, and forget old deliveries."""
    webhooks_sweep()


@shared_task(name="fleet.export_run")  # type: ignore[untyped-decorator]
def run_one_export(export_id: str, epoch: int) -> None:
    """Make an export, or go on with it. Acknowledged at once: one whose worker is killed comes back through the
    reaper, which is quicker than the broker."""
    export_run(export_id=export_id, epoch=epoch)


@shared_task(name="fleet.export_clean")  # type: ignore[untyped-decorator]
def clean_export(export_id: str) -> None:
    """Remove an export's files. Silence of the store ends it; the reaper tries again."""
    with contextlib.suppress(StoreUnavailable):
        export_clean(export_id=export_id)


@shared_task(name="fleet.dataset_import")  # type: ignore[untyped-decorator]
def work_at_import(import_id: str, epoch: int) -> None:
    """Check or make an import, or go on with it. Acknowledged at once: a killed worker's comes back by the reaper."""
    dataset_import_work(import_id=import_id, epoch=epoch)


@shared_task(name="fleet.dataset_import_clean")  # type: ignore[untyped-decorator]
def clean_import(import_id: str) -> None:
    """Remove what an ended import holds. Silence of the store ends it; the reaper tries again."""
    with contextlib.suppress(StoreUnavailable):
        dataset_import_clean(import_id=import_id)


@shared_task(name="fleet.retention_run")  # type: ignore[untyped-decorator]
def run_retention() -> None:
    """Remove what retention rules say, for a bounded time; it asks for itself again while more is left."""
    retention_run()


@shared_task(name="fleet.storage_collect")  # type: ignore[untyped-decorator]
def collect_storage(is_dry: bool) -> None:
    """Look for objects that no row names, as the settings page asks."""
    storage_collect(is_dry=is_dry)
