"""Archives and folders of strangers: every member is looked at before a byte of it is written.

A dataset is a tree of regular files with plain names; nothing else passes. The bounds hold for what really comes out,
not for what headers promise, so a bomb ends when it has grown past them. The digest is over names and contents: the
same dataset has the same one as a folder, a tar or a zip.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fleet.imports.errors import ArchiveRefused, DiskFull, FolderRefused, InvalidDataset
from fleet.imports.layout import INFO

_PIECE = 1024 * 1024
_HEADER_BYTES = 1024 * 1024  # of one header of a tar; a longer one is an attack on memory
_DIRECTORY_BYTES = 64 * 1024 * 1024  # of a zip's directory, which is read whole
_FREE_BYTES = 64 * 1024 * 1024  # small archives may expand to this whatever their ratio: JSON shrinks well
_MAX_DEPTH = 16
_END, _END_64_LOCATOR, _END_64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"

Check = Callable[[int], None]  # bytes written or read since the last call; may raise to stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`files`: how many; `file_bytes`, `total_bytes`: of one and of all, unpacked; `ratio`: unpacked to packed."""

    files: int = 200_000
    file_bytes: int = 20 * 1024**3
    total_bytes: int = 200 * 1024**3
    ratio: float = 100.0


# What the libraries raise for bytes that are no such archive; a zip's name that says it is UTF-8 and is not, too.
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError,
    UnicodeDecodeError,
)  # fmt: skip


def unpack(archive: Path, target: Path, limits: Limits, check: Check) -> str:
    """Unpack a tar, tar.gz or zip into the empty folder `target`; return the digest of what came out.

    Raises: ArchiveRefused, DiskFull. What was written until then is the caller's to remove.
    """
    writer = _Writer(target, limits, archive.stat().st_size, check)
    try:
        with archive.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if head.startswith(b"PK"):
                _unpack_zip(archive, file, writer)
            elif head.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=file) as unzipped:
                    _unpack_tar(unzipped, writer)
            else:
                _unpack_tar(file, writer)
    except _DAMAGED as error:
        raise ArchiveRefused(f"the archive does not unpack: {error!s:.200}") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("the disk is full; nothing of this import is left on it") from error
        if error.errno == errno.EINVAL:  # a directory that points before the file's beginning
            raise ArchiveRefused("the archive does not unpack: it points outside itself") from None
        raise
    if not writer.hashes:
        raise ArchiveRefused("the archive is empty, or neither tar, tar.gz nor zip")
    return digest_of(writer.hashes)


class _Writer:
    """Writes members below a folder within the limits. Created anew with each archive."""

    def __init__(self, target: Path, limits: Limits, packed_bytes: int, check: Check) -> None:
        self._target = target
        self._limits = limits
        self._most = min(limits.total_bytes, max(_FREE_BYTES, int(packed_bytes * limits.ratio)))
        self._check = check
        self._total = self._members = 0
        self.hashes: dict[str, str] = {}

    def count(self) -> None:
        """Note one more member, of whatever kind: an archive of a million folders is none of a dataset either."""
        self._members += 1
        if self._members > self._limits.files:
            raise ArchiveRefused(f"the archive has more than {self._limits.files} members")

    def write(self, name: str, source: IO[bytes]) -> None:
        parts = check_member_name(name)
        if name in self.hashes:
            raise _refused(name, "is there twice")
        path = self._target.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise _refused(name, "is a file and a folder at once") from None
        digest, size = hashlib.sha256(), 0
        with file:
            while piece := source.read(_PIECE):
                size += len(piece)
                self._total += len(piece)
                if size > self._limits.file_bytes:
                    raise _refused(name, f"has more than {self._limits.file_bytes} bytes")
                if self._total > self._most:
                    raise ArchiveRefused(f"the archive grows past {self._most} bytes", member=name[:200])
                digest.update(piece)
                file.write(piece)
                self._check(len(piece))
        self.hashes["/".join(parts)] = digest.hexdigest()


def check_member_name(name: str) -> list[str]:
    """Return the parts of a member's name. Raises: ArchiveRefused unless it is a plain relative path."""
    parts = name.removeprefix("./").split("/")
    if not name or len(name) > 1000 or len(parts) > _MAX_DEPTH:
        raise _refused(name, "has no name, or one that is too long or too deep")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name):
        raise _refused(name, "has a control character in its name")
    if (
        name.startswith("/")
        or "\\" in name
        or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
    ):
        raise _refused(name, "has a name that leads out of the archive")
    if ":" in parts[0]:
        raise _refused(name, "names a drive")
    return parts


def _unpack_tar(file: Any, writer: _Writer) -> None:
    source: Any = _Forward(file)
    with tarfile.open(fileobj=source, mode="r:") as archive:
        kept: Any = archive
        for member in archive:
            kept.members.clear()  # else it keeps every header
            writer.count()
            if member.isdir():
                if member.name not in (".", "./", ""):
                    check_member_name(member.name.rstrip("/"))
                continue
            if not member.isreg() or member.issparse():
                raise _refused(member.name, "is a link, a device or another thing that no dataset has")
            data = archive.extractfile(member)
            assert data is not None  # of a regular file
            writer.write(member.name, data)


class _Forward:
    """A file for `tarfile` that reads forward alone, and never a long header whole.

    tarfile steps back one byte before each header, which a GzipFile may answer by unpacking all from the start.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._position = 0
        self._last = b""  # the byte before the position
        self._held = b""  # that byte, to be read once more

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position == self._position - 1 and self._last:
            self._position, self._held = position, self._last
            return position
        while self._position < position:
            if not self.read(min(_PIECE, position - self._position)):
                break
        if self._position > position:
            raise ArchiveRefused("the archive's headers contradict one another")
        return self._position

    def read(self, size: int) -> bytes:
        if not 0 <= size <= max(_HEADER_BYTES, _PIECE):
            raise ArchiveRefused("the archive has a header that is too long")
        data: bytes = self._held[:size]
        self._held = self._held[size:]
        data += self._file.read(size - len(data))
        self._position += len(data)
        self._last = data[-1:] or self._last
        return data


def _unpack_zip(path: Path, file: IO[bytes], writer: _Writer) -> None:
    _check_directory(file)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            writer.count()
            if member.is_dir():
                check_member_name(member.filename.rstrip("/"))
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise _refused(member.filename, "is a link, a device or another thing that no dataset has")
            if member.flag_bits & 1:
                raise _refused(member.filename, "is encrypted")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _refused(member.filename, "is packed in a way that is not read")
            check_member_name(member.orig_filename)  # zipfile cuts a name at a NUL
            with archive.open(member) as source:
                writer.write(member.filename, source)


def _check_directory(file: IO[bytes]) -> None:
    """Look how long a zip's directory says it is, before it is read. Raises: ArchiveRefused."""
    end = file.seek(0, os.SEEK_END)
    start = max(0, end - 65_557)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise ArchiveRefused("the zip has no directory")
    size = struct.unpack_from("<L", tail, at + 12)[0]
    if tail[max(0, at - 20) : at].startswith(_END_64_LOCATOR):
        file.seek(struct.unpack_from("<Q", tail, at - 20 + 8)[0])
        record = file.read(56)
        if not record.startswith(_END_64) or len(record) < 56:
            raise ArchiveRefused("the zip's directory contradicts itself")
        size = struct.unpack_from("<Q", record, 40)[0]
    if size > _DIRECTORY_BYTES:
        raise ArchiveRefused(f"the zip's directory has more than {_DIRECTORY_BYTES} bytes")


def _refused(name: str, problem: str) -> ArchiveRefused:
    return ArchiveRefused(f"'{name[:200]!a}' in the archive {problem}", member=name[:200])


def digest_of(hashes: dict[str, str]) -> str:
    """`hashes`: name below the dataset's root -> hex SHA-256. The root's own name does not count."""
    root = next((name.removesuffix(INFO.as_posix()) for name in sorted(hashes) if name.endswith(INFO.as_posix())), "")
    lines = sorted(f"{sha256} {name.removeprefix(root)}\n" for name, sha256 in hashes.items() if name.startswith(root))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def dataset_root(folder: Path) -> Path:
    """Return the folder of the one dataset in what was unpacked. Raises: InvalidDataset."""
    depths = ("", "*/", "*/*/")
    found = [path.parent.parent for depth in depths for path in folder.glob(f"{depth}{INFO.as_posix()}")]
    if len(found) != 1:
        problem = "there is no meta/info.json" if not found else f"there are {len(found)} datasets"
        raise InvalidDataset(f"{problem}; one LeRobot dataset is read")
    return found[0]


def folder_in_roots(path: str, roots: tuple[Path, ...]) -> Path:
    """Return a server's folder that lies below one of the roots. Raises: FolderRefused."""
    if "\0" in path or not Path(path).is_absolute():
        raise FolderRefused("name a folder by its absolute path")
    try:
        found = Path(path).resolve(strict=True)
    except (OSError, RuntimeError):
        found = None
    if found is None or not found.is_dir() or not any(found.is_relative_to(root.resolve()) for root in roots):
        # Whether there is such a folder elsewhere is nobody's business.
        raise FolderRefused("there is no such folder below one of the import roots")
    return found


def folder_digest(folder: Path, limits: Limits, check: Check) -> str:
    """Hash every file of a folder. Raises: FolderRefused for links that lead out, and for what is no file."""
    hashes: dict[str, str] = {}
    for path in _files_of(folder):
        if len(hashes) >= limits.files:
            raise FolderRefused(f"the folder has more than {limits.files} files")
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                check(len(piece))
        hashes[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return digest_of(hashes)


def _files_of(folder: Path) -> Iterator[Path]:
    for base, names, files in os.walk(folder):
        for name in sorted((*names, *files)):
            path = Path(base, name)
            shown = path.relative_to(folder).as_posix()
            if path.is_symlink() and not _is_within(path, folder):
                raise FolderRefused(f"'{shown!a}' is a link that leads out of the dataset")
            if path.is_dir():
                continue
            if not path.is_file():
                raise FolderRefused(f"'{shown!a}' is no regular file")
            yield path


def _is_within(path: Path, folder: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return False
