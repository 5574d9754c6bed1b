"""Imports of datasets as people ask for them: create, check, map, run, cancel. `dataset_import_work.py` does the work.

Nothing of an import shows in the library before it is done; then all its episodes do, in one transaction. Whatever
ends otherwise leaves nothing: archive, scratch folder and staged objects go by `dataset_import_clean`.
"""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.utils import timezone

from fleet.errors import Busy, ImportFenced, ImportNotNow, InvalidRequest, NotFound, UploadMissing
from fleet.imports.errors import MappingInvalid, ProblemsLeft
from fleet.imports.mapping import Mapping, misfits
from fleet.imports.problems import that_matter
from fleet.imports.report import Report
from fleet.imports.unpack import folder_in_roots
from fleet.models import DatasetImport
from fleet.queue import enqueue_dataset_import, enqueue_dataset_import_clean
from fleet.selectors.objects import object_store
from fleet.services.audit import audit_record
from fleet.services.revision import revision_check
from fleet.services.text import clean_text
from fleet.storage import ObjectMissing, SignedPut, keys

logger = logging.getLogger(__name__)

UPLOAD_EXPIRES_S = 24 * 3600
MAX_ATTEMPTS = 5  # of one check or run, workers killed, before the import fails and waits for a person
CLEAN_AGAIN = timedelta(minutes=10)
LOCK = 0x50_50_04  # pg_advisory_xact_lock: two requests at once must not pass the limit
_SHA256 = re.compile(r"[0-9a-f]{64}")
State = DatasetImport.State


@dataclass(frozen=True)
class Upload:
    """An archive that is to be sent: bytes and lower-case hex SHA-256."""

    size: int
    sha256: str


def dataset_import_create(
    *, user: AbstractBaseUser | None, name: str, upload: Upload | None = None, folder: str = ""
) -> tuple[DatasetImport, SignedPut | None]:
    """Create an import of an archive, and say where to PUT it, or of a folder below SOP_IMPORT_ROOTS.

    Raises: InvalidRequest; FolderRefused; Busy when SOP_IMPORT_MOST are under way.
    """
    row = DatasetImport(name=clean_text(name, field="name", limit=200) or "dataset")
    if user is not None:
        row.requested_by_id, row.requested_by_name = user.pk, user.get_username()
    if (upload is None) == (not folder):
        raise InvalidRequest("send an archive or name a folder", field="archive")
    signed = None
    if upload is None:
        row.folder = str(folder_in_roots(folder, settings.SOP_IMPORTS.roots))
    else:
        signed = _sign(row, upload)
    with transaction.atomic():
        _require_room()
        row.save(force_insert=True)
        what = {"folder": row.folder, "archive_bytes": row.archive_bytes}
        audit_record(action="import.create", subject=row, name=row.name, after=what)
    return row, signed


def _sign(row: DatasetImport, upload: Upload) -> SignedPut:
    most = settings.SOP_IMPORTS.archive_bytes
    if not 0 < upload.size <= most:
        raise InvalidRequest(
            f"an archive may have {most} bytes at most; name a folder of the server instead", field="archive"
        )
    if not _SHA256.fullmatch(upload.sha256):
        raise InvalidRequest("sha256 is 64 lower-case hex digits", field="archive")
    row.archive_bytes, row.archive_sha256 = upload.size, upload.sha256
    key = keys.import_archive(str(row.id))
    return object_store().sign_put(key, size=upload.size, sha256=upload.sha256, expires_s=UPLOAD_EXPIRES_S)


@transaction.atomic
def dataset_import_check(*, import_id: uuid.UUID, is_enqueued: bool = True) -> DatasetImport:
    """Ask for a dry run; again after a file changed. `is_enqueued`: False if the caller works at it itself.

    Raises: NotFound, ImportNotNow, UploadMissing.
    """
    row = import_lock(import_id=import_id)
    _require(row, State.CREATED, State.CHECKED)
    if not row.folder:
        try:
            size = object_store().size(keys.import_archive(str(row.id)))
        except ObjectMissing:
            size = -1
        if size != row.archive_bytes:
            raise UploadMissing("the archive has not been sent yet")
    _begin(row, State.CHECKING, is_enqueued)
    audit_record(action="import.check", subject=row, name=row.name, after={"state": row.state})
    return row


@transaction.atomic
def dataset_import_map(*, import_id: uuid.UUID, mapping: Mapping, revision: int) -> DatasetImport:
    """Replace the mapping that has `revision`. Raises: NotFound, ImportNotNow, PreconditionFailed, MappingInvalid."""
    row = import_lock(import_id=import_id)
    _require(row, State.CHECKED)
    revision_check(row.mapping_revision, expected=revision)
    require_fit(mapping, import_report(row))
    before = row.mapping
    row.mapping, row.mapping_revision = msgspec.to_builtins(mapping), revision + 1
    row.changed_at = timezone.now()
    row.save(update_fields=["mapping", "mapping_revision", "changed_at"])
    audit_record(action="import.map", subject=row, name=row.name, before=before, after=row.mapping)
    return row


@transaction.atomic
def dataset_import_run(*, import_id: uuid.UUID, revision: int | None = None, is_enqueued: bool = True) -> DatasetImport:
    """Ask for the import to be made by its mapping. `revision`: the one that was looked at.

    Raises: NotFound, ImportNotNow, PreconditionFailed; MappingInvalid; ProblemsLeft unless the mapping leaves out the
    episodes that have some; Busy while the same dataset is imported already.
    """
    row = import_lock(import_id=import_id)
    _require(row, State.CHECKED)
    if revision is not None:
        revision_check(row.mapping_revision, expected=revision)
    mapping, report = import_mapping(row), import_report(row)
    require_fit(mapping, report)
    require_sound(mapping, report)
    if DatasetImport.objects.filter(state=State.RUNNING, digest=row.digest).exists():
        raise Busy("this dataset is being imported already")
    row.converted = row.left_out = row.known = 0
    _begin(row, State.RUNNING, is_enqueued)
    audit_record(action="import.run", subject=row, name=row.name, after={"episodes": report.episodes})
    return row


@transaction.atomic
def dataset_import_cancel(*, import_id: uuid.UUID) -> DatasetImport:
    """End an import that is not done; a worker stops within seconds. Raises: NotFound, ImportNotNow."""
    row = import_lock(import_id=import_id)
    if row.state == State.CANCELLED:
        return row
    _require(row, State.CREATED, State.CHECKING, State.CHECKED, State.RUNNING)
    audit_record(action="import.cancel", subject=row, name=row.name, before={"state": row.state})
    import_end(row, State.CANCELLED)
    return row


def require_fit(mapping: Mapping, report: Report) -> None:
    """Raises: MappingInvalid with every misfit."""
    found = misfits(mapping, report)
    if found:
        raise MappingInvalid(
            f"{found[0].field}: {found[0].message}", field=found[0].field, misfits=msgspec.to_builtins(found)
        )


def require_sound(mapping: Mapping, report: Report) -> None:
    """Raises: ProblemsLeft if what the mapping reads has problems that leaving episodes out does not mend."""
    left = that_matter(report.problems, mapping.features())
    if mapping.leave_out_broken:
        left = [problem for problem in left if problem.code in ("dtype_unknown", "shape_unsupported")]
    left = [problem for problem in left if problem.code not in HARMLESS]
    if left or not report.tasks:
        count = sum(problem.count for problem in left)
        raise ProblemsLeft(
            f"the dataset has {count} problems; mend them, or leave out the episodes that have some"
            if left
            else "no episode of the dataset can be read",
            codes=sorted({problem.code for problem in left}),
        )


# Totals that nothing here rests on, and indices that are merely not there.
HARMLESS = frozenset({"count_differs", "episode_missing"})


def import_report(row: DatasetImport) -> Report:
    return msgspec.convert(row.report, Report)


def import_mapping(row: DatasetImport) -> Mapping:
    return msgspec.convert(row.mapping, Mapping)


def import_lock(*, import_id: object, epoch: int | None = None) -> DatasetImport:
    """Return the row, locked until the transaction ends; with `epoch`, only to its rightful worker.

    Raises: NotFound, ImportFenced.
    """
    try:
        row = DatasetImport.objects.select_for_update().filter(id=uuid.UUID(str(import_id))).first()
    except ValueError:
        row = None
    if row is None:
        raise NotFound("there is no such import")
    if epoch is not None and (epoch != row.epoch or row.state not in DatasetImport.ACTIVE):
        raise ImportFenced(f"epoch {epoch} of the import is over", epoch=epoch)
    return row


def import_end(row: DatasetImport, state: DatasetImport.State) -> None:
    """Bring a locked row to an end and ask for what it holds to be removed."""
    row.state, row.epoch = state, row.epoch + 1
    row.phase, row.finished_at = "", timezone.now()
    row.changed_at, row.cleanup_at = row.finished_at, row.finished_at + CLEAN_AGAIN
    row.save()
    enqueue_dataset_import_clean(import_id=str(row.id))
    logger.info("import ended", extra={"event": {"import": str(row.id), "state": state, "code": row.error_code}})


def _begin(row: DatasetImport, state: DatasetImport.State, is_enqueued: bool) -> None:
    row.state, row.epoch, row.attempts = state, row.epoch + 1, 0
    row.heartbeat_at = row.changed_at = timezone.now()
    row.phase, row.progress, row.progress_total = "", 0, 0
    row.error_code, row.error_message, row.error_data = "", "", {}
    row.save()
    if is_enqueued:
        enqueue_dataset_import(import_id=str(row.id), epoch=row.epoch)


def _require(row: DatasetImport, *states: Any) -> None:
    if row.state not in states:
        raise ImportNotNow(f"the import is {row.state}", state=row.state)


def _require_room() -> None:
    """Raises: Busy."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    most = settings.SOP_IMPORTS.most
    if DatasetImport.objects.exclude(state__in=DatasetImport.ENDED).count() >= most:
        raise Busy(f"{most} imports are under way already; finish or cancel one")
