"""A frozen version of a dataset as exports and the learner read it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import IO

from django.db.models import QuerySet

from fleet.exports.base import DatasetInfo, Entry
from fleet.models import DatasetEpisode, DatasetVersion, ExportEpisode
from fleet.protocol.errors import InvalidManifest, ObjectMismatch
from fleet.protocol.recording import MANIFEST_OBJECT, EpisodeManifest, Outcome
from fleet.selectors.episode_recording import stored_manifest
from fleet.selectors.objects import object_store
from fleet.storage import ObjectMissing, keys

_PAGE = 200


class DatasetEntries:
    """`fleet.exports.base.Episodes` of a version: splits one after the other, in each by time of recording.

    Iterating raises ObjectMismatch or InvalidManifest, with `data["episode_id"]`, when the stored manifest is not the
    one that was frozen; StorageError when the store does not answer. Memory does not grow with the version.
    """

    def __init__(self, version: DatasetVersion, splits: Collection[str] | None = None) -> None:
        self._version = version
        self._splits = splits

    def __len__(self) -> int:
        return self._rows().count()

    def __iter__(self) -> Iterator[Entry]:
        after = -1
        while rows := list(self._rows().filter(position__gt=after).order_by("position")[:_PAGE]):
            for row in rows:
                yield Entry(
                    manifest=dataset_episode_manifest(row=row),
                    split=row.split,
                    outcome=Outcome(row.outcome),
                    tags=tuple(row.tags),
                )
            after = rows[-1].position

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        """Open an object for reading, to be closed. Raises: FileNotFoundError, StoreUnavailable; ObjectMissing."""
        try:
            return object_store().open(keys.episode_object(episode_id, name))
        except ObjectMissing as error:
            raise FileNotFoundError(error.message) from None

    def _rows(self) -> QuerySet[DatasetEpisode]:
        found = DatasetEpisode.objects.filter(version=self._version)
        return found if self._splits is None else found.filter(split__in=self._splits)


def dataset_entries(*, version: DatasetVersion, splits: Collection[str] | None = None) -> DatasetEntries:
    """Return the episodes of a version, or of some of its splits, as they were frozen."""
    return DatasetEntries(version, splits)


def dataset_info(*, version: DatasetVersion) -> DatasetInfo:
    """Return what an export writes about the dataset itself. Exports take versions in state "ready": the card is
    complete then."""
    parts = (version.dataset.description, version.notes, version.card)
    return DatasetInfo(
        name=version.dataset.name,
        version=str(version.number),
        digest=version.digest,
        licence=version.dataset.licence,
        card="\n\n".join(part for part in parts if part),
    )


def dataset_episode_manifest(*, row: DatasetEpisode | ExportEpisode) -> EpisodeManifest:
    """Return the manifest that was frozen. Raises: see DatasetEntries."""
    episode_id = str(row.episode_id)
    try:
        return stored_manifest(key=keys.episode_object(episode_id, MANIFEST_OBJECT), sha256=row.manifest_sha256)
    except ObjectMissing:
        raise ObjectMismatch(f"episode {episode_id}: its manifest is missing", episode_id=episode_id) from None
    except (InvalidManifest, ObjectMismatch) as error:
        raise type(error)(f"episode {episode_id}: {error.message}", **error.data, episode_id=episode_id) from None
