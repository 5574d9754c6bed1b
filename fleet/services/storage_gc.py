"""Removes objects that no row names: what failed uploads, killed publications and replaced checkpoints left behind.

Called by `manage.py store_gc` and by the settings page. Never younger than an hour, because an upload comes before its
row; and never without looking at the rows again under the registration lock (services/storage_guard.py).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from fleet.errors import InvalidRequest
from fleet.models import StorageState
from fleet.selectors.objects import object_store
from fleet.selectors.storage import KINDS, Kind
from fleet.services.audit import audit_record
from fleet.services.storage_guard import collection_count, registration_lock
from fleet.storage import ObjectStore, StoredObject, keys

logger = logging.getLogger(__name__)

YOUNGEST = timedelta(hours=1)
DEFAULT_AGE = timedelta(hours=24)
OTHER = "other"
_BATCH = 500  # keys that the rows are asked about at once
_AT_ONCE = 50  # objects removed while registrations wait
_EXAMPLES = 5


@dataclass
class KindReport:
    """Of one kind of objects: all, those that no row names, of these those too young to touch, and those removed."""

    kind: str
    objects: int = 0
    bytes: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    young: int = 0
    removed: int = 0
    removed_bytes: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class GcReport:
    """`incoming`: what is left of uploads that never finished. `is_dry`: nothing was removed."""

    is_dry: bool
    older_than_s: float
    kinds: list[KindReport]
    incoming: int = 0
    incoming_bytes: int = 0

    @property
    def orphans(self) -> int:
        return sum(kind.orphans for kind in self.kinds) + self.incoming

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def storage_collect(
    *,
    is_dry: bool = True,
    older_than: timedelta = DEFAULT_AGE,
    now: datetime | None = None,
    progress: Callable[[str], object] = lambda _: None,
) -> GcReport:
    """Find what no row names, remove it unless `is_dry`, and keep the report. Raises: InvalidRequest, StoreUnavailable.

    Younger than `older_than` is left alone. An object that goes or comes meanwhile is counted or not.
    """
    if older_than < YOUNGEST:
        raise InvalidRequest("nothing younger than 1 h is removed: uploads come before their rows", field="older_than")
    now = now or timezone.now()
    store, before = object_store(), now - older_than
    report = GcReport(is_dry=is_dry, older_than_s=older_than.total_seconds(), kinds=[])
    for kind in KINDS:
        progress(kind.name)
        report.kinds.append(_collect_kind(store, kind, before, is_dry=is_dry))
    report.kinds.append(_count_others(store))
    swept = store.sweep(before=before, is_dry=is_dry)
    report.incoming, report.incoming_bytes = swept.count, swept.size
    _keep_collection(report, now)
    logger.info("store collected", extra={"event": {"dry": is_dry, "orphans": report.orphans}})
    return report


@transaction.atomic
def _keep_collection(report: GcReport, now: datetime) -> None:
    StorageState.objects.update_or_create(id=1, defaults={"gc_at": now, "gc_report": report.as_json()})
    if not report.is_dry:
        removed = {kind.kind: kind.removed for kind in report.kinds if kind.removed}
        audit_record(
            action="storage.collect", kind="storage", name="object store", after={**removed, "pieces": report.incoming}
        )


def _collect_kind(store: ObjectStore, kind: Kind, before: datetime, *, is_dry: bool) -> KindReport:
    report = KindReport(kind.name)
    for batch in _batches(store.scan(kind.prefix), _BATCH):
        report.objects += len(batch)
        report.bytes += sum(found.size for found in batch)
        named = kind.named([found.key for found in batch])
        orphans = [found for found in batch if found.key not in named]
        doomed = [found for found in orphans if found.modified_at < before]
        report.young += len(orphans) - len(doomed)
        report.orphans += len(doomed)
        report.orphan_bytes += sum(found.size for found in doomed)
        report.examples += [found.key for found in doomed[: _EXAMPLES - len(report.examples)]]
        for chunk in _batches(doomed if not is_dry else (), _AT_ONCE):
            removed = _remove(store, kind, chunk)
            report.removed += len(removed)
            report.removed_bytes += sum(found.size for found in removed)
    return report


@transaction.atomic
def _remove(store: ObjectStore, kind: Kind, chunk: list[StoredObject]) -> list[StoredObject]:
    """Ask the rows once more, while no row can come, and remove what they still do not name."""
    registration_lock()
    named = kind.named([found.key for found in chunk])
    removed = [found for found in chunk if found.key not in named]
    if removed:
        collection_count()
    for found in removed:
        store.delete(found.key)
    return removed


def _count_others(store: ObjectStore) -> KindReport:
    """Count what no kind knows of; it is nobody's to remove."""
    report, known = KindReport(OTHER), tuple(kind.prefix for kind in KINDS)
    for found in store.scan():
        if not found.key.startswith(known) and found.key != keys.READY:
            report.objects += 1
            report.bytes += found.size
    return report


def _batches(found: Iterable[StoredObject], size: int) -> Iterator[list[StoredObject]]:
    every = iter(found)
    while batch := list(itertools.islice(every, size)):
        yield batch
