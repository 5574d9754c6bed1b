"""Statistics of a frozen version from its episodes' steps, in bounded pieces by `fleet.dataset_describe`.

A piece reads some episodes, adds them to what the row holds and moves on; the row says how far the reading has come, so
a worker that dies loses one piece, and two workers never count an episode twice. An episode whose objects cannot be
read is counted and named, and does not stop the rest.
"""

from __future__ import annotations

import logging
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from fleet.exports.objects import read_object, read_steps
from fleet.exports.stats import aggregate_stats
from fleet.models import DatasetEpisode, DatasetVersion
from fleet.protocol.errors import RecordingError
from fleet.queue import enqueue_dataset_describe
from fleet.selectors.dataset import dataset_entries, dataset_episode_manifest
from fleet.selectors.silence import silent_since
from fleet.services.dataset_card import dataset_card
from fleet.storage import ObjectMissing
from fleet.storage.base import StoreUnavailable

logger = logging.getLogger(__name__)

PIECE_EPISODES = 1000
PIECE_S = 20.0  # far below the task's time limit
MAX_PROBLEMS = 20  # named; the rest is counted
MAX_FEATURES = 16  # kinds of robots in one dataset, times two
MAX_ATTEMPTS = 30  # in a row without a single answer of the store
_STALE_S = 60.0
_PAGE = 100

Array = np.ndarray[Any, Any]


def dataset_describe(*, version_id: str, budget_s: float = PIECE_S) -> bool:
    """Read the next piece of a version's episodes; return whether nothing is left. Raises: StoreUnavailable."""
    version = DatasetVersion.objects.select_related("dataset").filter(id=uuid.UUID(version_id)).first()
    if version is None or version.state == DatasetVersion.State.READY:
        return True
    begin = int(version.statistics["steps_read"]["episodes"])
    reading = _Reading(version)
    try:
        end = reading.read(begin, until=time.monotonic() + budget_s)
    except StoreUnavailable:
        _note_silence(version.id, begin)
        raise
    return _add(version.id, begin, end, reading)


def datasets_reap() -> None:
    """Enqueue again what has shown no sign of life for a minute."""
    stale = timezone.now() - timedelta(seconds=_STALE_S)
    rows = DatasetVersion.objects.filter(silent_since("described_at", stale), state=DatasetVersion.State.DESCRIBING)
    for version_id in list(rows.order_by("described_at").values_list("id", flat=True)[:10]):
        with transaction.atomic():
            rows.filter(id=version_id).update(described_at=timezone.now())
            enqueue_dataset_describe(version_id=str(version_id))


class _Reading:
    """What one piece learns. Raises StoreUnavailable only before the first answer of the store."""

    def __init__(self, version: DatasetVersion) -> None:
        self._version = version
        self._entries = dataset_entries(version=version)
        self.features: dict[tuple[str, tuple[str, ...]], list[dict[str, Any]]] = {}
        self.problems: list[dict[str, str]] = []

    def read(self, begin: int, *, until: float) -> int:
        """Read episodes from position `begin` on; return the position after the last one."""
        end = begin
        with tempfile.TemporaryDirectory(prefix="sop-describe-") as scratch:
            for row in self._rows(begin):
                try:
                    self._read_one(row, Path(scratch))
                except (RecordingError, ObjectMissing) as error:
                    self.problems.append({"episode": str(row.episode_id), "code": error.code, "detail": error.message})
                except StoreUnavailable:
                    if end == begin:
                        raise
                    return end
                end = row.position + 1
                if time.monotonic() >= until:
                    return end
        return end

    def _rows(self, begin: int) -> Iterator[DatasetEpisode]:
        rows = DatasetEpisode.objects.filter(version=self._version).order_by("position")
        for start in range(begin, begin + PIECE_EPISODES, _PAGE):
            yield from rows.filter(position__gte=start, position__lt=start + _PAGE)

    def _read_one(self, row: DatasetEpisode, scratch: Path) -> None:
        manifest = dataset_episode_manifest(row=row)
        steps = read_steps(manifest, lambda m, record: read_object(self._entries, m, record, scratch, _go_on))
        self._note("action", manifest.action_names, steps["action"])
        self._note("observation.state", manifest.proprio_names, steps["observation.state"])

    def _note(self, name: str, axes: tuple[str, ...], values: Array) -> None:
        exact = values.astype(np.float64)
        stats = {kind: getattr(exact, kind)(axis=0).tolist() for kind in ("min", "max", "mean", "std")}
        self.features.setdefault((name, axes), []).append(stats | {"count": [len(exact)]})


def _go_on() -> None:
    """Nobody cancels a piece; it ends by itself."""


@transaction.atomic
def _add(version_id: uuid.UUID, begin: int, end: int, reading: _Reading) -> bool:
    """Add a piece to the row, unless another worker has added it."""
    version = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset").get(id=version_id)
    seen = version.statistics
    if version.state == DatasetVersion.State.READY:
        return True
    if seen["steps_read"]["episodes"] != begin:
        return False  # who was quicker has enqueued the next piece
    merged = {(feature["name"], tuple(feature["axes"])): feature for feature in seen["features"]}
    for key, stats in reading.features.items():
        if key in merged or len(merged) < MAX_FEATURES:
            merged[key] = _merged(key, merged.get(key), stats)
    read = seen["steps_read"]
    seen["features"] = list(merged.values())
    seen["steps_read"] = {
        "episodes": end,
        "unreadable": read["unreadable"] + len(reading.problems),
        "problems": (read["problems"] + reading.problems)[:MAX_PROBLEMS],
    }
    is_done = end >= version.episodes_count
    _save(version, is_done=is_done)
    if not is_done:
        enqueue_dataset_describe(version_id=str(version.id))
    return is_done


def _save(version: DatasetVersion, *, is_done: bool) -> None:
    version.described_at = timezone.now()
    if is_done:
        version.state = DatasetVersion.State.READY
        version.card = dataset_card(version=version)
        logger.info("dataset described", extra={"event": {"version": str(version.id)}})
    version.save(update_fields=["statistics", "state", "card", "described_at"])


def _merged(
    key: tuple[str, tuple[str, ...]], before: dict[str, Any] | None, stats: list[dict[str, Any]]
) -> dict[str, Any]:
    kinds = ("min", "max", "mean", "std")
    earlier = [{kind: before[kind] for kind in kinds} | {"count": [before["frames"]]}] if before else []
    found = aggregate_stats({"it": each} for each in (*earlier, *stats))["it"]
    episodes = (before["episodes"] if before else 0) + len(stats)
    values = {kind: found[kind] for kind in kinds}
    return {"name": key[0], "axes": list(key[1]), "episodes": episodes, "frames": found["count"][0], **values}


@transaction.atomic
def _note_silence(version_id: uuid.UUID, begin: int) -> None:
    """Count a try without an answer; after too many the version is ready without the rest of its statistics."""
    version = DatasetVersion.objects.select_for_update(of=("self",)).select_related("dataset").get(id=version_id)
    read = version.statistics["steps_read"]
    if version.state == DatasetVersion.State.READY or read["episodes"] != begin:
        return
    read["attempts"] = read.get("attempts", 0) + 1
    is_over = read["attempts"] >= MAX_ATTEMPTS
    if is_over:
        read["unreadable"] += version.episodes_count - begin
        read["problems"] = [*read["problems"], {"episode": "", "code": "store_unavailable", "detail": "no answer"}]
    _save(version, is_done=is_over)
