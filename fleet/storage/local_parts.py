"""Uploads in parts to a folder: `.parts/<key>/<name of the plan>/<number>`, until they become one file.

The name holds what was promised, so another promise for the same key never meets these parts. A part is checked before
it takes its name, and the whole is hashed as it is put together, which needs the room of the object once more.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.protocol.errors import ObjectMismatch
from fleet.storage.base import SignedPut, StoreUnavailable
from fleet.storage.parts import PartedUpload, PartPlan

if TYPE_CHECKING:
    from fleet.storage.local import LocalStore

FOLDER = ".parts"  # no part of a key begins with a dot, so nothing here is ever listed
_PIECE = 1024 * 1024


def upload_name(plan: PartPlan) -> str:
    """Return what tells this upload of a key from others."""
    return f"{plan.sha256}-{plan.size}-{plan.part_bytes}"


class LocalParts(PartedUpload):
    """`sign`: makes the signed URL of a part."""

    def __init__(
        self, store: LocalStore, key: str, plan: PartPlan, folder: Path, sign: Callable[[int, int], SignedPut]
    ) -> None:
        self._store, self._key, self._plan, self._folder, self._sign = store, key, plan, folder, sign
        self.missing = tuple(number for number in plan.numbers if not self._is_here(number))

    def sign(self, number: int, *, expires_s: int) -> SignedPut:
        return self._sign(number, expires_s)

    def complete(self) -> None:
        try:
            self._store.put_pieces(self._key, self._pieces(), size=self._plan.size, sha256=self._plan.sha256)
        except FileNotFoundError:
            raise StoreUnavailable("a part is not here any more; send it again", key=self._key) from None
        except ObjectMismatch:  # the parts are what was promised of them, so the promise of the whole is wrong
            remove(self._folder)
            raise
        remove(self._folder.parent)  # with what earlier promises for this key left

    def _is_here(self, number: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return self._path(number).stat().st_size == self._plan.size_of(number)
        return False

    def _path(self, number: int) -> Path:
        return part_path(self._folder, number, self._plan.digest_of(number))

    def _pieces(self) -> Iterator[bytes]:
        for number in self._plan.numbers:
            with self._path(number).open("rb") as file:
                yield from iter(lambda: file.read(_PIECE), b"")


def part_path(folder: Path, number: int, sha256: str) -> Path:
    """Return where a part lies; its name holds its hash, which was checked before it got it."""
    return folder / f"{number:05d}-{sha256}"


def remove_unfinished(root: Path, prefix: str) -> None:
    """Remove all parts of keys that begin with `prefix`."""
    place = root / FOLDER / prefix.rpartition("/")[0]
    name = prefix.rpartition("/")[2]
    for path in list(place.iterdir()) if place.is_dir() else ():
        if path.name.startswith(name):
            remove(path)


def remove(folder: Path) -> None:
    """Remove a folder below FOLDER, and those above it that are empty then."""
    shutil.rmtree(folder, ignore_errors=True)
    for above in folder.parents:
        if above.name == FOLDER:
            return
        with contextlib.suppress(OSError):  # others' parts lie there
            above.rmdir()


def unfinished(root: Path) -> Iterator[tuple[Path, float, int]]:
    """Yield each folder of parts, when the newest came (Unix seconds), and the bytes of all."""
    for folder in sorted({path.parent for path in (root / FOLDER).rglob("*") if path.is_file()}):
        with contextlib.suppress(FileNotFoundError):  # its upload ended well meanwhile
            sizes = [path.stat().st_size for path in folder.iterdir()]
            yield folder, folder.stat().st_mtime, sum(sizes)
