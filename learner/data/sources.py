"""Episodes of several places as one source: folders of recorded episodes and LeRobot datasets. Used by the commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleet.imports.errors import InvalidDataset
from fleet.imports.layout import INFO
from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.policy import CameraSpec
from fleet.protocol.recording import EpisodeManifest, StepArrays
from learner.data.index import EpisodeSource, folder_episodes
from learner.data.lerobot import lerobot_episodes


class JoinedEpisodes:
    """`EpisodeSource` that asks, for each episode, the place that has it."""

    def __init__(self, places: Mapping[str, EpisodeSource]) -> None:
        self._places = places

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        return self._places[manifest.episode_id].steps(manifest)

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> np.ndarray[Any, Any]:
        return self._places[manifest.episode_id].frames(manifest, camera, is_whole=is_whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInputs:
    """What the policy sees and does, to refuse at once a dataset that it cannot learn from."""

    cameras: Sequence[CameraSpec]
    proprio_dim: int
    action_dim: int


def open_episodes(
    paths: Sequence[Path], *, features: Mapping[str, str], inputs: PolicyInputs | None = None
) -> tuple[JoinedEpisodes, list[EpisodeManifest]]:
    """Open folders of <episode_id>/ folders, and LeRobot datasets (known by meta/info.json); manifests in their order.

    `features`: LeRobot video feature -> camera name. If the policy has one camera and a dataset one video feature, they
    belong together whatever they are called.
    Raises: InvalidEpisode if a place has no episodes or two have the same one; InvalidDataset, InvalidManifest,
    OSError.
    """
    places: dict[str, EpisodeSource] = {}
    manifests: list[EpisodeManifest] = []
    for path in paths:
        source, found = _open(path, features, inputs)
        if not found:
            raise InvalidEpisode(f"no episodes in {path}")
        for manifest in found:
            if manifest.episode_id in places:
                raise InvalidEpisode(f"episode {manifest.episode_id} of {path} is there twice")
            places[manifest.episode_id] = source
        manifests += found
    return JoinedEpisodes(places), manifests


def _open(
    path: Path, features: Mapping[str, str], inputs: PolicyInputs | None
) -> tuple[EpisodeSource, list[EpisodeManifest]]:
    if not (path / INFO).is_file():
        return folder_episodes(path)
    only = inputs.cameras[0].name if inputs is not None and len(inputs.cameras) == 1 else None
    source, manifests = lerobot_episodes(path, features, only_camera=only)
    if inputs is not None:
        _check_fit(path, manifests[0], inputs)
    return source, manifests


def _check_fit(path: Path, manifest: EpisodeManifest, inputs: PolicyInputs) -> None:
    """Raises: InvalidDataset. Every episode of a dataset has the same features."""
    found = (len(manifest.proprio_names), len(manifest.action_names))
    if found != (inputs.proprio_dim, inputs.action_dim):
        raise InvalidDataset(
            f"{path} has {found[0]} proprioception and {found[1]} action axes, "
            f"the policy has {inputs.proprio_dim} and {inputs.action_dim}"
        )
    sizes = {camera.name: (camera.height, camera.width) for camera in manifest.cameras}
    for camera in inputs.cameras:
        if camera.name not in sizes:
            names = ", ".join(sizes)
            raise InvalidDataset(f"{path} has the cameras {names}; name the one that is '{camera.name}' by --camera")
        if sizes[camera.name] != (camera.height, camera.width):
            raise InvalidDataset(
                f"camera '{camera.name}' of {path} has {sizes[camera.name]} pixels, "
                f"the policy sees {(camera.height, camera.width)}"
            )
