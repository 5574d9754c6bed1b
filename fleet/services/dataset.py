"""Datasets and what people collect for their next version. Freezing is in `dataset_freeze.py`."""

from __future__ import annotations

import logging
import uuid

import msgspec
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.utils import timezone
from msgspec import UNSET, UnsetType

from fleet.access import access_episodes, coverage_of
from fleet.errors import DatasetArchived, InvalidRequest, NameTaken, NotFound, SelectionTooLarge
from fleet.models import Dataset, DatasetCandidate, DatasetVersion, Episode
from fleet.selectors.dataset_selection import Selection, selected_episodes
from fleet.services.audit import audit_record
from fleet.services.revision import revision_advance, revision_check
from fleet.services.text import clean_text

logger = logging.getLogger(__name__)

MAX_NAME = 100
MAX_TEXT = 4000
MAX_COLLECTED = 200_000  # of a dataset; a filter freezes more


class DatasetChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; what is UNSET stays."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    licence: str | UnsetType = UNSET
    is_archived: bool | UnsetType = UNSET


@transaction.atomic
def dataset_create(*, user: AbstractBaseUser, name: str, description: str = "", licence: str = "") -> Dataset:
    """Create a dataset without versions. Raises: InvalidRequest, NameTaken."""
    cleaned = _name(name)
    row = Dataset(
        name=cleaned,
        description=_text(description, "description"),
        licence=_licence(licence),
        created_by_id=user.pk,
        created_by_name=user.get_username(),
    )
    _names_lock()
    _require_free(cleaned, row.id)
    row.save(force_insert=True)
    audit_record(action="dataset.create", subject=row, name=row.name, after=_shown(row))
    logger.info("dataset created", extra={"event": {"dataset": str(row.id), "name": cleaned}})
    return row


@transaction.atomic
def dataset_change(*, dataset_id: uuid.UUID, change: DatasetChange, revision: int) -> Dataset:
    """Change what a person may edit over the revision that was read. Raises: PreconditionFailed, NameTaken, NotFound,
    InvalidRequest."""
    _names_lock()
    row = dataset_lock(dataset_id=dataset_id)
    revision_advance(row, expected=revision)
    before = _shown(row)
    if change.name is not UNSET:
        row.name = _name(change.name)
        _require_free(row.name, row.id)
    row.description = row.description if change.description is UNSET else _text(change.description, "description")
    row.licence = row.licence if change.licence is UNSET else _licence(change.licence)
    row.is_archived = row.is_archived if change.is_archived is UNSET else change.is_archived
    row.save()
    audit_record(action="dataset.change", subject=row, name=row.name, before=before, after=_shown(row))
    return row


@transaction.atomic
def dataset_version_annotate(*, version_id: uuid.UUID, notes: str, revision: int) -> DatasetVersion:
    """Write the notes of a version, all that a person may change of it. Raises: PreconditionFailed, NotFound."""
    row = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset").filter(id=version_id).first()
    if row is None:
        raise NotFound("there is no such version")
    revision_check(row.notes_revision, expected=revision)
    before = {"notes": row.notes}
    row.notes, row.notes_revision = _text(notes, "notes"), revision + 1
    row.save(update_fields=["notes", "notes_revision"])
    audit_record(
        action="dataset.annotate", subject=row, name=row.dataset.name, before=before, after={"notes": row.notes}
    )
    return row


@transaction.atomic
def dataset_collect(*, dataset_id: uuid.UUID, user: AbstractBaseUser, selection: Selection) -> int:
    """Collect episodes for the next version; return how many were new.

    Raises: NotFound, DatasetArchived, InvalidRequest, SelectionTooLarge beyond MAX_COLLECTED.
    """
    if selection.filter is None and selection.ids is None:
        raise InvalidRequest("say which episodes, by a filter or by their ids", field="ids")
    dataset = dataset_lock(dataset_id=dataset_id)
    require_open(dataset)
    rows = selected_episodes(access_episodes(user), dataset_id=dataset.id, selection=selection)
    statement, parameters = rows.select_related(None).order_by().values("id").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO fleet_datasetcandidate (dataset_id, episode_id, added_at)
            SELECT %s, e.id, %s FROM ({statement}) AS e ON CONFLICT DO NOTHING""",
            [dataset.id, timezone.now(), *parameters],
        )
        added = int(cursor.rowcount)
    if DatasetCandidate.objects.filter(dataset=dataset).count() > MAX_COLLECTED:
        raise SelectionTooLarge(
            f"a dataset collects at most {MAX_COLLECTED} episodes; freeze the filter itself", limit=MAX_COLLECTED
        )
    if added:
        audit_record(action="dataset.collect", subject=dataset, name=dataset.name, after={"added": added})
    return added


@transaction.atomic
def dataset_uncollect(*, dataset_id: uuid.UUID, user: AbstractBaseUser, ids: tuple[uuid.UUID, ...] | None) -> int:
    """Take episodes (None: all that the user sees) off what was collected; return how many. Raises: NotFound."""
    dataset = dataset_lock(dataset_id=dataset_id)
    covered = Episode.objects.filter(coverage_of(user).episodes()).values("id")
    rows = DatasetCandidate.objects.filter(dataset=dataset, episode__in=covered)
    removed, _ = (rows if ids is None else rows.filter(episode__in=ids)).delete()
    if removed:
        audit_record(action="dataset.uncollect", subject=dataset, name=dataset.name, after={"removed": removed})
    return removed


def dataset_lock(*, dataset_id: uuid.UUID) -> Dataset:
    """Return the dataset's row, locked until the transaction ends. Raises: NotFound."""
    row = Dataset.objects.select_for_update().filter(id=dataset_id).first()
    if row is None:
        raise NotFound("there is no such dataset")
    return row


def require_open(dataset: Dataset) -> None:
    """Raises: DatasetArchived."""
    if dataset.is_archived:
        raise DatasetArchived("this dataset is archived; bring it back first")


def _shown(row: Dataset) -> dict[str, object]:
    return {field: getattr(row, field) for field in ("name", "description", "licence", "is_archived")}


def dataset_notes(notes: str) -> str:
    """Return the notes of a version as they are kept. Raises: InvalidRequest."""
    return _text(notes, "notes")


def _names_lock() -> None:
    """One writer of names at a time, so that a taken name is an answer and not a database error."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [0x50_50_02])


def _require_free(name: str, own_id: uuid.UUID) -> None:
    if Dataset.objects.filter(name=name).exclude(id=own_id).exists():
        raise NameTaken(f"a dataset named '{name}' exists", field="name")


def _name(name: str) -> str:
    cleaned = clean_text(name, field="name", limit=MAX_NAME)
    if not cleaned:
        raise InvalidRequest("a dataset has a name", field="name")
    return cleaned


def _licence(licence: str) -> str:
    return clean_text(licence, field="licence", limit=100)


def _text(text: str, field: str) -> str:
    return clean_text(text, field=field, limit=MAX_TEXT, allowed="\n\t")
