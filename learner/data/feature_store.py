"""Encoded episodes on the local disk, bounded in bytes, read row by row. Used by `loader.py`.

One file an episode, named by what decides its content (`loader.py` makes the key); a file lies there whole or not at
all, and its checksum is verified when this process first opens it, so a damaged file is a missing one. Rows are read
with pread: the kernel caches what is used often, and this process's memory does not grow with the episodes. Over the
bound the longest unused files go. Several processes may share a folder, each with its own bound.

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


class Payload(msgspec.Struct, frozen=True):
    """What training reads of an episode, float32 [T, F], [T, P], [T, A]."""

    features_TF: Array
    state_TP: Array
    action_TA: Array


class Row(msgspec.Struct, frozen=True):
    """What training reads of one frame, float32 [F], [P], and the next actions [h, A], fewer at the episode's end."""

    features_F: Array
    state_P: Array
    actions_HA: Array


class _Layout(msgspec.Struct, frozen=True):
    """Numbers of the header: steps, widths, checksum."""

    steps: int
    features: int
    state: int
    action: int
    crc32: int

    @property
    def input_bytes(self) -> int:
        """Bytes of a row of the first part."""
        return _FLOAT_BYTES * (self.features + self.state)

    @property
    def action_bytes(self) -> int:
        return _FLOAT_BYTES * self.action

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return _HEADER.size + self.steps * (self.input_bytes + self.action_bytes)


class _OpenFile(msgspec.Struct, frozen=True):
    descriptor: int
    layout: _Layout


class FeatureStore:
    """See the module. Methods may be called from any thread."""

    def __init__(self, folder: Path | None, *, max_bytes: int) -> None:
        """`folder` None: a temporary one, removed with this object."""
        self._lock = threading.RLock()
        self._max_bytes = max_bytes
        self._sizes: collections.OrderedDict[str, int] = collections.OrderedDict()  # longest unused first
        self._open: collections.OrderedDict[str, _OpenFile] = collections.OrderedDict()
        self._max_open = max(16, min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))
        self._verified: set[str] = set()
        self._numbers = itertools.count()
        self._bytes = 0
        self._folder = folder if folder is not None else Path(tempfile.mkdtemp(prefix="sop-features-"))
        self._folder.mkdir(parents=True, exist_ok=True)
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
        data = _encode(payload)
        partial = self._folder / f".{key}.{os.getpid()}.{next(self._numbers)}.partial"
        try:
            partial.write_bytes(data)
            with self._lock:
                self._forget(key)
                partial.replace(self._path(key))
                self._sizes[key] = len(data)
                self._bytes += len(data)
                self._verified.add(key)
                self._evict()
        finally:
            partial.unlink(missing_ok=True)

    def row(self, key: str, step: int, horizon: int) -> Row | None:
        """Return one frame, None if the episode is not here (any more)."""
        with self._lock:
            file = self._file(key)
            if file is None:
                return None
            layout = file.layout
            inputs = self._read(file, _HEADER.size + step * layout.input_bytes, layout.input_bytes)
            actions_at = _HEADER.size + layout.steps * layout.input_bytes + step * layout.action_bytes
            steps = min(horizon, layout.steps - step)
            actions = self._read(file, actions_at, steps * layout.action_bytes)
            if inputs is None or actions is None:  # cut off since it was verified
                self._discard(key)
                return None
        return Row(inputs[: layout.features], inputs[layout.features :], actions.reshape(steps, layout.action))

    def payload(self, key: str) -> Payload | None:
        """Return a whole episode, None if it is not here (any more)."""
        with self._lock:
            file = self._file(key)
            if file is None:
                return None
            layout = file.layout
            values = self._read(file, _HEADER.size, layout.size - _HEADER.size)
            if values is None:
                self._discard(key)
                return None
        return _decode(values, layout)

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

    def _file(self, key: str) -> _OpenFile | None:
        """Open and verify an episode's file, or return the open one; None if there is no sound one."""
        file = self._open.get(key)
        if file is None:
            file = self._open_verified(key)
            if file is None:
                self._discard(key)
                return None
            self._open[key] = file
            if key not in self._sizes:  # written by another process
                self._sizes[key] = file.layout.size
                self._bytes += file.layout.size
            if len(self._open) > self._max_open:
                os.close(self._open.popitem(last=False)[1].descriptor)
        self._open.move_to_end(key)
        self._sizes.move_to_end(key)
        return file

    def _open_verified(self, key: str) -> _OpenFile | None:
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        layout = _read_layout(descriptor)
        if layout is not None and key not in self._verified:
            body = os.pread(descriptor, layout.size, _HEADER.size)
            if zlib.crc32(body) != layout.crc32:
                layout = None
            self._verified.add(key)
        if layout is None:
            os.close(descriptor)
            return None
        return _OpenFile(descriptor, layout)

    def _read(self, file: _OpenFile, offset: int, size: int) -> Array | None:
        """Return `size` bytes as float32, None if the file is shorter."""
        data = os.pread(file.descriptor, size, offset)
        return np.frombuffer(data, dtype=np.float32) if len(data) == size else None

    def _discard(self, key: str) -> None:
        """Forget a file that is damaged or gone, and remove what is left of it."""
        self._forget(key)
        self._path(key).unlink(missing_ok=True)

    def _forget(self, key: str) -> None:
        file = self._open.pop(key, None)
        if file is not None:
            os.close(file.descriptor)
        self._bytes -= self._sizes.pop(key, 0)
        self._verified.discard(key)

    def _evict(self) -> None:
        while self._bytes > self._max_bytes and len(self._sizes) > 1:
            self._discard(next(iter(self._sizes)))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"


def _encode(payload: Payload) -> bytes:
    inputs = np.concatenate([payload.features_TF, payload.state_TP], axis=1).astype(np.float32)
    body = inputs.tobytes() + payload.action_TA.astype(np.float32).tobytes()
    steps, features = payload.features_TF.shape
    widths = (payload.state_TP.shape[1], payload.action_TA.shape[1])
    return _HEADER.pack(_MAGIC, steps, features, *widths, zlib.crc32(body)) + body


def _decode(values: Array, layout: _Layout) -> Payload:
    split = layout.steps * (layout.features + layout.state)
    inputs = values[:split].reshape(layout.steps, -1)
    action_TA = values[split:].reshape(layout.steps, layout.action)
    return Payload(inputs[:, : layout.features], inputs[:, layout.features :], action_TA)


def _read_layout(descriptor: int) -> _Layout | None:
    """Return the header, None if it is another format or does not fit the file's size."""
    data = os.pread(descriptor, _HEADER.size, 0)
    if len(data) < _HEADER.size:
        return None
    magic, *numbers = _HEADER.unpack(data)
    layout = _Layout(*numbers)
    return layout if magic == _MAGIC and layout.size == os.fstat(descriptor).st_size else None


def _close(files: dict[str, _OpenFile], temporary: Path | None) -> None:
    for file in files.values():
        os.close(file.descriptor)
    files.clear()
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)
