"""Replay buffers: online and offline frames per task, with lazily loaded, bounded payloads.

The trainer adds manifests at the beginning of a round and samples rows at each step:

    replay.add(manifest)
    rows = replay.sample([Draw(task="box-close", is_online=True)], rng)

A payload (encoded features, proprioception, executed actions) is loaded on first use and kept least-recently-used
within `capacity_frames`; loading again gives the same bits, because an episode is always encoded whole. Which rows
come depends only on the order of `add` and on the generator, so a rebuilt buffer resumes exactly.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from fleet.protocol.recording import EpisodeManifest
from learner.data.index import EpisodeSource, FrameClass, IndexedEpisode, index_episode
from learner.data.masks import FrameRule, carrying_frames, chunk_mask, class_weights

Array = np.ndarray[Any, Any]


class Draw(msgspec.Struct, frozen=True):
    """Which buffer one row of a batch comes from."""

    task: str
    is_online: bool


class BufferSize(msgspec.Struct, frozen=True):
    """Frames of one task that carry loss."""

    online: int
    offline: int


class Frame(msgspec.Struct, frozen=True):
    """One frame of the replay: number of its episode (0.. in the order of `add`), step, and class."""

    episode: int
    step: int
    kind: FrameClass


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """One row a draw (of those that are the caller's own), in their order. Arrays float32: features [B, F], state
    [B, P], actions [B, H, A], valid [B, H], weights [B]. `frames`: where each row comes from."""

    features_BF: Array
    state_BP: Array
    actions_BHA: Array
    valid_BH: Array
    weights_B: Array
    instructions: tuple[str, ...]
    frames: tuple[Frame, ...]


class Payload(msgspec.Struct, frozen=True):
    """What training reads of an episode, float32 [T, F], [T, P], [T, A]."""

    features_TF: Array
    state_TP: Array
    action_TA: Array


Encode = Callable[[Mapping[str, Array], str], Array]
"""Images [T, H, W, 3] of every camera by name, instruction -> features float32 [T, F]."""


class _Buffer:
    """Frames of one (task, source), as growing parallel arrays."""

    def __init__(self) -> None:
        self.episode_N = np.zeros(0, dtype=np.int32)
        self.frame_N = np.zeros(0, dtype=np.int32)

    def extend(self, episode: int, frames: Array) -> None:
        self.episode_N = np.concatenate([self.episode_N, np.full(len(frames), episode, dtype=np.int32)])
        self.frame_N = np.concatenate([self.frame_N, frames])

    def __len__(self) -> int:
        return len(self.frame_N)


class Replay:
    """See the module."""

    def __init__(
        self,
        source: EpisodeSource,
        encode: Encode,
        *,
        cameras: Sequence[str],
        horizon: int,
        rule: FrameRule,
        capacity_frames: int,
    ) -> None:
        self._source = source
        self._encode = encode
        self._cameras = tuple(cameras)
        self._horizon = horizon
        self._rule = rule
        self._capacity_frames = capacity_frames
        self._episodes: list[IndexedEpisode] = []
        self._ids: set[str] = set()
        self._buffers: dict[Draw, _Buffer] = {}
        self._payloads: collections.OrderedDict[int, Payload] = collections.OrderedDict()
        self._cached_frames = 0
        self._counts: collections.Counter[FrameClass] = collections.Counter()
        self._weights = class_weights(rule, self._counts)
        self._unseen: set[int] = set()
        self._first_sampled: list[str] = []

    def add(self, manifest: EpisodeManifest) -> bool:
        """Index an episode and load its payload; False if it is there already (ingest is idempotent).

        Raises: InvalidEpisode, OSError from the source; then nothing was added.
        """
        if manifest.episode_id in self._ids:
            return False
        episode = index_episode(manifest)
        frames = carrying_frames(episode.classes_T, self._rule)
        number = len(self._episodes)
        if len(frames):
            self._store(number, self._load(manifest))
            draw = Draw(task=manifest.task_slug, is_online=episode.is_online)
            self._buffers.setdefault(draw, _Buffer()).extend(number, frames)
        self._episodes.append(episode)
        self._ids.add(manifest.episode_id)
        self._unseen.add(number)
        kinds, counts = np.unique(episode.classes_T, return_counts=True)
        self._counts.update({FrameClass(int(kind)): int(n) for kind, n in zip(kinds, counts, strict=True)})
        self._weights = class_weights(self._rule, self._counts)
        return True

    def sizes(self) -> dict[str, BufferSize]:
        """Return the buffer sizes of every task that has frames, ordered by task."""
        tasks = sorted({draw.task for draw in self._buffers})
        return {task: BufferSize(self._length(task, True), self._length(task, False)) for task in tasks}

    def class_counts(self) -> dict[str, int]:
        """Return how many frames of each class were added, carrying loss or not."""
        return {kind.name.lower(): self._counts[kind] for kind in FrameClass}

    @property
    def episodes(self) -> int:
        return len(self._episodes)

    def episode(self, number: int) -> IndexedEpisode:
        """Return the metadata of an episode, numbered 0.. in the order of `add`."""
        return self._episodes[number]

    def payload(self, number: int) -> Payload:
        """Return an episode's arrays, from the cache or the source. Raises: InvalidEpisode, OSError."""
        payload = self._payloads.get(number)
        if payload is None:
            payload = self._load(self._episodes[number].manifest)
            self._store(number, payload)
        self._payloads.move_to_end(number)
        return payload

    def sample(self, draws: Sequence[Draw], rng: np.random.Generator, *, own: slice = slice(None)) -> Rows:
        """Draw one frame uniformly from each draw's buffer, and load the rows `own` of them.

        Processes that share a batch draw all of it, with equal generators, and load a part each.
        Raises: KeyError if a buffer is empty.
        """
        uniform_B = rng.random(len(draws))
        picked = [self._pick(draw, float(u)) for draw, u in zip(draws, uniform_B, strict=True)][own]
        rows = [self._row(frame.episode, frame.step) for frame in picked]
        starts_B = np.array([frame.step for frame in picked])
        ends_B = np.array([self._episodes[frame.episode].run_end_T[frame.step] for frame in picked])
        return Rows(
            features_BF=np.stack([row[0] for row in rows]),
            state_BP=np.stack([row[1] for row in rows]),
            actions_BHA=np.stack([row[2] for row in rows]),
            valid_BH=chunk_mask(starts_B, ends_B, self._horizon),
            weights_B=np.array([self._weights[frame.kind] for frame in picked], dtype=np.float32),
            instructions=tuple(self._episodes[frame.episode].manifest.instruction for frame in picked),
            frames=tuple(picked),
        )

    def take_first_sampled(self) -> list[str]:
        """Return ids of episodes sampled for the first time since the last call."""
        found, self._first_sampled = self._first_sampled, []
        return found

    def _length(self, task: str, is_online: bool) -> int:
        buffer = self._buffers.get(Draw(task, is_online))
        return len(buffer) if buffer is not None else 0

    def _pick(self, draw: Draw, uniform: float) -> Frame:
        buffer = self._buffers[draw]
        row = min(int(uniform * len(buffer)), len(buffer) - 1)
        episode, step = int(buffer.episode_N[row]), int(buffer.frame_N[row])
        return Frame(episode, step, FrameClass(int(self._episodes[episode].classes_T[step])))

    def _row(self, number: int, frame: int) -> tuple[Array, Array, Array]:
        payload = self.payload(number)
        if number in self._unseen:
            self._unseen.discard(number)
            self._first_sampled.append(self._episodes[number].manifest.episode_id)
        actions_HA = payload.action_TA[frame : frame + self._horizon]
        if len(actions_HA) < self._horizon:
            padding = np.zeros((self._horizon - len(actions_HA), actions_HA.shape[1]), dtype=np.float32)
            actions_HA = np.concatenate([actions_HA, padding])
        return payload.features_TF[frame], payload.state_TP[frame], actions_HA

    def _load(self, manifest: EpisodeManifest) -> Payload:
        steps = self._source.steps(manifest)
        images = {camera: self._source.frames(manifest, camera) for camera in self._cameras}
        return Payload(
            features_TF=self._encode(images, manifest.instruction),
            state_TP=steps["observation.state"].astype(np.float32),
            action_TA=steps["action"].astype(np.float32),
        )

    def _store(self, number: int, payload: Payload) -> None:
        self._payloads[number] = payload
        self._cached_frames += len(payload.state_TP)
        while self._cached_frames > self._capacity_frames and len(self._payloads) > 1:
            _, dropped = self._payloads.popitem(last=False)
            self._cached_frames -= len(dropped.state_TP)
