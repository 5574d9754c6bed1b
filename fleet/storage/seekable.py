"""A stored object as a seekable file, for readers that jump about in it, such as FFmpeg in an MP4.

Read in blocks, of which the newest stay: of a bucket one GET serves a reader that goes straight on, and one that goes
back and forth between two places (an MP4's index and its frames) costs one for a block, not one for a read. A reader
that has seen what it came for may go on over blanks, which cost nothing.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import IO

from fleet.storage.base import ObjectStore

BLOCK_BYTES = 256 * 1024
BLOCKS = 16  # kept in memory


class SeekableObject(io.RawIOBase):
    """Read-only. `size`: of the object, in bytes. `before_read`: called before each read; what it raises ends it.

    `is_blank`: reads return zeros, as many as there would be bytes. Raises: ObjectMissing and StoreUnavailable from
    any other read.
    """

    def __init__(self, store: ObjectStore, key: str, *, size: int, before_read: Callable[[], object]) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._before_read = before_read
        self._size = size
        self._position = 0
        self.is_blank = False
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._stream: IO[bytes] | None = None
        self._following = -1  # where the block after the one that was fetched last begins

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
        wanted = left if size is None or size < 0 else min(size, left)
        if self.is_blank:
            self._position += wanted
            return bytes(wanted)
        pieces = []
        while wanted:
            index, offset = divmod(self._position, BLOCK_BYTES)
            piece = self._block(index)[offset : offset + wanted]
            if not piece:
                break  # it was longer when it was opened
            pieces.append(piece)
            self._position += len(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._drop()
        self._blocks.clear()
        super().close()

    def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
        else:
            self._blocks[index] = self._fetch(index * BLOCK_BYTES)
            if len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        return self._blocks[index]

    def _fetch(self, start: int) -> bytes:
        if start != self._following:
            self._drop()
            data = self._store.read(self._key, start=start, size=BLOCK_BYTES)
        else:  # a second block in a row: more will follow
            if self._stream is None:
                self._stream = self._store.open(self._key, start=start)
            data = self._stream.read(BLOCK_BYTES)
        self._following = start + len(data)
        return data

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
