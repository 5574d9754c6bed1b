"""Bytes by their SHA-256 in a folder: what backups share, so that each adds only what is new. No Django.

`<folder>/<first two digits>/<sha256>`. A write takes its name in one step once it is on disk, so what bears a name is
whole. Nothing is encrypted here: the folder belongs on a disk that is.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

_PIECE = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Vault:
    """Bytes of one folder by their hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def holds(self, sha256: str, *, size: int) -> bool:
        """Whether a file of this name and size is there; `take` named it once its hash was known."""
        try:
            return self.path(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def take(self, source: IO[bytes]) -> tuple[int, str]:
        """Keep the stream's bytes, durably; return (size, sha256)."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found, size = hashlib.sha256(), 0
        handle, name = tempfile.mkstemp(prefix=".incoming-", dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                while piece := source.read(_PIECE):
                    found.update(piece)
                    size += len(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            target = self.path(found.hexdigest())
            target.parent.mkdir(exist_ok=True, mode=0o700)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return size, found.hexdigest()

    def sweep(self, wanted: Collection[str]) -> tuple[int, int]:
        """Remove what is not wanted, and pieces of writes that never ended; return (files, bytes)."""
        count = size = 0
        for path in self._files():
            if path.name not in wanted:
                count, size = count + 1, size + path.stat().st_size
                path.unlink()
        return count, size

    def _files(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from self._folder.glob(".incoming-*")
            yield from (path for path in self._folder.glob("??/*") if _SHA256.fullmatch(path.name))
