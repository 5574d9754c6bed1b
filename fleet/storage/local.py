"""Object store in a folder. URLs are signed for `/objects/<key>`, which `fleet/api/objects.py` serves.

A write goes to a temporary name in the same file system, is synced, and then takes its name in one step; so a crash
leaves a temporary file at worst, and never half an object. A full disk is StoreFull, and leaves nothing at all.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import quote, urlencode

from fleet.protocol.errors import ObjectMismatch
from fleet.protocol.recording import sha256_of_file
from fleet.storage import local_parts
from fleet.storage.base import (
    ConfigurationInvalid,
    KeyInvalid,
    ObjectConflict,
    ObjectMissing,
    ObjectStore,
    SignatureInvalid,
    SignedPut,
    StoredObject,
    StoreFull,
    StoreUnmounted,
    Swept,
    check_key,
)
from fleet.storage.parts import PartedUpload, PartPlan

URL_PREFIX = "/objects/"
_PIECE = 1024 * 1024
_UPLOAD = re.compile(r"[0-9a-f]{64}-[0-9]{1,15}-[0-9]{1,15}")  # as `local_parts.upload_name`
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = ".incoming"  # no part of a key begins with a dot, so nothing here is ever listed
_MARKER = ".sop-store"
_MARKER_TEXT = b"SOP keeps its objects in this folder, and takes it for an empty mount point without this file.\n"


class LocalStore(ObjectStore):
    """Objects as files under `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        signing_key: bytes | None = None,
        clock: Callable[[], float] = time.time,
        is_marker_required: bool = False,
    ) -> None:
        """`is_marker_required`: without the file that `begin` writes nothing is stored and nothing counts as missing
        (StoreUnmounted): what went into the mount point of a volume that is away would be hidden when it comes back."""
        self._folder = folder
        self._is_marker_required = is_marker_required
        self._signing_key = signing_key
        self._clock = clock

    @property
    def marker(self) -> Path:
        return self._folder / _MARKER

    @property
    def is_new(self) -> bool:
        """Whether nothing says that this folder is a store: no marker and no object."""
        return not self.marker.exists() and next(self.scan(), None) is None

    def begin(self) -> bool:
        if self.marker.exists():
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.marker.open("wb") as file:
            file.write(_MARKER_TEXT)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self._folder)
        return True

    def put(self, key: str, data: bytes) -> None:
        target = self._path(key)
        with self._temporary([data]) as temporary:
            self._name(temporary, target)

    def put_verified(self, key: str, source: BinaryIO, *, size: int, sha256: str) -> bool:
        """Store a stream of exactly `size` bytes with this hash; see `put_pieces`."""
        return self.put_pieces(key, _pieces(source, limit=size), size=size, sha256=sha256)

    def put_pieces(self, key: str, pieces: Iterable[bytes], *, size: int, sha256: str) -> bool:
        """Store exactly `size` bytes with this hash; True if it is new, False if it was there already.

        Raises: ObjectMismatch if the bytes differ from what was promised, ObjectConflict if the key holds other
        content. Nothing is stored then.
        """
        target = self._path(key)
        with self._temporary(pieces) as temporary:
            if sha256_of_file(temporary) != (size, sha256):
                raise ObjectMismatch("the body differs from its promised size or SHA-256", key=key)
            return self._name_once(temporary, target, sha256)

    def put_part(self, key: str, source: BinaryIO, *, upload: str, number: int, size: int, sha256: str) -> None:
        """Store a part of exactly `size` bytes with this hash. `upload`: as the signed URL names it.

        Raises: ObjectMismatch if the bytes differ from what was promised; KeyInvalid. Nothing is stored then.
        """
        target = local_parts.part_path(self._parts(key, upload), number, sha256)
        with self._temporary(_pieces(source, limit=size)) as temporary:
            if sha256_of_file(temporary) != (size, sha256):
                raise ObjectMismatch("the body differs from its promised size or SHA-256", key=key)
            self._name(temporary, target)

    def get(self, key: str) -> bytes:
        return self._existing(key).read_bytes()

    def put_file(self, key: str, path: Path, *, sha256: str) -> None:
        target = self._path(key)
        with path.open("rb") as source, self._temporary(iter(lambda: source.read(_PIECE), b"")) as temporary:
            if sha256_of_file(temporary)[1] != sha256:
                raise ObjectMismatch("the file differs from its SHA-256", key=key)
            self._name(temporary, target)

    def holds(self, key: str, *, size: int, sha256: str) -> bool:
        path = self._path(key)
        return self._is_there(path) and path.stat().st_size == size and sha256_of_file(path)[1] == sha256

    def open(self, key: str, *, start: int = 0) -> IO[bytes]:
        file = self._existing(key).open("rb")
        file.seek(start)
        return file

    def exists(self, key: str) -> bool:
        return self._is_there(self._path(key))

    def size(self, key: str) -> int:
        return self._existing(key).stat().st_size

    def digest(self, key: str, *, before_read: Callable[[], object] = lambda: None) -> tuple[int, str]:
        size, found = 0, hashlib.sha256()
        with self._existing(key).open("rb") as file:
            while True:
                before_read()
                if not (piece := file.read(_PIECE)):
                    return size, found.hexdigest()
                size += len(piece)
                found.update(piece)

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[str]:
        # Walk only the deepest folder that the prefix names completely.
        root = self._folder / prefix.rpartition("/")[0]
        found = (path.relative_to(self._folder) for path in root.rglob("*") if path.is_file())
        keys = (path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        yield from sorted(key for key in keys if key.startswith(prefix))

    def folder(self, key: str) -> Path:
        """Return where a folder of objects lies, for those who make and remove whole ones (exports).

        Raises: StoreUnmounted.
        """
        self._require_marker()
        return self._path(key)

    def scan(self, prefix: str = "") -> Iterator[StoredObject]:
        for place, folders, names in os.walk(self._folder / prefix.rpartition("/")[0]):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place) / name
                key = path.relative_to(self._folder).as_posix()
                if name.startswith(".") or not key.startswith(prefix):
                    continue
                with contextlib.suppress(FileNotFoundError):  # deleted since the folder was read
                    facts = path.stat()
                    yield StoredObject(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))

    def sweep(self, *, before: datetime, is_dry: bool) -> Swept:
        count = size = 0
        incoming = self._folder / _TEMPORARY
        for path in incoming.iterdir() if incoming.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # its upload ended well meanwhile
                facts = path.stat()
                if facts.st_mtime >= before.timestamp():
                    continue
                count, size = count + 1, size + facts.st_size
                if not is_dry:
                    path.unlink()
        for folder, newest_s, held in local_parts.unfinished(self._folder):
            if newest_s < before.timestamp():
                count, size = count + 1, size + held
                if not is_dry:
                    local_parts.remove(folder)
        return Swept(count, size)

    def path_or_none(self, key: str) -> Path | None:
        return self._existing(key)

    def sign_get(self, key: str, *, expires_s: int, holder: str = "") -> str:
        url = self._url("GET", key, expires_s, holder)
        return f"{url}&{urlencode({'holder': holder})}" if holder else url

    def sign_put(self, key: str, *, size: int, sha256: str, expires_s: int) -> SignedPut:
        url = self._url("PUT", key, expires_s, put_promise(size, sha256))
        return SignedPut(url, _headers(sha256))

    def parted(self, key: str, plan: PartPlan) -> PartedUpload:
        upload = local_parts.upload_name(plan)

        def sign(number: int, expires_s: int) -> SignedPut:
            sha256 = plan.digest_of(number)
            promise = put_promise(plan.size_of(number), sha256, upload=upload, part=str(number))
            url = self._url("PUT", key, expires_s, promise)
            return SignedPut(f"{url}&{urlencode({'upload': upload, 'part': number})}", _headers(sha256))

        return local_parts.LocalParts(self, key, plan, self._parts(key, upload), sign)

    def abandon(self, prefix: str) -> None:
        local_parts.remove_unfinished(self._folder, prefix)

    def check_signature(self, method: str, key: str, *, expires: str, signature: str, promise: str = "") -> None:
        """Check a request for `/objects/<key>`. `promise`: for PUT what `put_promise` makes of it, for GET the holder.

        Raises: SignatureInvalid if anything was altered or the time is over.
        """
        is_number = expires.isascii() and expires.isdigit() and len(expires) < 16
        wanted = self._sign(method, key, int(expires) if is_number else 0, promise)
        if not is_number or not hmac.compare_digest(wanted.encode(), signature.encode()):
            raise SignatureInvalid("the signature does not fit this request")
        if self._clock() > int(expires):
            raise SignatureInvalid("the signed URL has expired")

    def _url(self, method: str, key: str, expires_s: int, promise: str) -> str:
        expires = int(self._clock()) + expires_s
        signature = self._sign(method, check_key(key), expires, promise)
        query = urlencode({"expires": expires, "signature": signature, "method": method})
        return f"{URL_PREFIX}{quote(key)}?{query}"

    def _sign(self, method: str, key: str, expires: int, promise: str) -> str:
        if self._signing_key is None:
            raise ConfigurationInvalid("this store was opened without a signing key")
        text = "\n".join((method, key, str(expires), promise))
        return hmac.new(self._signing_key, text.encode(), hashlib.sha256).hexdigest()

    def _parts(self, key: str, upload: str) -> Path:
        if not _UPLOAD.fullmatch(upload):
            raise KeyInvalid("this names no upload in parts")
        return self._folder / local_parts.FOLDER / check_key(key) / upload

    def _path(self, key: str) -> Path:
        return self._folder / check_key(key)

    def _existing(self, key: str) -> Path:
        path = self._path(key)
        if not self._is_there(path):
            raise ObjectMissing(f"there is no object '{key}'", key=key)
        return path

    def _is_there(self, path: Path) -> bool:
        """Whether there is such an object. Raises: StoreUnmounted where that cannot be said."""
        if path.is_file():
            return True
        self._require_marker()
        return False

    def _require_marker(self) -> None:
        if self._is_marker_required and not self.marker.exists():
            raise StoreUnmounted("the object store's folder lacks its marker: is its volume mounted? Else: store_init")

    @contextlib.contextmanager
    def _temporary(self, pieces: Iterable[bytes]) -> Iterator[Path]:
        """Yield a synced file of these bytes, which is gone in the end unless it took a name.

        Raises: StoreFull, StoreUnmounted.
        """
        self._require_marker()
        incoming, path = self._folder / _TEMPORARY, None
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=incoming)
            path = Path(name)
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            yield path
        except OSError as error:
            if error.errno in _FULL:
                raise StoreFull("the object store is full; nothing of this object was kept") from error
            raise
        finally:
            if path is not None:
                path.unlink(missing_ok=True)

    def _name(self, temporary: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
        _sync_folder(target.parent)

    def _name_once(self, temporary: Path, target: Path, sha256: str) -> bool:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(temporary, target)  # unlike rename, fails if the name is taken: of two racing PUTs one wins
        except FileExistsError:
            if sha256_of_file(target)[1] != sha256:
                raise ObjectConflict("the key holds other content already") from None
            return False
        _sync_folder(target.parent)
        return True


def put_promise(size: int, sha256: str, *, upload: str = "", part: str = "") -> str:
    """Return what the signature of a PUT holds beside its key: the bytes, and which part of which upload they are."""
    return f"{size}:{sha256}:{upload}:{part}" if upload or part else f"{size}:{sha256}"


def _headers(sha256: str) -> dict[str, str]:
    return {"X-Sop-Sha256": sha256, "Content-Type": "application/octet-stream"}


def _pieces(source: BinaryIO, *, limit: int) -> Iterator[bytes]:
    """Yield the stream in pieces, at most one byte more than `limit`, which is enough to see that it is too long."""
    left = limit + 1
    while left > 0 and (piece := source.read(min(_PIECE, left))):
        left -= len(piece)
        yield piece


def _sync_folder(folder: Path) -> None:
    """Make a new name durable: without this a power cut may forget it though the file's bytes are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
