"""Objects that arrive in parts: how they are cut, and what an upload under way can do.

Each part is PUT by a signed URL that holds its size and SHA-256, so the store refuses other bytes. The object takes its
key in one step, once every part is there. That the parts together have the SHA-256 of the whole is not known then: it
is read and hashed before its episode is registered (`services/episode_check.py`). ADR 0009.
"""

from __future__ import annotations

import abc
import base64
import hashlib
import re
from dataclasses import dataclass

from fleet.storage.base import SignedPut, StorageError

MIN_PART_BYTES = 5 * 1024**2  # S3 takes no smaller one, but for the last
MAX_PARTS = 10_000  # of S3
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PartsInvalid(StorageError):
    """The parts that were named cannot make this object."""

    code = "parts_invalid"


@dataclass(frozen=True)
class PartPlan:
    """How an object of `size` bytes is cut: every part but the last has `part_bytes`. Parts count from 1.

    `sha256`: of the whole, as promised. `parts`: SHA-256 of each part in order. All in lower-case hex.
    """

    size: int
    sha256: str
    part_bytes: int
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises: PartsInvalid."""
        if self.part_bytes < MIN_PART_BYTES:
            raise PartsInvalid(f"a part has {MIN_PART_BYTES} bytes at least")
        if len(self.parts) != -(-self.size // self.part_bytes) or not 0 < len(self.parts) <= MAX_PARTS:
            raise PartsInvalid(f"{len(self.parts)} parts do not make {self.size} bytes")
        if not all(_SHA256.fullmatch(digest) for digest in (self.sha256, *self.parts)):
            raise PartsInvalid("a hash is 64 lower-case hex digits")

    @property
    def numbers(self) -> range:
        return range(1, len(self.parts) + 1)

    def size_of(self, number: int) -> int:
        """Return the bytes of a part."""
        return min(self.part_bytes, self.size - (number - 1) * self.part_bytes)

    def digest_of(self, number: int) -> str:
        return self.parts[number - 1]

    @property
    def composite(self) -> str:
        """The checksum that S3 keeps of an object in parts: of its parts' digests, and how many they are."""
        digests = b"".join(bytes.fromhex(digest) for digest in self.parts)
        return f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(self.parts)}"


class PartedUpload(abc.ABC):
    """An upload under way. `missing`: the numbers of parts that are not stored, as seen when it was opened."""

    missing: tuple[int, ...]

    @abc.abstractmethod
    def sign(self, number: int, *, expires_s: int) -> SignedPut:
        """Return where to PUT a part until it expires. The same part again replaces itself."""

    @abc.abstractmethod
    def complete(self) -> None:
        """Give the object its key in one step; a key that holds the same bytes already is no error.

        Raises: ObjectConflict if it holds others; StoreUnavailable if a part is not there (any more), StoreFull.
        The object is not there then, and what is left of it can be sent again.
        """
