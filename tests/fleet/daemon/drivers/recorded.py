"""Recordings of the point robot, as the replay driver and its tests need them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from fleet.daemon.recorder import write_episode
from fleet.protocol.recording import EpisodeManifest
from tests.fleet.daemon.loop_made import runner, spec
from tests.fleet.daemon.point import ConstantPolicy, PointDriver


def record_episodes(
    folder: Path, *, seeds: Sequence[int], task: str = "reach", driver: PointDriver | None = None
) -> list[EpisodeManifest]:
    """Record one episode a seed: the point goes to the wall in some twenty steps."""
    made = runner(driver)
    manifests = []
    for seed in seeds:
        episode_id = str(uuid.UUID(int=seed, version=4))
        recording = made.run(spec(seed=seed, episode_id=episode_id, task_slug=task), ConstantPolicy(dx=1.0))
        manifests.append(write_episode(recording, folder, software={}))
    return manifests
