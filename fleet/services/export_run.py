"""Makes one export, called by a worker. What asks for it is `export.py`, what looks after it `export_reap.py`."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Iterator

import msgspec
from django.db import transaction
from django.utils import timezone

from fleet.errors import ExportFenced
from fleet.exports.base import Control, DatasetInfo, MadeFile
from fleet.exports.errors import ExportBusy, ExportError
from fleet.exports.registry import export_format
from fleet.exports.runner import SUMS, run_export
from fleet.exports.tar import tar_next, tar_size
from fleet.models import Export, ExportFile
from fleet.protocol.errors import InvalidEpisode, InvalidManifest, ObjectMismatch, SopError
from fleet.queue import enqueue_export_run
from fleet.selectors.export_entries import ExportEntries
from fleet.services.export import export_cleanup, export_ended
from fleet.services.export_sinks import export_sink
from fleet.services.export_watch import ExportWatch
from fleet.services.webhook_event import export_event
from fleet.storage import ConfigurationInvalid

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 8  # workers killed or stores that do not answer, before it fails and waits for a person
_RETRY_S, _RETRY_MOST_S = 5.0, 300.0
_FINAL = (ExportError, InvalidEpisode, InvalidManifest, ObjectMismatch, ConfigurationInvalid)  # again, the same
_ROWS = 2000


def export_run(*, export_id: str, epoch: int) -> None:
    """Make the export, going on after the last finished file of an earlier attempt; its row says what came of it.

    A message that came twice, or for an epoch that is over, does nothing.
    """
    row = _claim(uuid.UUID(export_id), epoch)
    if row is None:
        return
    with ExportWatch(row.id, epoch) as watch:
        try:
            _make(row, watch)
        except (ExportFenced, ExportBusy) as error:
            # Whoever has it goes on; if nobody has, the reaper finds it silent.
            logger.warning(
                "export left to another worker", extra={"event": {"export": str(row.id), "code": error.code}}
            )
        except Exception as error:  # whatever it is, the row must say so
            _broke_off(row, watch, error)


def _make(row: Export, watch: ExportWatch) -> None:
    done = run_export(
        export_format(row.format, row.options),
        msgspec.convert(row.info, DatasetInfo),
        ExportEntries(row),
        export_sink(export=row),
        Control(
            on_progress=watch.note,
            is_cancelled=watch.is_cancelled,
            on_files=lambda files: _keep_files(row, files),
        ),
    )
    with transaction.atomic():
        _lock(row)
        row.state, row.resumed_files = Export.State.DONE, done.resumed_files if done else row.resumed_files
        row.frames, row.bytes_read = row.frames_total, row.bytes_total
        export_ended(row)
        row.save()
        export_event(export=row)
    event = {"export": str(row.id), "files": row.files, "bytes": row.size_bytes, "resumed_files": row.resumed_files}
    logger.info("export done", extra={"event": event})


def _claim(export_id: uuid.UUID, epoch: int) -> Export | None:
    """Return the row if it waits for this epoch's worker, with the attempt counted."""
    with transaction.atomic():
        row = Export.objects.select_for_update().filter(id=export_id, epoch=epoch, state=Export.State.QUEUED).first()
        if row is None:
            return None
        row.state, row.attempts, row.heartbeat_at = Export.State.RUNNING, row.attempts + 1, timezone.now()
        row.started_at = row.started_at or row.heartbeat_at
        row.save(update_fields=["state", "attempts", "heartbeat_at", "started_at"])
    return row


def _lock(row: Export) -> None:
    """Take over what the row holds now, locked. Raises: ExportFenced unless this epoch still has it."""
    found = Export.objects.select_for_update().filter(id=row.id, epoch=row.epoch, state=Export.State.RUNNING).first()
    if found is None:
        raise ExportFenced("another worker has this export")
    row.__dict__.update({field.attname: getattr(found, field.attname) for field in Export._meta.concrete_fields})


@transaction.atomic
def _keep_files(row: Export, files: Iterator[MadeFile]) -> None:
    """Write down every file with its place in the tar stream, and what they amount to."""
    _lock(row)
    row.made_files.all().delete()
    count = size = offset = 0
    while batch := list(itertools.islice(files, _ROWS)):
        made = []
        for file in batch:
            made.append(ExportFile(export=row, tar_offset=offset, **file._asdict()))
            offset = tar_next(f"{row.folder}/{file.name}", file.size, offset)
            size += file.size
            if file.name == SUMS:
                row.sha256 = file.sha256
        ExportFile.objects.bulk_create(made)
        count += len(made)
    row.files, row.size_bytes, row.tar_bytes = count, size, tar_size(offset)
    row.save(update_fields=["files", "size_bytes", "tar_bytes", "sha256"])


def _broke_off(row: Export, watch: ExportWatch, error: Exception) -> None:
    """Write what became of it: cancelled, failed, or queued again after a while."""
    try:
        with transaction.atomic():
            _lock(row)
            if watch.was_cancelled:
                row.state = Export.State.CANCELLED
            elif isinstance(error, _FINAL) or row.attempts >= MAX_ATTEMPTS:
                _fail(row, error)
            else:
                _again(row)
            if row.state != Export.State.QUEUED:
                export_ended(row)
                row.made_files.all().delete()
            if row.state == Export.State.CANCELLED or isinstance(error, _FINAL):
                export_cleanup(row)  # the runner removed it, unless the store did not answer
            row.save()
            if row.state == Export.State.FAILED:
                export_event(export=row)
    except ExportFenced:
        return
    code = error.code if isinstance(error, SopError) else "internal"
    is_expected = isinstance(error, SopError)
    event = {"export": str(row.id), "state": row.state, "code": code, "attempts": row.attempts}
    logger.warning("export broke off", extra={"event": event}, exc_info=None if is_expected else error)


def _fail(row: Export, error: Exception) -> None:
    """An error that nobody foresaw is named, not shown: its trace is in the log."""
    row.state = Export.State.FAILED
    if isinstance(error, SopError):
        row.error_code, row.error_message = error.code[:100], error.message[:2000]
        row.error_data = msgspec.to_builtins(error.data)
    else:
        row.error_code, row.error_message = "internal", f"{type(error).__name__}: the worker's log says more"


def _again(row: Export) -> None:
    """A new epoch, so that a message on its way twice counts once."""
    row.state, row.epoch, row.heartbeat_at = Export.State.QUEUED, row.epoch + 1, timezone.now()
    row.frames_per_s = row.bytes_per_s = 0.0
    delay_s = min(_RETRY_MOST_S, _RETRY_S * 2 ** (row.attempts - 1))
    enqueue_export_run(export_id=str(row.id), epoch=row.epoch, delay_s=delay_s)
