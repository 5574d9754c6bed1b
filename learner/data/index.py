"""What is known of each frame without reading its payload, and where payloads come from.

The replay buffers hold `IndexedEpisode`s (from manifests alone); steps and images are read through an
`EpisodeSource` when a frame is first sampled or ingested. Frame classes are facts of the recording; which of them
carry loss is decided in `masks.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from fleet.protocol.authority import Mode
from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.policy import CameraSpec
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    EpisodeManifest,
    Origin,
    Outcome,
    StepArrays,
    decode_manifest,
    is_human,
    validate_steps,
)
from fleet.protocol.steps import decode_steps
from learner.data.video import decode_video, decode_whole_video

Array = np.ndarray[Any, Any]
LARGEST_VALUE = 1e4  # of metres, radians and commands; squared errors stay far below float32's end


class EpisodeSource(Protocol):
    """Payloads by manifest. Raises: InvalidEpisode if what is stored contradicts the manifest, OSError if not there."""

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        """Return the step columns of `recording.STEP_COLUMNS`."""

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> Array:
        """Return a camera's images, [T, H, W, 3] RGB in 0..255, uint8 or float32, at full or half size.

        `is_whole`: at full size alone.
        """


class StoredEpisodes:
    """Episodes at rest, whatever store they lie in. `read(episode_id, object_name)` returns an object's bytes."""

    def __init__(self, read: Callable[[str, str], bytes]) -> None:
        self._read = read

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        steps = decode_steps(self._read(manifest.episode_id, STEPS_OBJECT))
        validate_steps(steps, manifest)
        return steps

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> Array:
        record = next((record for record in manifest.cameras if record.name == camera), None)
        if record is None:
            raise InvalidEpisode(f"the episode has no camera '{camera}'")
        data = self._read(manifest.episode_id, record.object)
        decode = decode_whole_video if is_whole else decode_video
        return decode(data, frames=manifest.steps, height=record.height, width=record.width)


class FittingEpisodes:
    """The episodes of a source that a policy can learn from. Refuses those of a robot with other axes or another
    camera, and values that are finite and yet would carry the loss to infinity: one odd robot must not end the run.

    `is_whole`: the policy needs pictures at full size.
    """

    def __init__(
        self,
        source: EpisodeSource,
        *,
        proprio_dim: int,
        action_dim: int,
        cameras: Iterable[CameraSpec],
        is_whole: bool = False,
    ) -> None:
        self._source = source
        self._axes = (proprio_dim, action_dim)
        self._sizes = {camera.name: (camera.height, camera.width) for camera in cameras}
        self._is_whole = is_whole

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        found = (len(manifest.proprio_names), len(manifest.action_names))
        if found != self._axes:
            raise InvalidEpisode(f"{found} proprioception and action axes, the policy has {self._axes}")
        steps = self._source.steps(manifest)
        for column in ("observation.state", "action"):
            if float(np.abs(steps[column]).max()) > LARGEST_VALUE:
                raise InvalidEpisode(f"column '{column}' holds values beyond {LARGEST_VALUE:g}", column=column)
        return steps

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> Array:
        sizes = {(record.height, record.width) for record in manifest.cameras if record.name == camera}
        if sizes and sizes != {self._sizes[camera]}:
            raise InvalidEpisode(f"camera '{camera}' has size {sizes.pop()}, the policy sees {self._sizes[camera]}")
        return self._source.frames(manifest, camera, is_whole=is_whole or self._is_whole)


def folder_episodes(root: Path) -> tuple[StoredEpisodes, list[EpisodeManifest]]:
    """Return the episodes under `root/<episode_id>/` and their manifests, ordered by id.

    Raises: InvalidManifest; InvalidEpisode if a folder's name is not its manifest's id.
    """
    manifests = [decode_manifest(path.read_bytes()) for path in sorted(root.glob(f"*/{MANIFEST_OBJECT}"))]
    for manifest in manifests:
        if not (root / manifest.episode_id / MANIFEST_OBJECT).is_file():
            raise InvalidEpisode(f"no folder is named '{manifest.episode_id}' like the manifest in it")
    return StoredEpisodes(lambda episode_id, name: (root / episode_id / name).read_bytes()), manifests


class FrameClass(enum.IntEnum):
    """What a frame is to imitation. OTHER never carries loss: handover, paused, stopped, or evaluation."""

    OTHER = 0
    DEMONSTRATION = 1
    INTERVENTION = 2
    PRE_INTERVENTION = 3
    ROLLOUT = 4
    ROLLOUT_SUCCESS = 5  # of an episode that succeeded without any human step


PRE_INTERVENTION_FRAMES = 15


class IndexedEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """Frame metadata of one episode.

    classes_T: int8 FrameClass; run_end_T: int32, first step after the frame's segment (where the gate changes).
    """

    manifest: EpisodeManifest
    classes_T: Array
    run_end_T: Array

    @property
    def is_online(self) -> bool:
        return self.manifest.origin is Origin.ONLINE


def index_episode(manifest: EpisodeManifest) -> IndexedEpisode:
    """Classify the frames of an episode from its segments."""
    classes_T = np.full(manifest.steps, FrameClass.OTHER, dtype=np.int8)
    run_end_T = np.zeros(manifest.steps, dtype=np.int32)
    is_clean = manifest.outcome is Outcome.SUCCESS and manifest.human_steps == 0
    for segment in manifest.segments:
        run_end_T[segment.start : segment.end] = segment.end
        if manifest.origin is Origin.EVALUATION or segment.mode not in (Mode.AUTONOMOUS, Mode.TELEOP):
            continue
        if manifest.origin is Origin.DEMONSTRATION:
            kind = FrameClass.DEMONSTRATION
        elif is_human(segment.mode, segment.source):
            kind = FrameClass.INTERVENTION
        else:
            kind = FrameClass.ROLLOUT_SUCCESS if is_clean else FrameClass.ROLLOUT
        classes_T[segment.start : segment.end] = kind
    _mark_before_takeovers(manifest, classes_T)
    return IndexedEpisode(manifest=manifest, classes_T=classes_T, run_end_T=run_end_T)


def _mark_before_takeovers(manifest: EpisodeManifest, classes_T: Array) -> None:
    """A takeover begins where autonomy ends in a handover, or directly in teleoperation."""
    for before, after in zip(manifest.segments, manifest.segments[1:], strict=False):
        if before.mode is Mode.AUTONOMOUS and after.mode in (Mode.HANDOVER, Mode.TELEOP):
            window = classes_T[max(before.start, before.end - PRE_INTERVENTION_FRAMES) : before.end]
            window[window == FrameClass.ROLLOUT] = FrameClass.PRE_INTERVENTION
