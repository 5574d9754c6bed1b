"""An export as one tar stream, made of its files while it is sent: nothing is stored a second time.

Where each file begins follows from the names and sizes alone, so any range of the stream maps to ranges of files. The
bytes are those that Python's `tarfile` writes (pax: names over 100 characters and files over 8 GiB get a header of
their own); owner, mode and time are fixed, so equal exports give equal streams.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

VERSION = 1  # rises whenever the bytes of a stream change, so that no download is resumed across the change
_MODE = 0o644
_MTIME_S = 315_532_800  # 1980-01-01; GNU tar warns of times at or before 1970


@dataclass(frozen=True, slots=True)
class TarFile:
    """A file of the stream. `offset`: where its header begins."""

    name: str
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes [start, end) of a file."""

    name: str
    start: int
    end: int


def tar_header(path: str, size: int) -> bytes:
    """Return what stands before a file's bytes; `path` as it is extracted."""
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = size, _MODE, _MTIME_S
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def tar_next(path: str, size: int, offset: int) -> int:
    """Return where the file after this one begins, or the end of the last."""
    return offset + len(tar_header(path, size)) + size + _padding(size)


def tar_size(offset: int) -> int:
    """Return the stream's size if the last file ends at `offset`: two empty blocks, filled up to a record."""
    end = offset + 2 * tarfile.BLOCKSIZE
    return -(-end // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def tar_pieces(
    files: Iterable[TarFile], folder: str, *, total: int, start: int, end: int
) -> Iterator[bytes | FileRange]:
    """Yield bytes [start, end) of a stream of `total` bytes.

    `files`: in the stream's order, from the one in which `start` lies (any earlier one) up to its end; `folder`: what
    every path begins with.
    """
    at = start
    for file in files:
        if at >= end:
            return
        header = tar_header(f"{folder}/{file.name}", file.size)
        data = file.offset + len(header)
        padding = data + file.size
        yield from _slice(header, file.offset, at, end)
        if max(at, data) < min(end, padding):
            yield FileRange(file.name, max(at, data) - data, min(end, padding) - data)
        yield from _slice(bytes(_padding(file.size)), padding, at, end)
        at = max(at, padding + _padding(file.size))
    if at < min(end, total):
        yield bytes(min(end, total) - at)


def _slice(piece: bytes, offset: int, start: int, end: int) -> Iterator[bytes]:
    """Yield what of a piece at `offset` lies in [start, end), if anything does."""
    found = piece[max(0, start - offset) : max(0, end - offset)]
    if found:
        yield found


def _padding(size: int) -> int:
    return -size % tarfile.BLOCKSIZE
