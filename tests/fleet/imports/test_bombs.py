"""Pictures that are small on disk and huge in memory: refused before the memory is taken."""

from __future__ import annotations

import resource
import struct
import zlib
from pathlib import Path

import pyarrow as pa
import pytest

from fleet.imports.video import MAX_PIXELS, _reading, decode_images
from fleet.protocol.errors import InvalidEpisode


def png(width: int, height: int) -> bytes:
    """A black picture; deflate makes a thousandth of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), b"\0" * (1 + 3 * width)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_picture_that_would_fill_the_memory_is_refused() -> None:
    bomb = png(12_000, 12_000)
    assert len(bomb) < 1_000_000 < MAX_PIXELS < 12_000**2
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidEpisode, match="picture 1 does not decode"):
        list(decode_images(pa.chunked_array([[png(64, 48), bomb]]), size=None, every=1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB; decoded it has 432 MB


def test_pictures_within_the_bound_decode() -> None:
    (found,) = decode_images(pa.chunked_array([[png(64, 48)]]), size=None, every=1)
    assert found.shape == (48, 64, 3)


def test_a_bomb_as_a_video_is_refused(tmp_path: Path) -> None:
    """Indexing looks at packets alone; the first frame that is decoded is refused."""
    path = tmp_path / "front.mp4"
    path.write_bytes(png(12_000, 12_000))
    with pytest.raises(InvalidEpisode), _reading(path) as (container, _):
        next(container.decode(video=0))
