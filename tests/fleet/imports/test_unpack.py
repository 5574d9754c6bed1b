"""Archives and folders of strangers: what is sound comes out with one digest, everything else leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.imports.errors import ArchiveRefused, DiskFull, FolderRefused, InvalidDataset
from fleet.imports.unpack import Limits, dataset_root, folder_digest, folder_in_roots, unpack

LIMITS = Limits(files=20, file_bytes=10_000_000, total_bytes=90_000_000)
FILES = {"meta/info.json": b"{}", "data/chunk-000/file-000.parquet": b"rows" * 1000, "README.md": b"a dataset"}


Extra = Callable[[tarfile.TarFile], object]


def ignore(_: int) -> None:
    """Count nothing."""


def tar(
    path: Path, mode: str = "w:gz", *, prefix: str = "set/", extra: Callable[[tarfile.TarFile], None] | None = None
):
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in FILES.items():
            add(archive, prefix + name, data)
        if extra:
            extra(archive)
    return path


def add(archive: tarfile.TarFile, name: str, data: bytes = b"x", **changes: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in changes.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))


def zipped(path: Path, names: dict[str | zipfile.ZipInfo, bytes] | None = None, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**{prefix + name: data for name, data in FILES.items()}, **(names or {})}.items():
            archive.writestr(name, data, zipfile.ZIP_DEFLATED)
    return path


def out(path: Path, limits: Limits = LIMITS) -> tuple[Path, str]:
    target = path.parent / f"{path.name}.out"
    target.mkdir()
    return target, unpack(path, target, limits, ignore)


def test_the_same_dataset_has_one_digest_however_it_is_packed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    found = {folder_digest(folder, LIMITS, ignore)}
    for path in (tar(tmp_path / "a.tar.gz"), tar(tmp_path / "b.tar", "w", prefix="./"), zipped(tmp_path / "c.zip")):
        target, digest = out(path)
        found.add(digest)
        root = dataset_root(target)
        assert {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()} == FILES
    assert len(found) == 1


def link(archive: tarfile.TarFile) -> None:
    add(archive, "set/link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")


TARS: list[tuple[str, Extra, str]] = [
    ("symlink", link, "is a link"),
    ("hard link", lambda a: add(a, "x", b"", type=tarfile.LNKTYPE, linkname="set/README.md"), "is a link"),
    ("device", lambda a: add(a, "x", b"", type=tarfile.CHRTYPE), "is a link, a device"),
    ("pipe", lambda a: add(a, "x", b"", type=tarfile.FIFOTYPE), "is a link, a device"),
    ("absolute", lambda a: add(a, "/etc/cron.d/x"), "leads out"),
    ("dots", lambda a: add(a, "set/../../x"), "leads out"),
    ("folder with dots", lambda a: add(a, "../x", b"", type=tarfile.DIRTYPE), "leads out"),
    ("backslash", lambda a: add(a, "..\\x"), "leads out"),
    ("control character", lambda a: add(a, "set/a\x1b[2Jb"), "control character"),
    ("line break", lambda a: add(a, "set/a\nb"), "control character"),
    ("turned text", lambda a: add(a, "set/a\u202egnp.exe"), "control character"),
    ("drive", lambda a: add(a, "C:/x"), "drive"),
    ("twice", lambda a: add(a, "set/README.md"), "twice"),
    ("file and folder", lambda a: add(a, "set/README.md/x"), "file and a folder"),
    ("deep", lambda a: add(a, "/".join("a" * 40)), "too deep"),
    ("long header", lambda a: add(a, "x", pax_headers={"comment": "y" * 3_000_000}), "header that is too long"),
    ("many", lambda a: [add(a, f"m{k}") for k in range(30)], "more than 20"),
    (
        "many folders",
        lambda a: [add(a, f"f{k}", b"", type=tarfile.DIRTYPE) for k in range(30)],
        "more than 20",
    ),
    ("large", lambda a: add(a, "x", os.urandom(11_000_000)), "more than 10000000 bytes"),
]


@pytest.mark.parametrize(("extra", "problem"), [row[1:] for row in TARS], ids=[row[0] for row in TARS])
def test_a_tar_with_a_trick_is_refused(tmp_path: Path, extra: Extra, problem: str) -> None:
    path = tar(tmp_path / "a.tar.gz", extra=extra)
    with pytest.raises(ArchiveRefused, match=problem):
        out(path)
    written = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*")}
    assert written == {"a.tar.gz", "a.tar.gz.out"}  # nothing beside the target


def test_bombs_end_when_they_have_grown_past_the_bound(tmp_path: Path) -> None:
    """By ratio, whatever headers say: 80 MB of zeros in a few kilobytes, as tar.gz and as zip."""
    zeros = bytes(8_000_000)
    bombs = [
        tar(tmp_path / "a.tar.gz", extra=lambda a: [add(a, f"z{k}", zeros) for k in range(10)]),
        zipped(tmp_path / "b.zip", {f"z{k}": zeros for k in range(10)}),
    ]
    for path in bombs:
        assert path.stat().st_size < 200_000
        with pytest.raises(ArchiveRefused, match="grows past"):
            out(path)
        assert sum(p.stat().st_size for p in path.parent.rglob("z*")) < 2 * 68_000_000


def symlink(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("name", "problem"),
    [(symlink("link"), "is a link"), ("../x", "leads out"), ("/x", "leads out"), ("a\tb", "control character")],
)
def test_a_zip_with_a_trick_is_refused(tmp_path: Path, name: str | zipfile.ZipInfo, problem: str) -> None:
    with pytest.raises(ArchiveRefused, match=problem):
        out(zipped(tmp_path / "a.zip", {name: b"/etc/passwd"}))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Noise, nothing, a truncated tar.gz and zip, a zip whose directory claims gigabytes, a name with a NUL."""
    whole, zip_ = tar(tmp_path / "whole.tar.gz").read_bytes(), zipped(tmp_path / "whole.zip").read_bytes()
    end = zip_.rfind(b"PK\x05\x06")
    claims = zip_[: end + 12] + struct.pack("<L", 2**31) + zip_[end + 16 :]
    for number, data in enumerate(
        (
            b"",
            os.urandom(5000),
            whole[: len(whole) // 2],
            zip_[: len(zip_) // 2],
            claims,
            gzip.compress(b"no tar"),
            zip_.replace(b"README.md", b"READ\0E.md"),
        )
    ):
        path = tmp_path / f"{number}"
        path.write_bytes(data)
        with pytest.raises(ArchiveRefused):
            out(path)


@pytest.mark.parametrize("place", [0, -1], ids=["before the file", "in the directory"])
def test_a_zip_whose_name_is_no_text_is_refused(tmp_path: Path, place: int) -> None:
    """Its flag says UTF-8; zipfile raises a UnicodeDecodeError, which once was a failure of the server."""
    archive = zipped(tmp_path / "set.zip", {"p\u00e4rt": b"x"})
    parts = archive.read_bytes().split("p\u00e4rt".encode())
    assert len(parts) == 3
    names = ["p\u00e4rt".encode()] * 2
    names[place] = b"p\xabart"[:5]
    archive.write_bytes(parts[0] + names[0] + parts[1] + names[1] + parts[2])

    with pytest.raises(ArchiveRefused, match="does not unpack"):
        out(archive)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "a.tar.gz")

    def full(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(DiskFull):
        unpack(path, tmp_path / "out", LIMITS, ignore)


def test_one_dataset_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="there is no meta"):
        dataset_root(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name / "meta").mkdir(parents=True)
        (tmp_path / name / "meta/info.json").write_text("{}")
    with pytest.raises(InvalidDataset, match="2 datasets"):
        dataset_root(tmp_path)
    assert dataset_root(tmp_path / "a") == tmp_path / "a"


def test_folders_lie_below_a_root_and_no_link_leads_out(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    (root / "set").mkdir(parents=True)
    secret.mkdir()
    (root / "way-out").symlink_to(secret)
    assert folder_in_roots(str(root / "set"), (root,)) == root / "set"
    for path in (str(secret), str(root / "way-out"), str(root / "../secret"), "set", str(root / "none"), "/a\0b", ""):
        with pytest.raises(FolderRefused):
            folder_in_roots(path, (root,))
    with pytest.raises(FolderRefused):
        folder_in_roots(str(root / "set"), ())
    (root / "set/inside").write_bytes(b"a")
    (root / "set/alias").symlink_to(root / "set/inside")
    folder_digest(root / "set", LIMITS, ignore)
    (root / "set/out").symlink_to("/etc/hostname")
    with pytest.raises(FolderRefused, match="leads out"):
        folder_digest(root / "set", LIMITS, ignore)
    (root / "set/out").unlink()
    os.mkfifo(root / "set/pipe")
    with pytest.raises(FolderRefused, match="no regular file"):
        folder_digest(root / "set", LIMITS, ignore)


def test_the_digest_is_over_contents(tmp_path: Path) -> None:
    a, b = out(tar(tmp_path / "a.tar", "w")), out(tar(tmp_path / "b.tar", "w", extra=lambda t: add(t, "set/new")))
    assert a[1] != b[1]
    assert len(a[1]) == len(hashlib.sha256().hexdigest())
