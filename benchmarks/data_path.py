"""How fast frames are sampled, how long the trainer waits for them, and how much memory they take.

    python -m benchmarks.data_path [--quick] [--sizes 10000 100000 1000000]

1. The same hand-made episodes in our layout and in LeRobot's (Parquet and MP4). Ours decodes and encodes an episode
   once and then samples features; LeRobot's reader opens the video for every sample, seeks and decodes, and its image
   is still to be encoded. "kept open" spares it the opening.
2. In a process for each size: a real trainer (float32, batch 64, one thread) on a store of that many frames, first
   undisturbed, then without reading ahead ("when_asked"), then with an episode of 150 frames arriving every
   `--arrival-s`, decoded and encoded beside it. `data_wait` is the share of the time that `StepMetrics.data_s` counts:
   how long a step stands still for its batch. RSS is taken without frames, before the first and after the last step.

The features of 2. are random numbers in the store's own files: encoding a million frames takes a quarter of an hour.
Prints JSON; asserts nothing. Compare figures of one run alone: the load of the machine is in all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np
import psutil
import pyarrow.parquet as pq
import torch

from fleet.protocol.recording import EpisodeManifest, Origin
from learner.algorithms.base import build_algorithm
from learner.config import RunConfig
from learner.data.batches import Batches
from learner.data.feature_store import FeatureStore, Payload
from learner.data.index import EpisodeSource, StoredEpisodes, folder_episodes
from learner.data.loader import FeatureLoader
from learner.data.replay import Draw, Replay
from learner.policies.architectures.flow_vla import FlowVlaConfig
from learner.policies.base import PolicyNetwork
from learner.trainer import Trainer, encode_images
from tests.learner.hand_made import (
    ACTION,
    HORIZON,
    PIXELS,
    PROPRIO,
    TELEOP,
    make_manifest,
    make_network,
    stored_objects,
)
from tests.learner.lerobot_made import FPS, VIDEO, write_dataset

TASKS = ("box-close", "bin-picking", "shelf-place")
BATCH = 64
STEPS = 150  # of an episode
WARM_UP_STEPS = 20


def demonstrations(count: int, steps: int) -> list[EpisodeManifest]:
    return [
        make_manifest(f"demo {k}", [(steps, TELEOP)], task=TASKS[k % 3], origin=Origin.DEMONSTRATION)
        for k in range(count)
    ]


def build_replay(network: PolicyNetwork, source: EpisodeSource, store: FeatureStore) -> tuple[Replay, FeatureLoader]:
    loader = FeatureLoader(
        source,
        lambda images, instruction: encode_images(network, images, instruction),
        store,
        cameras=["front"],
        identity="benchmark",
        threads=1,
    )
    rule = build_algorithm("hg_dagger", {}).frame_rule
    return Replay(loader, horizon=HORIZON, rule=rule, config=RunConfig().data), loader


class SeekReader:
    """Samples of a LeRobot dataset as its reader takes them: table in memory, a seek and a decode for each frame.

    Source: lerobot 0.6.1, `LeRobotDataset.__getitem__` with the PyAV backend. Departure: the table's rows are numpy.
    """

    def __init__(self, root: Path, *, keep_open: bool) -> None:
        table = pq.read_table(next(root.glob("data/*/*.parquet")))
        self._state_TP = np.stack(table.column("observation.state").to_numpy(zero_copy_only=False))
        self._action_TA = np.stack(table.column("action").to_numpy(zero_copy_only=False))
        self._video = next(root.glob(f"videos/{VIDEO}/*/*.mp4"))
        self._kept = av.open(str(self._video)) if keep_open else None

    def __len__(self) -> int:
        return len(self._state_TP)

    def batch(self, rows: list[int]) -> tuple[Any, Any, Any]:
        """Return images float32 [B, 3, H, W] in 0..1, state [B, P], actions [B, H, A]."""
        images = np.stack([self._image(row) for row in rows])
        # Chunks end with their episode; that they run on here costs the same.
        actions = np.stack([self._action_TA[np.minimum(row + np.arange(HORIZON), len(self) - 1)] for row in rows])
        return images, self._state_TP[rows], actions

    def _image(self, row: int) -> Any:
        if self._kept is not None:
            return _decode_at(self._kept, row / FPS)
        with av.open(str(self._video)) as container:
            return _decode_at(container, row / FPS)


def _decode_at(container: Any, time_s: float) -> Any:
    stream = container.streams.video[0]
    container.seek(int(time_s / stream.time_base), stream=stream)
    for frame in container.decode(stream):
        if frame.time >= time_s - 0.5 / FPS:
            return frame.to_ndarray(format="rgb24").transpose(2, 0, 1).astype(np.float32) / 255
    raise ValueError(f"the video has no frame at {time_s} s")


def throughput(episodes: int, steps: int, seconds: float) -> dict[str, float]:
    """Return frames a second of both layouts, of equal episodes, and what encoding ours cost once."""
    manifests, rng = demonstrations(episodes, steps), np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="sop-bench-") as name:
        ours, theirs = Path(name, "ours"), Path(name, "lerobot")
        for manifest in manifests:
            _write(ours / manifest.episode_id, stored_objects(manifest))
        write_dataset(theirs, [manifests])

        source, found = folder_episodes(ours)
        replay, _ = build_replay(make_network(config=FlowVlaConfig()), source, FeatureStore(None, max_bytes=1 << 30))
        began = time.perf_counter()
        for manifest in found:
            replay.add(manifest)
        replay.settle()
        encoding_s = time.perf_counter() - began
        tasks = list(replay.sizes())

        def sample() -> None:
            draws = [Draw(tasks[k], False) for k in rng.integers(0, len(tasks), BATCH)]
            replay.take(replay.look(draws, rng), rng)

        readers = [SeekReader(theirs, keep_open=kept) for kept in (False, True)]
        assert all(len(reader) == episodes * steps for reader in readers)

        def batch_of(reader: SeekReader) -> Callable[[], object]:
            return lambda: reader.batch(rng.integers(0, len(reader), BATCH).tolist())

        opened, kept_open = (rate(batch_of(reader), seconds) for reader in readers)
        return {
            "frames": float(episodes * steps),
            "ours_frames_per_s": rate(sample, seconds),
            "ours_encoded_once_frames_per_s": episodes * steps / encoding_s,
            "lerobot_frames_per_s": opened,
            "lerobot_kept_open_frames_per_s": kept_open,
        }


def _write(folder: Path, objects: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, data in objects.items():
        (folder / name).write_bytes(data)


def rate(batch: Callable[[], object], seconds: float) -> float:
    """Return frames a second of batches taken one after the other, after one that is not counted."""
    batch()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        batch()
        count += 1
    return count * BATCH / (time.perf_counter() - began)


def fill(trainer: Trainer, loader: FeatureLoader, store: FeatureStore, frames: int, features: int) -> None:
    """Index `frames` frames, half of the episodes online, with random features in the store."""
    rng = np.random.default_rng(0)
    for k in range(max(6, frames // STEPS)):
        origin = Origin.DEMONSTRATION if k % 2 else Origin.ONLINE
        manifest = make_manifest(f"filled {k}", [(STEPS, TELEOP)], task=TASKS[k % 3], origin=origin)
        payload = Payload(
            rng.standard_normal((STEPS, features), dtype=np.float32),
            rng.standard_normal((STEPS, PROPRIO), dtype=np.float32),
            rng.uniform(-1, 1, (STEPS, ACTION)).astype(np.float32),
        )
        store.put(loader.key(manifest).name, payload)
        trainer.ingest([manifest])


def train(trainer: Trainer, seconds: float, arriving: Sequence[EpisodeManifest], every_s: float) -> dict[str, float]:
    """Train for a while, and until the first two of `arriving` came, however slow the machine is.

    What arrives is prefetched, and ingested when the next arrives, as a round's end would.
    """
    began = arrived = time.perf_counter()
    data_s: list[float] = []
    came = 0
    while (now := time.perf_counter()) - began < seconds or not data_s or came < min(2, len(arriving)):
        if now - arrived >= every_s and came < len(arriving):
            arrived = now
            trainer.replay.prefetch(arriving[came])
            if came:
                trainer.ingest([arriving[came - 1]])
            came += 1
        data_s.append(trainer.step().data_s)
    spent_s = time.perf_counter() - began
    return {
        "step_ms": 1e3 * spent_s / len(data_s),
        "data_ms_median": 1e3 * statistics.median(data_s),
        "data_ms_max": 1e3 * max(data_s),
        "data_wait": sum(data_s) / spent_s,
    }


def measure_size(frames: int, seconds: float, every_s: float) -> dict[str, Any]:
    """Return what a trainer on `frames` frames measures. For a process of its own: it counts that process's memory."""
    torch.set_num_threads(1)
    network, config = make_network(config=FlowVlaConfig()), RunConfig()
    manifests = [
        make_manifest(f"arriving {k}", [(STEPS, TELEOP)], task=TASKS[k % 3]) for k in range(1 + int(seconds / every_s))
    ]
    objects = {manifest.episode_id: stored_objects(manifest) for manifest in manifests}
    store = FeatureStore(None, max_bytes=config.data.cache_bytes)
    replay, loader = build_replay(network, StoredEpisodes(lambda episode_id, name: objects[episode_id][name]), store)
    trainer = Trainer(network, replay, build_algorithm("hg_dagger", {}), config)
    images = {"front": np.zeros((1, PIXELS, PIXELS, 3), dtype=np.float32)}
    features = encode_images(network, images, "none").shape[1]
    empty_mb = rss_mb()
    fill(trainer, loader, store, frames, features)
    filled = replay.episodes
    for _ in range(WARM_UP_STEPS):
        trainer.step()
    before_mb = rss_mb()
    quiet = train(trainer, seconds, (), every_s)
    with mock.patch.object(Batches, "look_ahead"):
        when_asked = train(trainer, seconds, (), every_s)
    arriving = train(trainer, seconds, manifests, every_s)
    replay.settle()
    return {
        "frames": filled * STEPS,
        "rss_empty_mb": empty_mb,
        "rss_before_mb": before_mb,
        "rss_after_mb": rss_mb(),
        "undisturbed": quiet,
        "when_asked": when_asked,
        "arriving": {"episodes": replay.episodes - filled, **arriving},
    }


def rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def machine() -> dict[str, Any]:
    """Return what the figures were taken on; the load before the benchmark says whether something else ran."""
    found = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in found.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "torch": torch.__version__,
    }


def _in_child(frames: int, given: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.data_path", "--child", str(frames)]
    command += ["--seconds", str(given.seconds), "--arrival-s", str(given.arrival_s)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


def _rounded(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _rounded(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_rounded(value) for value in values]
    return float(f"{values:.4g}") if isinstance(values, float) else values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="frames")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--arrival-s", type=float, default=2.0, help="between arriving episodes")
    parser.add_argument("--quick", action="store_true", help="two small sizes and half a second each: does it run?")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        print(json.dumps(measure_size(given.child, given.seconds, given.arrival_s)))
        return
    episodes, steps = (2, 20) if given.quick else (12, STEPS)
    if given.quick:
        given.sizes, given.seconds, given.arrival_s = [1_000, 2_000], 0.5, 0.2
    torch.set_num_threads(1)
    values = {
        "machine": machine(),
        "batch": BATCH,
        "reading": throughput(episodes, steps, given.seconds / 3),
        "training": [_in_child(frames, given) for frames in given.sizes],
    }
    print(json.dumps(_rounded(values), indent=1))


if __name__ == "__main__":
    main()
