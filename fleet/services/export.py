"""Exports as people ask for them: request, cancel, retry, delete. `export_run.py` makes them."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from fleet.access import access_episodes
from fleet.errors import Busy, DatasetNotReady, ExportNotNow, InvalidRequest, NotFound, SelectionTooLarge
from fleet.exports.base import DatasetInfo, ExportFormat
from fleet.exports.errors import ExportEmpty, ExportRefused
from fleet.exports.registry import export_format
from fleet.models import DatasetVersion, Episode, Export
from fleet.queue import enqueue_export_clean, enqueue_export_run
from fleet.selectors.dataset import dataset_info
from fleet.selectors.dataset_selection import Selection, columns_of, selected_episodes
from fleet.selectors.export_entries import ExportCheck, episodes_check, version_check
from fleet.services.audit import audit_record
from fleet.services.text import clean_text

logger = logging.getLogger(__name__)

DIGEST_FORMAT = "sop-export-1"  # of episodes that were frozen for an export alone
CLEAN_AGAIN = timedelta(minutes=10)
_PAGE = 5000
_NO_DATASET = uuid.UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class ExportAsked:
    """What to export, one of the two, and how. `query`: the selection as JSON; `name`: of what has no version."""

    version_id: uuid.UUID | None = None
    selection: Selection | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    destination: str = ""


def export_check(*, user: AbstractBaseUser, asked: ExportAsked) -> ExportCheck:
    """Return what the export would hold and everything that stands in its way; nothing is queued.

    Raises: UnknownFormat, OptionInvalid, InvalidRequest, NotFound, DatasetNotReady; StorageError, and ObjectMismatch or
    InvalidManifest with `data["episode_id"]` for an episode that is damaged in the store.
    """
    fmt = _format(asked)
    if asked.version_id is not None:
        return version_check(version=_version(asked.version_id), fmt=fmt)
    return episodes_check(rows=_selected(user, asked), fmt=fmt)


def export_request(*, user: AbstractBaseUser, asked: ExportAsked) -> Export:
    """Check, freeze and queue an export.

    Raises: as `export_check`; ExportEmpty; ExportRefused with every problem found; SelectionTooLarge; Busy when
    SOP_EXPORT_MOST wait or run. Nothing is queued then.
    """
    check = export_check(user=user, asked=asked)
    if check.episodes == 0:
        raise ExportEmpty("there is no episode to export")
    if check.problems:
        raise ExportRefused(check.problems[0], problems=check.problems)
    limit = settings.SOP_DATASET_EPISODES
    if check.episodes > limit:
        raise SelectionTooLarge(f"an export holds at most {limit} episodes, not {check.episodes}", limit=limit)
    with transaction.atomic():
        _require_room()
        row = _of_version(asked) if asked.version_id is not None else _of_selection(user, asked)
        row.requested_by_id, row.requested_by_name = user.pk, user.get_username()
        row.save()
        after = {"format": row.format, "episodes": row.episodes, "destination": row.destination, "query": row.query}
        audit_record(action="export.request", subject=row, name=row.folder, after=after)
        enqueue_export_run(export_id=str(row.id), epoch=row.epoch)
    event = {"export": str(row.id), "format": row.format, "episodes": row.episodes, "by": row.requested_by_name}
    logger.info("export requested", extra={"event": event})
    return row


@transaction.atomic
def export_cancel(*, export_id: uuid.UUID) -> Export:
    """Cancel a waiting export at once, a running one within a second; one that is cancelled stays as it is.

    Raises: NotFound, ExportNotNow.
    """
    row = export_lock(export_id=export_id)
    if row.state == Export.State.CANCELLED:
        return row
    _require(row, *Export.ACTIVE)
    if row.cancel_requested_at is None:
        audit_record(action="export.cancel", subject=row, name=row.folder, after={"state": row.state})
    row.cancel_requested_at = row.cancel_requested_at or timezone.now()
    if row.state == Export.State.QUEUED:
        row.state, row.epoch = Export.State.CANCELLED, row.epoch + 1
        export_ended(row)
        export_cleanup(row)
    row.save()
    return row


@transaction.atomic
def export_retry(*, export_id: uuid.UUID) -> Export:
    """Queue a failed, cancelled or expired export again; what a failed one has finished is kept.

    Raises: NotFound, ExportNotNow, Busy.
    """
    _require_room()
    row = export_lock(export_id=export_id)
    _require(row, Export.State.FAILED, Export.State.CANCELLED, Export.State.EXPIRED)
    before = {"state": row.state}
    row.made_files.all().delete()
    row.state, row.epoch, row.attempts = Export.State.QUEUED, row.epoch + 1, 0
    row.cancel_requested_at = row.finished_at = row.expires_at = row.cleanup_at = None
    row.files = row.size_bytes = row.tar_bytes = None
    row.frames = row.bytes_read = row.resumed_files = 0
    row.sha256 = row.error_code = row.error_message = row.file = ""
    row.error_data, row.heartbeat_at = {}, timezone.now()
    row.save()
    audit_record(action="export.retry", subject=row, name=row.folder, before=before, after={"state": row.state})
    enqueue_export_run(export_id=str(row.id), epoch=row.epoch)
    return row


@transaction.atomic
def export_delete(*, export_id: uuid.UUID) -> None:
    """Take an export off the list and remove its files; what went to a destination stays there.

    Raises: NotFound, ExportNotNow while it waits or runs.
    """
    row = export_lock(export_id=export_id)
    _require(row, *(state for state in Export.State if state not in Export.ACTIVE))
    row.deleted_at = timezone.now()
    audit_record(action="export.delete", subject=row, name=row.folder, before={"state": row.state})
    export_cleanup(row)
    row.save()


def export_lock(*, export_id: uuid.UUID) -> Export:
    """Return the export's row, locked until the transaction ends. Raises: NotFound."""
    row = Export.objects.select_for_update().filter(id=export_id, deleted_at=None).first()
    if row is None:
        raise NotFound("there is no such export")
    return row


def export_ended(row: Export) -> None:
    """Set when it ended and when it goes; the caller has set its state and saves it.

    At a destination of the people's own a finished export stays for as long as they like.
    """
    row.finished_at = timezone.now()
    stays = row.state == Export.State.DONE and row.destination
    row.expires_at = None if stays else row.finished_at + timedelta(days=settings.SOP_EXPORT_KEEP_DAYS)
    row.file, row.frames_per_s, row.bytes_per_s = "", 0.0, 0.0


def export_cleanup(row: Export) -> None:
    """Ask for what is left of it to be removed; the caller saves it."""
    row.cleanup_at = timezone.now() + CLEAN_AGAIN
    enqueue_export_clean(export_id=str(row.id))


def _require(row: Export, *states: str) -> None:
    if row.state not in states:
        raise ExportNotNow(f"the export is {row.state}", state=row.state)


def _require_room() -> None:
    """One at a time, or two requests pass the limit. Raises: Busy."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [0x50_50_03])
    if Export.objects.filter(state__in=Export.ACTIVE).count() >= settings.SOP_EXPORT_MOST:
        raise Busy(f"{settings.SOP_EXPORT_MOST} exports wait or run already; cancel one or come back later")


def _format(asked: ExportAsked) -> ExportFormat:
    if (asked.version_id is None) == (asked.selection is None):
        raise InvalidRequest("name a dataset version, or select episodes", field="dataset_version")
    if asked.destination and asked.destination not in settings.SOP_EXPORT_DESTINATIONS:
        raise InvalidRequest("this destination is not configured", field="destination")
    return export_format(asked.format, asked.options)


def _version(version_id: uuid.UUID) -> DatasetVersion:
    version = DatasetVersion.objects.select_related("dataset").filter(id=version_id).first()
    if version is None:
        raise NotFound("there is no such dataset version")
    if version.state != DatasetVersion.State.READY:
        raise DatasetNotReady("the version's statistics are still being read; try again in a moment")
    return version


def _selected(user: AbstractBaseUser, asked: ExportAsked) -> QuerySet[Episode]:
    assert asked.selection is not None
    return selected_episodes(access_episodes(user), dataset_id=_NO_DATASET, selection=asked.selection)


def _new(asked: ExportAsked, info: DatasetInfo, label: str) -> Export:
    row = Export(format=asked.format, options=dict(asked.options), destination=asked.destination)
    row.info = msgspec.to_builtins(info)
    row.folder = f"{_slug(label)}-{asked.format}-{row.id.hex[:8]}"
    row.heartbeat_at = row.created_at
    return row


def _of_version(asked: ExportAsked) -> Export:
    assert asked.version_id is not None
    version = _version(asked.version_id)
    row = _new(asked, dataset_info(version=version), f"{version.dataset.name}-v{version.number}")
    row.dataset_version = version
    row.episodes, row.frames_total, row.bytes_total = version.episodes_count, version.frames, version.size_bytes
    return row


def _of_selection(user: AbstractBaseUser, asked: ExportAsked) -> Export:
    """Freeze the selected episodes, as their labels are now, by one statement."""
    name = clean_text(asked.name, field="name", limit=100) or "episodes"
    row = _new(asked, DatasetInfo(name=name), name)
    row.query = dict(asked.query)
    row.episodes, row.frames_total, row.bytes_total = 1, 0, 0
    row.save()
    statement, parameters = columns_of(_selected(user, asked))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO fleet_exportepisode
                (export_id, position, episode_id, split, outcome, tags, manifest_sha256)
            SELECT %s, ROW_NUMBER() OVER (ORDER BY e.started_at, e.id) - 1, e.id, 'train',
                   e.outcome, e.tags, e.manifest_sha256
            FROM ({statement}) AS e""",
            [row.id, *parameters],
        )
    found = row.entries.aggregate(n=Count("id"), frames=Sum("episode__steps"), size=Sum("episode__size_bytes"))
    if not found["n"]:
        raise ExportEmpty("there is no episode to export")
    row.episodes, row.frames_total, row.bytes_total = found["n"], found["frames"], found["size"]
    row.info = msgspec.to_builtins(DatasetInfo(name=name, digest=_digest(row)))
    return row


def _digest(row: Export) -> str:
    """Return the SHA-256 of the frozen entries, as JSON lines."""
    encode = msgspec.json.Encoder(order="sorted").encode
    digest = hashlib.sha256(encode({"format": DIGEST_FORMAT}) + b"\n")
    names = ("episode_id", "manifest_sha256", "split", "outcome", "tags")
    for episode_id, manifest_sha256, split, outcome, tags in (
        row.entries.order_by("position").values_list(*names).iterator(chunk_size=_PAGE)
    ):
        digest.update(encode([str(episode_id), manifest_sha256, split, outcome, sorted(tags)]) + b"\n")
    return digest.hexdigest()


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60] or "episodes"
