"""Small files that must survive a crash: whole old content or whole new content, never half. And full disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data` atomically and flush it. `mode`: permissions from the first moment on.

    Raises: OSError when the disk fails; the old content is then still there, and nothing else.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk needs what had been written of it
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file's or directory's data to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether the disk, or what this user may have of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def free_bytes(directory: Path) -> int:
    """Return what may still be written to the disk of a directory."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


def held_bytes(path: Path) -> int:
    """Return what a file takes of its disk, 0 if it is not there: less than its size while it has holes."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def size_of(directory: Path) -> int:
    """Return the bytes of the files directly in a directory."""
    return sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
