"""Pictures with simulator labels, from which the policy's image encoder is pre-trained.

Called by `python -m fleet.daemon scenes`. Frames come from resets and from along the way: expert, disturbed expert and
wandering arms, so that objects are also seen held, dropped, pushed aside and half hidden by the gripper. The labels are
privileged and used for nothing else; the policy that results sees pixels and proprioception only.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fleet.daemon.drivers.metaworld.driver import CAMERA, MetaWorldDriver

Array = np.ndarray[Any, Any]
Frame = tuple[Array, Array, Array]  # image uint8 [64, 64, 3], state float32 [P], labels float32 [9]

IMAGE_SIZE = 64
STRIDE = 5  # control steps between two frames: 5 cm at most
EPISODE_STEPS = 150
BLOCK_STEPS = 8  # a disturbance lasts this long
# Shares of an episode's blocks that are disturbed: more, and the expert hardly ever lifts the lid of box-close.
DISTURBED_SHARES, DISTURBED_WEIGHTS = (0.0, 0.15, 0.5), (0.4, 0.35, 0.25)
LABEL_NAMES = tuple(f"{point}_{axis}" for point in ("object", "goal", "fingertips") for axis in "xyz")


def area_downsample(image: Array, size: int = IMAGE_SIZE) -> Array:
    """Average a square uint8 [S, S, 3] picture down to [size, size, 3], as the policy network does."""
    factor = image.shape[0] // size
    blocks = image.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    rounded: Array = np.rint(blocks).astype(np.uint8)
    return rounded


def collect_scenes(
    driver: MetaWorldDriver, task: str, *, count: int, seed: int, progress: Callable[[int], object]
) -> dict[str, Array]:
    """Return images uint8 [N,64,64,3], state float32 [N,P], labels float32 [N,9] (metres, LABEL_NAMES), task.

    The driver must be connected; equal arguments give equal scenes. `progress` gets the number of new frames.
    Raises: DriverError.
    """
    frames: list[Frame] = []
    episode = 0
    while len(frames) < count:
        generator = np.random.default_rng([zlib.crc32(b"scenes:" + task.encode()), seed, episode])
        new = list(_episode(driver, task, generator))[: count - len(frames)]
        frames += new
        episode += 1
        progress(len(new))
    images, states, labels = zip(*frames, strict=True)
    return {
        "images": np.stack(images),
        "state": np.stack(states),
        "labels": np.stack(labels),
        "label_names": np.array(LABEL_NAMES),
        "task": np.array(task),
        "seed": np.array(seed),
    }


def has_scenes(path: Path, *, task: str, count: int, seed: int) -> bool:
    """Whether `path` holds exactly these scenes already."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return str(data["task"]) == task and int(data["seed"]) == seed and len(data["labels"]) == count
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def write_scenes(scenes: dict[str, Array], path: Path) -> None:
    """Write an .npz, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{path.name}")
    with temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **scenes)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _episode(driver: MetaWorldDriver, task: str, generator: np.random.Generator) -> Iterator[Frame]:
    observation = driver.reset(task, seed=int(generator.integers(2**31)))
    style = _Style(generator)
    for step in range(EPISODE_STEPS):
        if step % STRIDE == 0:
            image = area_downsample(observation.images[CAMERA])
            yield image, observation.state, driver.simulation.labels
        if driver.apply(style.disturb(driver.advisor.action())).success:
            return
        if step % STRIDE == STRIDE - 1:
            observation = driver.observe()


class _Style:
    """How one episode moves: how often the expert is overruled, and how strongly."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._share = float(generator.choice(DISTURBED_SHARES, p=DISTURBED_WEIGHTS))
        self._strength = float(generator.uniform(0.3, 0.9))
        self._left = 0
        self._offset: Array | None = None

    def disturb(self, action: Array) -> Array:
        """Return the expert's action or, in a disturbed block, one pushed aside, sometimes with the gripper opened."""
        if self._left == 0:
            self._left = BLOCK_STEPS
            is_disturbed = self._generator.random() < self._share
            self._offset = self._generator.uniform(-1.0, 1.0, 4) * self._strength if is_disturbed else None
        self._left -= 1
        if self._offset is None:
            return action
        disturbed: Array = np.clip(action + 1.5 * self._offset, -1.0, 1.0).astype(np.float32)
        return disturbed
