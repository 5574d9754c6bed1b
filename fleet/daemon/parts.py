"""A large object in parts: what each has for a hash, and its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from fleet.protocol.messages import ObjectParts

PIECE_BYTES = 256 * 1024


def cut(path: Path, *, name: str, part_bytes: int) -> ObjectParts:
    """Read a file once and return the SHA-256 of each part of so many bytes, the last one shorter. Raises: OSError."""
    digests: list[str] = []
    with path.open("rb") as file:
        while True:
            found, left = hashlib.sha256(), part_bytes
            while left and (piece := file.read(min(PIECE_BYTES, left))):
                found.update(piece)
                left -= len(piece)
            if left == part_bytes:
                return ObjectParts(name=name, part_bytes=part_bytes, sha256=tuple(digests))
            digests.append(found.hexdigest())


async def pieces(path: Path, *, start: int, size: int) -> AsyncIterator[bytes]:
    """Yield `size` bytes of a file from `start` on."""
    with path.open("rb") as file:
        file.seek(start)
        while size > 0 and (piece := file.read(min(PIECE_BYTES, size))):
            size -= len(piece)
            yield piece
