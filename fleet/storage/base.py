"""The contract of an object store: keys to bytes, atomic and immutable for those who upload by signed URL.

`local.py` implements it over a folder, `s3.py` over a bucket; one contract suite runs over both.
A key is a relative path of plain names, see `keys.py`.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fleet.protocol.errors import SopError

if TYPE_CHECKING:
    from fleet.storage.parts import PartedUpload, PartPlan

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,127}){0,9}")


class StorageError(SopError):
    code = "storage_error"


class ConfigurationInvalid(StorageError):
    code = "configuration_invalid"


class StoreUnavailable(StorageError):
    """The store does not answer or refuses us: what was asked may be tried again."""

    code = "store_unavailable"


class StoreFull(StoreUnavailable):
    """The store has no room for this object, and nothing of it was kept; there may be room again later."""

    code = "store_full"


class StoreUnmounted(StoreUnavailable):
    """The folder is not the store's: it lacks the marker, as the mount point of a volume that is away does."""

    code = "store_unmounted"


class ObjectMissing(StorageError):
    code = "object_missing"


class ObjectConflict(StorageError):
    """The key holds other content already."""

    code = "object_conflict"


class KeyInvalid(StorageError):
    code = "key_invalid"


class SignatureInvalid(StorageError):
    code = "signature_invalid"


@dataclass(frozen=True)
class StoredObject:
    """What a listing says of an object. `modified_at`: when its bytes arrived, by the store's clock."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True)
class Swept:
    """What is left of uploads that never finished: pieces that no key names."""

    count: int
    size: int


@dataclass(frozen=True)
class SignedPut:
    """Where and how to PUT one object: exactly these headers must be sent."""

    url: str
    headers: dict[str, str]


class ObjectStore(abc.ABC):
    """Keys to bytes. A reader sees a whole object or none. Every method raises KeyInvalid for an impossible key.

    A store behind a network raises StoreUnavailable from every method that asks it, within bounded time.
    """

    def begin(self) -> bool:
        """Make this place a store, where that has to be said (a folder); return whether it was none before."""
        return False

    @abc.abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Store bytes atomically and durably, replacing what was there."""

    @abc.abstractmethod
    def get(self, key: str) -> bytes:
        """Return the whole object. Raises: ObjectMissing."""

    @abc.abstractmethod
    def put_file(self, key: str, path: Path, *, sha256: str) -> None:
        """Store a file of any size as `put` does; `sha256`: of its bytes, which the caller hashed.

        Raises: ObjectMismatch if the file holds other bytes now.
        """

    @abc.abstractmethod
    def holds(self, key: str, *, size: int, sha256: str) -> bool:
        """Whether `put_file` stored exactly these bytes here, without reading them all where the store can tell."""

    @abc.abstractmethod
    def open(self, key: str, *, start: int = 0) -> IO[bytes]:
        """Return the bytes from `start` on as a stream to be closed; nothing is read ahead of the reader.

        Raises: ObjectMissing, here or at the first read.
        """

    def read(self, key: str, *, start: int, size: int) -> bytes:
        """Return at most `size` bytes from `start` on; none beyond the end. Raises: ObjectMissing."""
        with self.open(key, start=start) as stream:
            return stream.read(size)

    @abc.abstractmethod
    def exists(self, key: str) -> bool: ...

    def existing(self, prefix: str, keys: Collection[str]) -> set[str]:
        """Return which of these keys hold an object. All begin with `prefix`, and few others do."""
        return {key for key in keys if self.exists(key)}

    @abc.abstractmethod
    def size(self, key: str) -> int:
        """Return the size in bytes. Raises: ObjectMissing."""

    @abc.abstractmethod
    def digest(self, key: str, *, before_read: Callable[[], object] = lambda: None) -> tuple[int, str]:
        """Return (size, lower-case hex SHA-256) of the bytes that are there now. Raises: ObjectMissing.

        `before_read`: called before each megabyte that has to be read for it; what it raises ends the reading.
        """

    @abc.abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; removing what is not there is no error."""

    @abc.abstractmethod
    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix`, in order."""

    @abc.abstractmethod
    def scan(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with `prefix`, in any order, with memory for a page of them."""

    @abc.abstractmethod
    def sweep(self, *, before: datetime, is_dry: bool) -> Swept:
        """Count what is left of uploads that began before this time and never finished; remove it unless `is_dry`."""

    @abc.abstractmethod
    def path_or_none(self, key: str) -> Path | None:
        """Return the file behind the key for reading. Raises: ObjectMissing. Stores without files ask nothing: None."""

    @abc.abstractmethod
    def sign_get(self, key: str, *, expires_s: int, holder: str = "") -> str:
        """Return a URL that reads the object until it expires; one that begins with "/" is relative to the server.

        `holder`: for whom; a store whose bytes the server sends counts downloads by it, a bucket takes no notice.
        """

    @abc.abstractmethod
    def sign_put(self, key: str, *, size: int, sha256: str, expires_s: int) -> SignedPut:
        """Return where to PUT an object of exactly this size and hash until it expires.

        Other bytes than promised are refused and nothing is stored. A key that is taken keeps its content: the same
        bytes again change nothing (200, or 412 where the store does not compare), other bytes are refused (409, 412).
        """

    @abc.abstractmethod
    def parted(self, key: str, plan: PartPlan) -> PartedUpload:
        """Go on with the unfinished upload of this object in parts, or begin one. Nothing is at the key until its end.

        Call it again to see what has arrived since. One upload of a key at a time.
        """

    @abc.abstractmethod
    def abandon(self, prefix: str) -> None:
        """Remove what is left of unfinished uploads of keys that begin with `prefix`."""


def check_key(key: str) -> str:
    """Return the key. Raises: KeyInvalid unless it is a relative path of plain names ("..", "//", "a/" are not)."""
    if len(key) > 300 or not _KEY.fullmatch(key):
        raise KeyInvalid(f"'{key[:100]}' is no object key")
    return key
