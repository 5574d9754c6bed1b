"""Encoded episodes on the local disk, bounded in bytes, read a batch of rows at a time. Used by `loader.py`.

One file an episode, named by what decides its content (`loader.py` makes the key); a file lies there whole or not at
all, and its checksum is verified when this process first opens it, so a damaged file is a missing one. Rows are read
with preadv, straight into the batch: the kernel caches what is used often, and this process's memory does not grow with
the episodes. Over the bound the longest unused files go. Several processes may share a folder, each with its own bound.

Of a million frames nearly every row of a batch lies in another file, so what it costs are system calls: two reads, and
an open and a close where the file is not open. As many files stay open as half of the process's limit allows.

    header  magic, T, F, P, A, CRC-32 of the rest
    T rows  features F, state P, float32
    T rows  action A, float32

The two parts are apart because a sample takes one row of the first and a whole chunk of the second.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import resource
import shutil
import struct
import tempfile
import threading
import time
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

Array = np.ndarray[Any, Any]

_MAGIC = b"SOPFEAT1"
_HEADER = struct.Struct("<8s5I4x")  # 32 bytes
_SUFFIX = ".features"
_PARTIAL_AGE_S = 3600.0  # what a killed process left half-written goes after this time
_FLOAT_BYTES = 4
_MAX_OPEN = 16384  # files
_MAX_USED = 1 << 16  # 512 KB


class Payload(msgspec.Struct, frozen=True):
    """What training reads of an episode, float32 [T, F], [T, P], [T, A]."""

    features_TF: Array
    state_TP: Array
    action_TA: Array


class Widths(msgspec.Struct, frozen=True):
    """Numbers a frame: features F, state P, action A."""

    features: int
    state: int
    action: int

    @property
    def input_bytes(self) -> int:
        """Bytes of a row of a file's first part."""
        return _FLOAT_BYTES * (self.features + self.state)

    @property
    def action_bytes(self) -> int:
        return _FLOAT_BYTES * self.action


class FrameBatch:
    """What training reads of B frames: features and state, float32 [B, F + P], and the next H actions, float32
    [B, H, A], 0 past the episode's end. Rows are filled one after the other, from a file or from an episode."""

    def __init__(self, rows: int, horizon: int, widths: Widths) -> None:
        self.widths = widths
        self.inputs_BI = np.zeros((rows, widths.features + widths.state), dtype=np.float32)
        self.actions_BHA = np.zeros((rows, horizon, widths.action), dtype=np.float32)
        self._horizon = horizon
        self._input_bytes, self._action_bytes = widths.input_bytes, widths.action_bytes
        self._inputs, self._actions = self.inputs_BI.data.cast("B"), self.actions_BHA.data.cast("B")

    @property
    def features_BF(self) -> Array:
        return np.ascontiguousarray(self.inputs_BI[:, : self.widths.features])

    @property
    def state_BP(self) -> Array:
        return np.ascontiguousarray(self.inputs_BI[:, self.widths.features :])

    def read(self, row: int, descriptor: int, steps: int, step: int) -> bool:
        """Fill a row from the file of an episode of `steps` steps; False if the file is shorter than that."""
        size, start = self._input_bytes, row * self._input_bytes
        found = os.preadv(descriptor, [self._inputs[start : start + size]], _HEADER.size + step * size)
        actions_at = _HEADER.size + steps * size + step * self._action_bytes
        wanted = min(self._horizon, steps - step) * self._action_bytes
        start = row * self._horizon * self._action_bytes
        return found == size and wanted == os.preadv(descriptor, [self._actions[start : start + wanted]], actions_at)

    def copy(self, row: int, payload: Payload, *, step: int) -> None:
        """Fill a row from an episode in memory."""
        self.inputs_BI[row] = np.concatenate([payload.features_TF[step], payload.state_TP[step]])
        actions_HA = payload.action_TA[step : step + self._horizon]
        self.actions_BHA[row, : len(actions_HA)] = actions_HA


def widths_of(payload: Payload) -> Widths:
    return Widths(payload.features_TF.shape[1], payload.state_TP.shape[1], payload.action_TA.shape[1])


class _Layout(msgspec.Struct, frozen=True):
    """Numbers of the header."""

    steps: int
    widths: Widths
    crc32: int

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return _HEADER.size + self.steps * (self.widths.input_bytes + self.widths.action_bytes)


class _OpenFile(msgspec.Struct, frozen=True):
    """`widths`: one object for all files of the same ones."""

    descriptor: int
    steps: int
    widths: Widths


class FeatureStore:
    """See the module. Methods may be called from any thread."""

    def __init__(self, folder: Path | None, *, max_bytes: int) -> None:
        """`folder` None: a temporary one, removed with this object."""
        self._lock = threading.RLock()
        self._max_bytes = max_bytes
        self._sizes: collections.OrderedDict[str, int] = collections.OrderedDict()  # longest unused first
        self._used: list[str] = []  # whose places in `_sizes` are behind: see `_mark_used`
        self._open: dict[str, _OpenFile] = {}  # longest open first
        self._max_open = max(16, min(_MAX_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
        self._verified: dict[str, _Layout] = {}
        self._widths: dict[Widths, Widths] = {}
        self._numbers = itertools.count()
        self._bytes = 0
        self._folder = folder if folder is not None else Path(tempfile.mkdtemp(prefix="sop-features-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._prefix = f"{self._folder}/"  # making a Path costs more than opening the file
        weakref.finalize(self, _close, self._open, self._folder if folder is None else None)
        self._find()

    @property
    def size_bytes(self) -> int:
        """Bytes of the files."""
        return self._bytes

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._sizes)

    def __contains__(self, key: str) -> bool:
        return key in self._sizes or self._path(key).is_file()

    def put(self, key: str, payload: Payload) -> None:
        """Write an episode; then, over the bound, the longest unused others go. Raises: OSError if the disk fails."""
        layout, data = _encode(payload)
        partial = self._folder / f".{key}.{os.getpid()}.{next(self._numbers)}.partial"
        try:
            partial.write_bytes(data)
            with self._lock:
                self._forget(key)
                partial.replace(self._path(key))
                self._sizes[key] = len(data)
                self._bytes += len(data)
                self._verified[key] = layout
                self._evict()
        finally:
            partial.unlink(missing_ok=True)

    def rows(self, keys: Sequence[str], steps: Sequence[int], horizon: int) -> tuple[FrameBatch | None, list[int]]:
        """Return the frames at `steps` of the episodes `keys`, row by row, and which rows are of episodes that are not
        here (any more); these are zero. No batch if that is so of all.

        Raises: ValueError if the episodes have several widths.
        """
        batch: FrameBatch | None = None
        missing = []
        with self._lock:
            for row, (key, step) in enumerate(zip(keys, steps, strict=True)):
                file = self._open.get(key) or self._open_file(key)
                if file is None:
                    missing.append(row)
                    continue
                if batch is None:
                    batch = FrameBatch(len(keys), horizon, file.widths)
                elif file.widths is not batch.widths:
                    raise ValueError(f"episodes of {batch.widths} and of {file.widths} in one batch")
                if not batch.read(row, file.descriptor, file.steps, step):  # cut off since it was verified
                    self._discard(key)
                    missing.append(row)
            self._mark_used(keys)
        return batch, missing

    def payload(self, key: str) -> Payload | None:
        """Return a whole episode, None if it is not here (any more)."""
        with self._lock:
            file = self._open.get(key) or self._open_file(key)
            if file is None:
                return None
            layout = self._verified[key]
            data = os.pread(file.descriptor, layout.size, _HEADER.size)
            if len(data) != layout.size - _HEADER.size:
                self._discard(key)
                return None
            self._mark_used([key])
        return _decode(np.frombuffer(data, dtype=np.float32), layout)

    def _find(self) -> None:
        """Take over what lies in the folder, oldest first."""
        found = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):  # another process evicts
                if entry.name.endswith(_SUFFIX):
                    found.append((entry.stat().st_mtime_ns, entry.name.removesuffix(_SUFFIX), entry.stat().st_size))
                elif entry.name.endswith(".partial") and time.time() - entry.stat().st_mtime > _PARTIAL_AGE_S:
                    Path(entry.path).unlink()
        self._sizes.update((key, size) for _, key, size in sorted(found))
        self._bytes = sum(self._sizes.values())
        self._evict()

    def _open_file(self, key: str) -> _OpenFile | None:
        """Open and verify an episode's file; None if there is no sound one."""
        file = self._open_verified(key)
        if file is None:
            self._discard(key)
            return None
        if key not in self._sizes:  # written by another process
            self._sizes[key] = self._verified[key].size
            self._bytes += self._sizes[key]
        self._open[key] = file
        if len(self._open) > self._max_open:
            os.close(self._open.pop(next(iter(self._open))).descriptor)
        return file

    def _open_verified(self, key: str) -> _OpenFile | None:
        try:
            descriptor = os.open(f"{self._prefix}{key}{_SUFFIX}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        layout = self._verified.get(key)
        if layout is None:
            layout = _verified_layout(descriptor)
            if layout is None:
                os.close(descriptor)
                return None
            self._verified[key] = layout
        return _OpenFile(descriptor, layout.steps, self._widths.setdefault(layout.widths, layout.widths))

    def _discard(self, key: str) -> None:
        """Forget a file that is damaged or gone, and remove what is left of it."""
        self._forget(key)
        self._path(key).unlink(missing_ok=True)

    def _forget(self, key: str) -> None:
        file = self._open.pop(key, None)
        if file is not None:
            os.close(file.descriptor)
        self._bytes -= self._sizes.pop(key, 0)
        self._verified.pop(key, None)

    def _mark_used(self, keys: Sequence[str]) -> None:
        """Note what was read. Their order is made up for when it matters: row by row it took a tenth of the reading."""
        self._used += keys
        if len(self._used) > _MAX_USED:
            self._sort_used()

    def _sort_used(self) -> None:
        for key in self._used:
            if key in self._sizes:
                self._sizes.move_to_end(key)
        self._used.clear()

    def _evict(self) -> None:
        """Over the bound, remove the longest unused; the newest stays, whatever its size."""
        if self._bytes > self._max_bytes:
            newest = next(reversed(self._sizes))
            self._sort_used()
            self._sizes.move_to_end(newest)
        while self._bytes > self._max_bytes and len(self._sizes) > 1:
            self._discard(next(iter(self._sizes)))

    def _path(self, key: str) -> Path:
        return Path(f"{self._prefix}{key}{_SUFFIX}")


def _encode(payload: Payload) -> tuple[_Layout, bytes]:
    inputs = np.concatenate([payload.features_TF, payload.state_TP], axis=1).astype(np.float32)
    body = inputs.tobytes() + payload.action_TA.astype(np.float32).tobytes()
    layout = _Layout(len(inputs), widths_of(payload), zlib.crc32(body))
    widths = msgspec.structs.astuple(layout.widths)
    return layout, _HEADER.pack(_MAGIC, layout.steps, *widths, layout.crc32) + body


def _decode(values: Array, layout: _Layout) -> Payload:
    features, split = layout.widths.features, layout.steps * (layout.widths.features + layout.widths.state)
    inputs = values[:split].reshape(layout.steps, -1)
    return Payload(inputs[:, :features], inputs[:, features:], values[split:].reshape(layout.steps, -1))


def _verified_layout(descriptor: int) -> _Layout | None:
    """Return the header, None if it is another format, does not fit the file's size, or its checksum is not that."""
    data = os.pread(descriptor, _HEADER.size, 0)
    if len(data) < _HEADER.size:
        return None
    magic, steps, features, state, action, crc32 = _HEADER.unpack(data)
    layout = _Layout(steps, Widths(features, state, action), crc32)
    if magic != _MAGIC or layout.size != os.fstat(descriptor).st_size:
        return None
    return layout if zlib.crc32(os.pread(descriptor, layout.size, _HEADER.size)) == crc32 else None


def _close(files: dict[str, _OpenFile], temporary: Path | None) -> None:
    for file in files.values():
        os.close(file.descriptor)
    files.clear()
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)
