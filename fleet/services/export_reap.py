"""Looks after exports: takes up those whose worker died, asks again for lost messages, removes what is due."""

from __future__ import annotations

import contextlib
import logging
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from fleet.exports.errors import ExportBusy
from fleet.models import Export
from fleet.queue import enqueue_export_run
from fleet.selectors.silence import silent_since
from fleet.services.export import export_cleanup, export_ended
from fleet.services.export_run import MAX_ATTEMPTS
from fleet.services.export_sinks import export_sink
from fleet.services.webhook_event import export_event
from fleet.storage import ConfigurationInvalid

logger = logging.getLogger(__name__)

# A waiting export may wait for hours behind others, so a message counts as lost only after this time; one that was not
# lost is then there twice, and the second does nothing.
LOST_AFTER = timedelta(minutes=10)
AT_ONCE = 100  # of each kind in one call


def exports_reap() -> None:
    """Called every few seconds; each row is looked at again under its lock."""
    now = timezone.now()
    for export_id in _ids(_silent()):
        _take_up(export_id)
    for export_id in _ids(_waiting()):
        _ask_again(export_id)
    for export_id in _ids(Export.objects.filter(expires_at__lt=now)):
        _expire(export_id)
    for export_id in _ids(Export.objects.filter(cleanup_at__lt=now)):
        _clean_again(export_id)


@transaction.atomic
def _take_up(export_id: uuid.UUID) -> None:
    """Queue an export whose worker is silent again, with a new epoch, or end it if that was tried often enough."""
    row = _locked(_silent(), export_id)
    if row is None:
        return
    if row.cancel_requested_at is not None:
        row.state, row.epoch = Export.State.CANCELLED, row.epoch + 1
        export_ended(row)
        export_cleanup(row)
    elif row.attempts >= MAX_ATTEMPTS:
        row.state, row.epoch = Export.State.FAILED, row.epoch + 1
        row.error_code = "worker_lost"
        row.error_message = f"its worker died {row.attempts} times; the last file under way is named beside this"
        row.error_data = {"file": row.file}
        export_ended(row)
        export_event(export=row)
    else:
        _queue(row)
    row.save()
    event = {"export": str(row.id), "state": row.state, "attempts": row.attempts}
    logger.warning("export reaped", extra={"event": event})


@transaction.atomic
def _ask_again(export_id: uuid.UUID) -> None:
    row = _locked(_waiting(), export_id)
    if row is not None:
        row.heartbeat_at = timezone.now()
        row.save(update_fields=["heartbeat_at"])
        enqueue_export_run(export_id=str(row.id), epoch=row.epoch)


@transaction.atomic
def _expire(export_id: uuid.UUID) -> None:
    """A finished export's files go; of one that failed what it had made goes, and its row stays as it is."""
    row = _locked(Export.objects.filter(expires_at__lt=timezone.now()), export_id)
    if row is None:
        return
    if row.state == Export.State.DONE:
        row.state = Export.State.EXPIRED
    row.expires_at = None
    export_cleanup(row)
    row.save()


@transaction.atomic
def _clean_again(export_id: uuid.UUID) -> None:
    row = _locked(Export.objects.filter(cleanup_at__lt=timezone.now()), export_id)
    if row is not None:
        export_cleanup(row)
        row.save(update_fields=["cleanup_at"])


def export_clean(*, export_id: str) -> None:
    """Remove what is left of an export that ended, and its row if a person deleted it. Again changes nothing.

    Raises: StoreUnavailable; the reaper asks again.
    """
    rows = Export.objects.filter(id=export_id, cleanup_at__isnull=False).exclude(state__in=Export.ACTIVE)
    row = rows.first()
    if row is None:
        return
    # What is whole at a destination of the people's own is theirs.
    is_theirs = bool(row.destination) and row.state == Export.State.DONE
    if not is_theirs:
        with contextlib.suppress(ConfigurationInvalid):  # the destination is gone; nothing more can be done there
            sink = export_sink(export=row)
            try:
                with sink.begin():
                    if not rows.exists():
                        return
                    sink.remove()
            except ExportBusy:
                return
    with transaction.atomic():
        found = _locked(rows, row.id)
        if found is None:
            return
        found.made_files.all().delete()
        if found.deleted_at is not None:
            found.delete()
            return
        found.cleanup_at = None
        found.save(update_fields=["cleanup_at"])


def _queue(row: Export) -> None:
    row.state, row.epoch, row.heartbeat_at = Export.State.QUEUED, row.epoch + 1, timezone.now()
    row.frames_per_s = row.bytes_per_s = 0.0
    enqueue_export_run(export_id=str(row.id), epoch=row.epoch)


def _locked(rows: QuerySet[Export], export_id: uuid.UUID) -> Export | None:
    return rows.select_for_update(skip_locked=True).filter(id=export_id).first()


def _ids(rows: QuerySet[Export]) -> list[uuid.UUID]:
    return list(rows.order_by("heartbeat_at").values_list("id", flat=True)[:AT_ONCE])


def _silent() -> QuerySet[Export]:
    before = timezone.now() - timedelta(seconds=settings.SOP_RUN_STALE_S)
    return Export.objects.filter(silent_since("heartbeat_at", before), state=Export.State.RUNNING)


def _waiting() -> QuerySet[Export]:
    before = timezone.now() - LOST_AFTER
    return Export.objects.filter(silent_since("heartbeat_at", before), state=Export.State.QUEUED)
