"""One pass over a dataset's manifests: spools them to disk, counts, and notes what differs between episodes.

Later passes read the spool instead of asking the caller again: it is frozen, cheap, and its hash is part of what
tells a resumed export from another one.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from uuid import UUID

import msgspec

from fleet.exports.base import Entry, Episodes, Summary
from fleet.exports.errors import ExportEmpty, ExportRefused
from fleet.protocol.errors import InvalidManifest
from fleet.protocol.recording import EpisodeManifest, validate_manifest

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Entry).decode
MAX_PROBLEMS = 20  # named in full; the rest is counted


def survey(episodes: Episodes, spool: Path) -> tuple[Summary, str]:
    """Write the entries to `spool` and return what they hold and the spool's SHA-256.

    Raises: ExportEmpty; ExportRefused (an episode twice, splits mixed); InvalidManifest naming the episode.
    """
    counts = _Counts()
    digest = hashlib.sha256()
    with spool.open("wb") as file:
        for entry in episodes:
            counts.add(entry)
            line = _encode(entry) + b"\n"
            digest.update(line)
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return counts.summary(), digest.hexdigest()


def summarise(entries: Iterable[Entry]) -> Summary:
    """Return what entries hold, without keeping them. Raises: as `survey`."""
    counts = _Counts()
    for entry in entries:
        counts.add(entry)
    return counts.summary()


def read_spool(spool: Path) -> Iterator[Entry]:
    with spool.open("rb") as file:
        for line in file:
            yield _decode(line)


class _Counts:
    """Grows with the number of episodes by their ids alone (16 bytes each), to find one that is there twice."""

    def __init__(self) -> None:
        self._ids: set[bytes] = set()
        self._first: EpisodeManifest | None = None
        self._frames = self._human = self._bytes = self._successes = 0
        self._tasks: dict[str, None] = {}
        self._splits: Counter[str] = Counter()
        self._last_split = ""
        self._drivers: set[str] = set()
        self._variants: dict[str, dict[Hashable, tuple[int, str]]] = {}

    def add(self, entry: Entry) -> None:
        manifest = entry.manifest
        self._check(entry)
        self._first = self._first or manifest
        self._ids.add(UUID(manifest.episode_id).bytes)
        self._frames += manifest.steps
        self._human += manifest.human_steps
        self._bytes += sum(record.size for record in manifest.objects)
        self._successes += entry.is_success
        self._tasks[manifest.instruction] = None
        self._splits[entry.split] += 1
        self._last_split = entry.split
        self._drivers.add(manifest.driver)
        cameras = {f"camera '{c.name}'": f"{c.width}x{c.height}" for c in manifest.cameras}
        self._note("cameras", ", ".join(sorted(camera.name for camera in manifest.cameras)), manifest)
        self._note("action axes", manifest.action_names, manifest)
        self._note("proprioception axes", manifest.proprio_names, manifest)
        self._note("control rate in Hz", manifest.control_rate_hz, manifest)
        for what, size in cameras.items():
            self._note(what, size, manifest)

    def _check(self, entry: Entry) -> None:
        manifest = entry.manifest
        try:
            validate_manifest(manifest)
        except InvalidManifest as error:
            raise InvalidManifest(error.message, **error.data, episode_id=manifest.episode_id) from None
        problem = ""
        if UUID(manifest.episode_id).bytes in self._ids:
            problem = f"episode {manifest.episode_id} is there twice"
        elif entry.split != self._last_split and entry.split in self._splits:
            problem = f"episode {manifest.episode_id} of split '{entry.split}' comes after another split"
        if problem:
            raise ExportRefused(problem, problems=[problem])

    def _note(self, what: str, value: Hashable, manifest: EpisodeManifest) -> None:
        seen = self._variants.setdefault(what, {})
        if value in seen or len(seen) < MAX_PROBLEMS:
            count, example = seen.get(value, (0, manifest.episode_id))
            seen[value] = (count + 1, example)

    def summary(self) -> Summary:
        if self._first is None:
            raise ExportEmpty("there is no episode to export")
        return Summary(
            episodes=len(self._ids),
            frames=self._frames,
            human_frames=self._human,
            object_bytes=self._bytes,
            successes=self._successes,
            tasks=tuple(self._tasks),
            splits=dict(self._splits),
            drivers=tuple(sorted(self._drivers)),
            action_names=self._first.action_names,
            proprio_names=self._first.proprio_names,
            rate_hz=self._first.control_rate_hz,
            cameras=self._first.cameras,
            differences=tuple(_difference(what, seen) for what, seen in self._variants.items() if len(seen) > 1),
        )


def _difference(what: str, seen: dict[Hashable, tuple[int, str]]) -> str:
    parts = [f"{value} in {count} episodes (first {example})" for value, (count, example) in seen.items()]
    return f"{what} differ: {'; '.join(parts[:MAX_PROBLEMS])}"
