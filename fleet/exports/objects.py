"""Read an episode's objects, believing nothing that was not hashed. The bytes that were checked are the bytes used."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from fleet.exports.base import Entry, Episodes, object_of
from fleet.protocol.errors import InvalidEpisode, ObjectMismatch
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    EpisodeManifest,
    ObjectRecord,
    StepArrays,
    decode_manifest,
    validate_steps,
)
from fleet.protocol.steps import decode_steps

PIECE = 1024 * 1024
IN_MEMORY_BYTES = 8 * 1024 * 1024  # a larger object waits on disk


def read_object(
    episodes: Episodes, manifest: EpisodeManifest, record: ObjectRecord, scratch: Path, check: Callable[[], None]
) -> IO[bytes]:
    """Return the object's bytes, at their beginning, once they have the size and the SHA-256 of the manifest.

    Raises: ObjectMismatch if they differ or there are none; what `episodes.open` raises otherwise.
    """
    # The caller closes it.
    spool: Any = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, dir=str(scratch))  # noqa: SIM115
    try:
        digest, left = hashlib.sha256(), record.size + 1
        with episodes.open(manifest.episode_id, record.name) as source:
            while left > 0 and (piece := source.read(min(PIECE, left))):
                check()
                digest.update(piece)
                spool.write(piece)
                left -= len(piece)
        if left != 1 or digest.hexdigest() != record.sha256:
            raise _mismatch(manifest, record, "differs from its manifest in size or SHA-256")
    except FileNotFoundError:
        spool.close()
        raise _mismatch(manifest, record, "is missing") from None
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    found: IO[bytes] = spool
    return found


def read_steps(manifest: EpisodeManifest, open_: Callable[[EpisodeManifest, ObjectRecord], IO[bytes]]) -> StepArrays:
    """Return an episode's checked steps. Raises: ObjectMismatch, InvalidEpisode, with the episode's id."""
    with open_(manifest, object_of(manifest, STEPS_OBJECT)) as file:
        data = file.read()
    try:
        steps = decode_steps(data)
        validate_steps(steps, manifest)
    except InvalidEpisode as error:
        raise InvalidEpisode(
            f"episode {manifest.episode_id}: {error.message}", **error.data, episode_id=manifest.episode_id
        ) from None
    return steps


class FolderEpisodes:
    """Episodes as recorded: `<root>/<episode_id>/manifest.json` and the objects beside it, ordered by id."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __iter__(self) -> Iterator[Entry]:
        for path in sorted(self._root.glob(f"*/{MANIFEST_OBJECT}")):
            yield Entry(manifest=decode_manifest(path.read_bytes()))

    def open(self, episode_id: str, name: str) -> IO[bytes]:
        return (self._root / episode_id / name).open("rb")


def _mismatch(manifest: EpisodeManifest, record: ObjectRecord, problem: str) -> ObjectMismatch:
    return ObjectMismatch(
        f"object '{record.name}' of episode {manifest.episode_id} {problem}",
        episode_id=manifest.episode_id,
        object=record.name,
    )
