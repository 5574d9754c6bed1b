"""Where an export's files go. A sink shows the whole export or nothing of it.

Files are made one at a time in the sink's local `work` folder and handed over when they are complete and synced, so a
sink that sends them elsewhere (an S3 prefix) needs room for the file under way alone.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fleet.exports.errors import DiskFull, ExportBusy, NameInvalid, TargetTaken
from fleet.protocol.recording import sha256_of_file

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=+-]{0,127}")
FULL = (errno.ENOSPC, errno.EDQUOT)


def check_name(name: str) -> str:
    """Return a file's name in the export. Raises: NameInvalid unless it is a relative path of plain names."""
    parts = name.split("/")
    if len(parts) > 8 or not all(_PART.fullmatch(part) for part in parts):
        raise NameInvalid(f"'{name[:100]!a}' is no file name for an export")
    return name


class Sink(abc.ABC):
    """`work`: local folder for the journal and the file under way; it outlives a crash and goes with the end."""

    work: Path

    @abc.abstractmethod
    @contextlib.contextmanager
    def begin(self) -> Iterator[None]:
        """Take the sink for this process. Raises: ExportBusy."""

    @abc.abstractmethod
    def finished(self, name: str) -> bytes | None:
        """Return a small file of what stands finished at the target, None if nothing does.

        Raises: TargetTaken if the target holds something without that file.
        """

    @abc.abstractmethod
    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        """Whether this file was kept before, with these bytes."""

    @abc.abstractmethod
    def keep(self, name: str, path: Path) -> None:
        """Take a complete, synced file out of `work`, durably; replaces one of that name."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Drop the files kept so far; `work` stays."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Show the kept files at the target in one step, and clean up."""

    @abc.abstractmethod
    def discard(self) -> None:
        """Drop the kept files and `work`."""

    def create(self, path: Path) -> IO[bytes]:
        """Open the file under way for writing; a test's sink makes it fail."""
        return path.open("w+b", buffering=1024 * 1024)


class FolderSink(Sink):
    """A folder that appears at `target` when the export is complete. Until then all lies in a hidden sibling."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.work = target.parent / f".{target.name}.export"
        self._files = self.work / "files"

    @contextlib.contextmanager
    def begin(self) -> Iterator[None]:
        self._files.mkdir(parents=True, exist_ok=True)
        with (self.work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExportBusy(f"another process exports to {self._target.name}") from None
            yield

    def finished(self, name: str) -> bytes | None:
        if not self._target.exists():
            return None
        path = self._target / name
        if not path.is_file():
            raise TargetTaken(f"there is something else at {self._target.name}")
        return path.read_bytes()

    def holds(self, name: str, *, size: int, sha256: str) -> bool:
        path = self._files / check_name(name)
        return path.is_file() and path.stat().st_size == size and sha256_of_file(path) == (size, sha256)

    def keep(self, name: str, path: Path) -> None:
        target = self._files / check_name(name)
        missing = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        for folder in (target.parent, *(folder.parent for folder in missing)):
            sync_folder(folder)

    def clear(self) -> None:
        shutil.rmtree(self._files)
        self._files.mkdir()

    def commit(self) -> None:
        self._files.replace(self._target)
        sync_folder(self._target.parent)
        self.discard()

    def discard(self) -> None:
        shutil.rmtree(self.work)


@contextlib.contextmanager
def full_disk_as_error() -> Iterator[None]:
    """Raises: DiskFull for the operating system's own words for it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull("the disk is full; nothing of this export is left on it") from error
        raise


def sync_folder(folder: Path) -> None:
    """Make new names durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
