"""A stored object as a seekable file, for readers that jump about in it, such as FFmpeg in an MP4.

A read elsewhere than where the last one ended opens another stream. Of a folder that costs nothing, of a bucket one
ranged GET, so this is for readers that jump a few times and then read on.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO

from fleet.storage.base import ObjectStore


class SeekableObject(io.RawIOBase):
    """Read-only. `before_read`: called before each read; what it raises ends the reader.

    Raises: ObjectMissing when it is opened, StoreUnavailable from any read.
    """

    def __init__(self, store: ObjectStore, key: str, *, before_read: Callable[[], object]) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._before_read = before_read
        self._size = store.size(key)
        self._position = 0
        self._stream: IO[bytes] | None = None
        self._stream_position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        self._before_read()
        left = max(0, self._size - self._position)
        if not left:
            return b""
        data = self._here().read(left if size is None or size < 0 else min(size, left))
        self._position += len(data)
        self._stream_position = self._position
        return data

    def close(self) -> None:
        self._drop()
        super().close()

    def _here(self) -> IO[bytes]:
        if self._stream is None or self._stream_position != self._position:
            self._drop()
            self._stream = self._store.open(self._key, start=self._position)
            self._stream_position = self._position
        return self._stream

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
