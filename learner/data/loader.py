"""Features of episodes: from the local store, or decoded and encoded from the source, ahead of need where possible.

Used by `replay.py`. `prefetch` lets a background thread load an episode while the trainer goes on; `rows` and `payload`
wait for what is under way and load in the caller's thread what is not. Whatever goes wrong in the background is met
again, and raised, where the episode is needed: so which error comes when depends on the draws alone, never on timing.
"""

from __future__ import annotations

import collections
import hashlib
import logging
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from fleet.protocol.errors import RecordingError
from fleet.protocol.recording import EpisodeManifest, encode_manifest
from learner.data.feature_store import FeatureStore, FrameBatch, Payload, widths_of
from learner.data.index import EpisodeSource

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

Encode = Callable[[Mapping[str, Array], str], Array]
"""Images [T, H, W, 3] of every camera by name, instruction -> features float32 [T, F]."""

Failed = dict[int, RecordingError | FileNotFoundError]
"""Row of a batch -> why its episode cannot be read."""

FORMAT = 1  # raise when decoding of videos or the choice of columns changes what is stored
MAX_QUEUED = 1024  # episodes waiting for the background; beyond it the longest waiting one loads when it is needed
_NAME_LENGTH = 40  # hex digits: 160 bits
_STOP_S = 30.0  # for the episode under way when the loader goes

_manifests = msgspec.json.Decoder(EpisodeManifest)


class EpisodeKey(msgspec.Struct, frozen=True):
    """An episode, small enough to keep a million frames' worth: its name in the store and its packed manifest."""

    name: str
    packed: bytes

    @property
    def manifest(self) -> EpisodeManifest:
        return _manifests.decode(zlib.decompress(self.packed))


class FeatureLoader:
    """See the module. Episodes load in the threads that call it and in `threads` others; two that need the same one at
    the same time may both load it.
    """

    def __init__(
        self,
        source: EpisodeSource,
        encode: Encode,
        store: FeatureStore,
        *,
        cameras: Sequence[str],
        identity: str,
        threads: int,
    ) -> None:
        """`identity`: names what `encode` computes; equal identities give equal features, to the bit."""
        self._store = store
        self._load = _Load(source, encode, store, tuple(cameras))
        self._identity = f"{FORMAT}/{identity}/{'/'.join(cameras)}"
        self._background = _Background(self._load, threads)
        self._waits = 0
        weakref.finalize(self, self._background.stop)

    def key(self, manifest: EpisodeManifest) -> EpisodeKey:
        """Return what names this episode's features: all that its manifest says, and the identity."""
        text = encode_manifest(manifest)
        digest = hashlib.sha256(text + self._identity.encode()).hexdigest()
        return EpisodeKey(digest[:_NAME_LENGTH], zlib.compress(text, level=1))

    def prefetch(self, key: EpisodeKey) -> None:
        """Load the episode in the background, unless it is in the store."""
        if key.name not in self._store:
            self._background.submit(key)

    def settle(self) -> None:
        """Return when nothing waits for the background any more: each episode is in the store or has failed."""
        self._background.drain()

    def rows(self, keys: Sequence[EpisodeKey], steps: Sequence[int], horizon: int) -> tuple[FrameBatch | None, Failed]:
        """Return the frames at `steps` of the episodes `keys`, row by row, and the rows of unreadable episodes with
        what went wrong. No batch if that is so of all. Raises: OSError, StorageError from the source.
        """
        batch, missing = self._store.rows([key.name for key in keys], steps, horizon)
        failed: Failed = {}
        for rows in _rows_by_episode(keys, missing):
            try:
                payload = self._wait_or_load(keys[rows[0]])
            except (RecordingError, FileNotFoundError) as error:
                failed |= dict.fromkeys(rows, error)
                continue
            if batch is None:
                batch = FrameBatch(len(keys), horizon, widths_of(payload))
            for row in rows:
                batch.copy(row, payload, step=steps[row])
        return batch, failed

    def payload(self, key: EpisodeKey) -> Payload:
        """Return the whole episode. Raises: RecordingError, OSError, StorageError from the source."""
        payload = self._store.payload(key.name)
        return payload if payload is not None else self._wait_or_load(key)

    def metrics(self) -> dict[str, float]:
        """Return the store's size, episodes loaded, and how often the consumer had to wait for one."""
        return {
            "cache/bytes": float(self._store.size_bytes),
            "cache/episodes": float(len(self._store)),
            "cache/loads": float(self._load.count),
            "cache/waits": float(self._waits),
        }

    def _wait_or_load(self, key: EpisodeKey) -> Payload:
        self._waits += 1
        self._background.claim(key)
        payload = self._store.payload(key.name)
        return payload if payload is not None else self._load(key)


def _rows_by_episode(keys: Sequence[EpisodeKey], rows: Sequence[int]) -> list[list[int]]:
    """Group some rows of a batch, in the order of the first of each group."""
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(keys[row].name, []).append(row)
    return list(groups.values())


class _Load:
    """Decode and encode an episode and put it into the store. Holds no reference to the loader, so that may go."""

    def __init__(self, source: EpisodeSource, encode: Encode, store: FeatureStore, cameras: tuple[str, ...]) -> None:
        self._source = source
        self._encode = encode
        self._store = store
        self._cameras = cameras
        self.count = 0

    def __call__(self, key: EpisodeKey) -> Payload:
        manifest = key.manifest
        steps = self._source.steps(manifest)
        images = {camera: self._source.frames(manifest, camera) for camera in self._cameras}
        payload = Payload(
            features_TF=self._encode(images, manifest.instruction),
            state_TP=steps["observation.state"].astype(np.float32),
            action_TA=steps["action"].astype(np.float32),
        )
        self._store.put(key.name, payload)
        self.count += 1
        return payload


class _Background:
    """Threads that load queued episodes in order; they end when the queue is empty and come back with the next."""

    def __init__(self, load: Callable[[EpisodeKey], Payload], threads: int) -> None:
        self._load = load
        self._max_threads = threads
        self._changed = threading.Condition()
        self._queue: collections.OrderedDict[str, EpisodeKey] = collections.OrderedDict()
        self._running: set[str] = set()
        self._threads: set[threading.Thread] = set()

    def submit(self, key: EpisodeKey) -> None:
        with self._changed:
            if key.name in self._running:
                return
            self._queue[key.name] = key
            if len(self._queue) > MAX_QUEUED:
                self._queue.popitem(last=False)
            if len(self._threads) < self._max_threads:
                thread = threading.Thread(target=self._run, name="episode-loader", daemon=True)
                self._threads.add(thread)
                thread.start()

    def claim(self, key: EpisodeKey) -> None:
        """Take an episode out of the queue, or wait while it is being loaded."""
        with self._changed:
            self._queue.pop(key.name, None)
            self._changed.wait_for(lambda: key.name not in self._running)

    def drain(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._running)

    def stop(self) -> None:
        """Forget the queue and wait for what is under way."""
        with self._changed:
            self._queue.clear()
            # A collector may run this in the loading thread itself.
            threads = self._threads - {threading.current_thread()}
        for thread in threads:
            thread.join(_STOP_S)

    def _run(self) -> None:
        while (key := self._next()) is not None:
            try:
                self._load(key)
            except Exception as error:  # of whatever kind: it is met again where the episode is needed
                logger.info("episode not loaded ahead: %s", error)
            finally:
                with self._changed:
                    self._running.discard(key.name)
                    self._changed.notify_all()

    def _next(self) -> EpisodeKey | None:
        """Take the first of the queue; None ends the thread."""
        with self._changed:
            if not self._queue:
                self._threads.discard(threading.current_thread())
                return None
            name, key = self._queue.popitem(last=False)
            self._running.add(name)
            return key
