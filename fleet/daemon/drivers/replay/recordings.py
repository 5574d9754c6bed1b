"""What the replay driver plays: recorded episodes of ours in a folder. LeRobot datasets are `dataset.py`'s.

Metadata is read when the driver is created, an episode's columns and pictures when it is played. Whatever is wrong
with a file is a RecordingBroken that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleet.daemon.drivers.base import DriverError
from fleet.protocol.errors import RecordingError
from fleet.protocol.messages import CameraInfo
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    EpisodeManifest,
    decode_manifest,
    sha256_of_file,
    validate_steps,
)
from fleet.protocol.steps import decode_steps

Array = np.ndarray[Any, Any]

MAX_EPISODES = 10_000


class RecordingBroken(DriverError):
    """A recording that cannot be played."""

    code = "recording_broken"


@dataclass(frozen=True, kw_only=True)
class VideoPart:
    """An episode's pictures of one camera: from `start_s` on in a file."""

    path: Path
    start_s: float


@dataclass(frozen=True, kw_only=True)
class Columns:
    """One row a recorded step. state: float32 [T, P]; action: float32 [T, A], as recorded; reward float32 [T]."""

    state: Array
    action: Array
    reward: Array
    success: Array


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One episode. `load`: reads its columns, raises RecordingBroken."""

    name: str
    task: str
    steps: int
    videos: Mapping[str, VideoPart]
    load: Callable[[], Columns]


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Recordings of one robot: all share rate, axes and cameras."""

    rate_hz: float
    action_names: tuple[str, ...]
    proprio_names: tuple[str, ...]
    cameras: tuple[CameraInfo, ...]
    recordings: tuple[Recording, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(recording.task for recording in self.recordings))


def read_episodes(folder: Path) -> Collection:
    """Read one recorded episode, or a folder of them, in the order of their names.

    Raises: RecordingBroken if there is none, one does not parse, or they are not of one robot.
    """
    single = folder / MANIFEST_OBJECT
    paths = [single] if single.is_file() else sorted(folder.glob(f"*/{MANIFEST_OBJECT}"))
    if not paths:
        raise RecordingBroken(f"{folder} holds neither recorded episodes nor a LeRobot dataset")
    if len(paths) > MAX_EPISODES:
        raise RecordingBroken(f"{folder} holds {len(paths)} episodes; {MAX_EPISODES} are read at most")
    manifests = [_manifest(path) for path in paths]
    first = manifests[0]
    for path, manifest in zip(paths, manifests, strict=True):
        if _robot(manifest) != _robot(first):
            text = f"{path.parent.name} was recorded with another rate, axes or cameras than {paths[0].parent.name}"
            raise RecordingBroken(text)
    return Collection(
        rate_hz=first.control_rate_hz,
        action_names=first.action_names,
        proprio_names=first.proprio_names,
        cameras=tuple(CameraInfo(name=c.name, width=c.width, height=c.height) for c in first.cameras),
        recordings=tuple(_recording(path.parent, one) for path, one in zip(paths, manifests, strict=True)),
    )


def _robot(manifest: EpisodeManifest) -> tuple[object, ...]:
    cameras = tuple((camera.name, camera.width, camera.height) for camera in manifest.cameras)
    return manifest.control_rate_hz, manifest.action_names, manifest.proprio_names, cameras


def _manifest(path: Path) -> EpisodeManifest:
    try:
        return decode_manifest(path.read_bytes())
    except (RecordingError, OSError) as error:
        raise RecordingBroken(f"{path}: {error}") from None


def _recording(folder: Path, manifest: EpisodeManifest) -> Recording:
    videos = {camera.name: VideoPart(path=folder / camera.object, start_s=0.0) for camera in manifest.cameras}
    return Recording(
        name=manifest.episode_id,
        task=manifest.task_slug,
        steps=manifest.steps,
        videos=videos,
        load=lambda: _load(folder, manifest),
    )


def _load(folder: Path, manifest: EpisodeManifest) -> Columns:
    """Check every object against the manifest, then read the steps."""
    try:
        for record in manifest.objects:
            if sha256_of_file(folder / record.name) != (record.size, record.sha256):
                raise RecordingBroken(f"{folder / record.name} is not what its manifest says")
        steps = decode_steps((folder / STEPS_OBJECT).read_bytes())
        validate_steps(steps, manifest)
    except (RecordingError, OSError) as error:
        raise RecordingBroken(f"{folder}: {error}") from None
    return Columns(
        state=steps["observation.state"], action=steps["action"], reward=steps["reward"], success=steps["success"]
    )
