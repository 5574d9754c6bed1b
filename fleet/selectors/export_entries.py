"""The episodes of an export as they were frozen, and a look at them before anything is made."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Mod

from fleet.exports.base import Entry, ExportFormat
from fleet.exports.errors import ExportRefused
from fleet.exports.survey import summarise
from fleet.models import DatasetEpisode, DatasetVersion, Episode, Export, ExportEpisode
from fleet.protocol.recording import Outcome
from fleet.selectors.dataset import DatasetEntries, dataset_episode_manifest
from fleet.selectors.objects import object_store
from fleet.storage import ObjectMissing, keys
from fleet.storage.local import LocalStore

_READERS = 8  # manifests read at once from a store that takes its time


class ExportEntries(DatasetEntries):
    """`fleet.exports.base.Episodes` of an export: of its dataset version, or frozen for it alone."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        """Open an object, of any size. Raises: FileNotFoundError, StoreUnavailable."""
        try:
            return object_store().open(keys.episode_object(episode_id, name))
        except ObjectMissing:
            raise FileNotFoundError(f"{episode_id}/{name}") from None

    def _rows(self) -> QuerySet[Any]:
        if self._export.dataset_version_id is not None:
            return DatasetEpisode.objects.filter(version=self._export.dataset_version_id)
        return ExportEpisode.objects.filter(export=self._export)


@dataclass(frozen=True, kw_only=True)
class ExportCheck:
    """What an export would hold. `source`: the dataset and its version, "" without one. `checked`: episodes that were
    read; with fewer than all, others may have problems."""

    source: str
    problems: list[str]
    episodes: int
    frames: int
    size_bytes: int
    checked: int


@dataclass(frozen=True)
class _Row:
    episode_id: uuid.UUID
    split: str
    outcome: str
    tags: list[str]
    manifest_sha256: str


def version_check(*, version: DatasetVersion, fmt: ExportFormat) -> ExportCheck:
    """Return what stands in the way of exporting a version. Raises: ObjectMismatch, InvalidManifest, StorageError."""
    places = range(0, version.episodes_count, _step(version.episodes_count))
    rows = DatasetEpisode.objects.filter(version=version, position__in=list(places)).order_by("position")
    source = f"{version.dataset.name} v{version.number}"
    return _check(source, list(rows), fmt, version.episodes_count, version.frames, version.size_bytes)


def episodes_check(*, rows: QuerySet[Episode], fmt: ExportFormat) -> ExportCheck:
    """Return what stands in the way of exporting these episodes. Raises: as `version_check`."""
    rows = rows.select_related(None).order_by()
    totals = rows.aggregate(episodes=Count("id"), frames=Sum("steps", default=0), size=Sum("size_bytes", default=0))
    sample = rows.annotate(place=Mod(F("index_seq"), _step(totals["episodes"]))).filter(place=0)
    fields = ("id", "outcome", "tags", "manifest_sha256")
    limit = settings.SOP_EXPORT_CHECK_EPISODES
    found = sample.order_by("started_at", "id").values_list(*fields)[:limit]
    chosen = [_Row(pk, "train", outcome, tags, sha256) for pk, outcome, tags, sha256 in found]
    return _check("", chosen, fmt, totals["episodes"], totals["frames"], totals["size"])


def _step(episodes: int) -> int:
    """Return n such that every n-th episode is within the limit."""
    return max(1, -(-episodes // settings.SOP_EXPORT_CHECK_EPISODES))


def _check(source: str, rows: Sequence[Any], fmt: ExportFormat, episodes: int, frames: int, size: int) -> ExportCheck:
    problems: list[str] = []
    if rows:
        with ThreadPoolExecutor(_READERS) as readers:
            try:
                problems = fmt.problems(summarise(readers.map(_entry, rows)))
            except ExportRefused as error:
                found: Any = error.data.get("problems", [error.message])
                problems = list(found)
    if episodes == 0:
        problems = ["there is no episode to export"]
    return ExportCheck(
        source=source,
        problems=[*problems, *_space_problems(size)],
        episodes=episodes,
        frames=frames,
        size_bytes=size,
        checked=len(rows),
    )


def _entry(row: Any) -> Entry:
    manifest = dataset_episode_manifest(row=row)
    return Entry(manifest=manifest, split=row.split, outcome=Outcome(row.outcome), tags=tuple(row.tags))


def _space_problems(size: int) -> list[str]:
    """An export is about as large as its episodes; a folder that cannot take them need not be tried."""
    store = object_store()
    if not isinstance(store, LocalStore):
        return []
    folder = store.folder("exports")
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return [f"the episodes have {_gb(size)}, and the store has {_gb(free)} free"] if size > free else []


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
