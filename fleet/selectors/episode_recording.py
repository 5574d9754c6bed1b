"""What an episode's objects say: its manifest, and its steps thinned to what a plot can show."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.errors import InvalidRequest
from fleet.models import Episode
from fleet.protocol.errors import ObjectMismatch
from fleet.protocol.recording import MANIFEST_OBJECT, STEPS_OBJECT, EpisodeManifest, decode_manifest, encode_manifest
from fleet.protocol.steps import decode_steps
from fleet.selectors.objects import object_store
from fleet.storage import keys

MAX_POINTS = 2000
MAX_VALUES = 300_000  # numbers in one answer, some 2 MB of JSON; wide robots get fewer points

_VECTORS = {
    "asked": "action.asked",
    "applied": "action",
    "proposed": "action.proposed",
    "state": "observation.state",
}
_CONTENT_TYPES = {".mp4": "video/mp4", ".json": "application/json", ".parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True)
class EpisodeSteps:
    """Columns for plots, a value a point: points are the frames start, start + stride, ... below end.

    Vectors are lists [axis][point] as they were at that frame. `proposed` is None where no policy proposed. `reward` is
    the value furthest from zero among the `stride` steps of a point, so that a rare reward is never thinned away.
    """

    steps: int
    start: int
    end: int
    stride: int
    frame: list[int]
    timestamp_s: list[float]
    asked: list[list[float]]
    applied: list[list[float]]
    proposed: list[list[float | None]]
    state: list[list[float]]
    reward: list[float]
    success: list[bool]
    mode: list[int]
    source: list[int]


def episode_manifest(*, episode: Episode) -> EpisodeManifest:
    """Return the manifest that was registered. Raises: StorageError, InvalidManifest, ObjectMismatch."""
    return stored_manifest(key=episode.manifest_key, sha256=episode.manifest_sha256)


def stored_manifest(*, key: str, sha256: str) -> EpisodeManifest:
    """Return the manifest under `key` if it has this hash. Raises: StorageError, InvalidManifest, ObjectMismatch."""
    data = object_store().get(key)
    manifest = decode_manifest(data)
    # A row's hash is of the canonical form; a manifest from before a field was added has it in its own bytes.
    if sha256 not in (hashlib.sha256(form).hexdigest() for form in (data, encode_manifest(manifest))):
        raise ObjectMismatch("the stored manifest is not the one that was registered", object=MANIFEST_OBJECT)
    return manifest


def episode_object_type(name: str) -> str:
    """Return the media type of an episode's object."""
    suffix = name[name.rfind(".") :]
    return _CONTENT_TYPES.get(suffix, "application/octet-stream")


def episode_steps(*, episode: Episode, start: int, end: int | None, max_points: int) -> EpisodeSteps:
    """Return steps [start, end) (None: to the end) at no more than `max_points` points.

    Raises: InvalidRequest for an empty range, StorageError, InvalidEpisode, ObjectMismatch for damaged steps.
    """
    stop = episode.steps if end is None else min(end, episode.steps)
    if start >= stop:
        raise InvalidRequest(f"the episode has steps 0 to {episode.steps - 1}; this range is empty", field="start")
    columns = _read(episode)
    width = sum(columns[name].shape[1] for name in _VECTORS.values())
    points = max(1, min(max_points, MAX_VALUES // (width + 6)))
    stride = -(-(stop - start) // points)
    at = np.arange(start, stop, stride)
    vectors: dict[str, Any] = {field: _rounded(columns[name][at].T) for field, name in _VECTORS.items()}
    has_proposal = columns["proposed"][at].tolist()
    vectors["proposed"] = [
        [value if has else None for value, has in zip(axis, has_proposal, strict=True)] for axis in vectors["proposed"]
    ]
    return EpisodeSteps(
        steps=episode.steps,
        start=start,
        end=stop,
        stride=stride,
        frame=at.tolist(),
        timestamp_s=_rounded(columns["timestamp_s"][at]),
        reward=_rounded(_extremes(columns["reward"][start:stop], stride)),
        success=columns["success"][at].tolist(),
        mode=columns["mode"][at].tolist(),
        source=columns["source"][at].tolist(),
        **vectors,
    )


def _read(episode: Episode) -> Mapping[str, np.ndarray[Any, Any]]:
    wanted = next(record for record in episode_manifest(episode=episode).objects if record.name == STEPS_OBJECT)
    data = object_store().get(keys.episode_object(str(episode.id), STEPS_OBJECT))
    if (len(data), hashlib.sha256(data).hexdigest()) != (wanted.size, wanted.sha256):
        raise ObjectMismatch("the stored steps are not those of the manifest", object=STEPS_OBJECT)
    return decode_steps(data)


def _extremes(values: np.ndarray[Any, Any], stride: int) -> np.ndarray[Any, Any]:
    """Return of each `stride` values, the last ones maybe fewer, the one furthest from zero."""
    padded = np.append(values, np.zeros(-len(values) % stride, values.dtype)).reshape(-1, stride)
    extremes: np.ndarray[Any, Any] = padded[np.arange(len(padded)), np.abs(padded).argmax(axis=1)]
    return extremes


def _rounded(values: np.ndarray[Any, Any]) -> Any:
    """Return nested lists with five decimals, which no plot can show more of; JSON then has a third of the bytes."""
    return np.round(values.astype(np.float64), 5).tolist()
