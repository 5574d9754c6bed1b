"""Any range of the stream equals that range of what `tarfile` writes; GNU tar extracts it."""

from __future__ import annotations

import io
import itertools
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from fleet.exports.tar import FileRange, TarFile, tar_header, tar_next, tar_pieces, tar_size

LONG = "/".join(["videos", "observation.images." + "w" * 90, "chunk-000", "file-000.mp4"])
DEEP = "/".join(["d" * 60] * 4) + "/x.bin"
FILES = {
    "README.md": b"# Squares\n",
    "data/chunk-000/file-000.parquet": bytes(range(256)) * 6,  # a whole number of blocks
    "empty": b"",
    LONG: b"v" * 700,
    DEEP: b"d" * 513,
    "SHA256SUMS": b"0" * 40,
}
FOLDER = "squares-v3"


def layout(sizes: dict[str, int]) -> tuple[list[TarFile], int]:
    """Return the files with their places, and the stream's size."""
    files, offset = [], 0
    for name, size in sizes.items():
        files.append(TarFile(name, size, offset))
        offset = tar_next(f"{FOLDER}/{name}", size, offset)
    return files, tar_size(offset)


def stream(files: list[TarFile], total: int, start: int, end: int) -> bytes:
    pieces = tar_pieces(files, FOLDER, total=total, start=start, end=end)
    return b"".join(
        FILES[piece.name][piece.start : piece.end] if isinstance(piece, FileRange) else piece for piece in pieces
    )


@pytest.fixture
def expected() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in FILES.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size, info.mode, info.mtime = len(data), 0o644, 315_532_800
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_the_whole_stream_is_what_tarfile_writes(expected: bytes) -> None:
    files, total = layout({name: len(data) for name, data in FILES.items()})
    assert total == len(expected)
    assert stream(files, total, 0, total) == expected


def test_every_range_is_that_range(expected: bytes) -> None:
    """At each border between header, bytes and padding, one byte around it, and at random places."""
    files, total = layout({name: len(data) for name, data in FILES.items()})
    borders = {0, total}
    for file in files:
        data = file.offset + len(tar_header(f"{FOLDER}/{file.name}", file.size))
        borders |= {file.offset, data, data + file.size}
    near = sorted({place + by for place in borders for by in (-1, 0, 1)} & set(range(total + 1)))
    chance = random.Random(5)
    places = sorted({*near, *(chance.randrange(total) for _ in range(20))})
    for start, end in itertools.combinations(places, 2):
        since = [file for file in files if file.offset >= start or file is _last_before(files, start)]
        assert stream(since, total, start, end) == expected[start:end], (start, end)


def _last_before(files: list[TarFile], start: int) -> TarFile:
    return [file for file in files if file.offset <= start][-1]


def test_gnu_tar_extracts_it(tmp_path: Path) -> None:
    files, total = layout({name: len(data) for name, data in FILES.items()})
    (tmp_path / "a.tar").write_bytes(stream(files, total, 0, total))
    done = subprocess.run(["tar", "-xf", "a.tar"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")  # no warning either
    assert {name: (tmp_path / FOLDER / name).read_bytes() for name in FILES} == FILES


def test_a_file_over_8_gib_and_what_follows_it(tmp_path: Path) -> None:
    """The octal field of ustar ends at 8 GiB; GNU tar reads the right size and finds the file behind it."""
    huge = 9 * 1024**3 + 17
    files, total = layout({"huge.mp4": huge, "after": 5})
    header = tar_header(f"{FOLDER}/huge.mp4", huge)
    path = tmp_path / "huge.tar"
    with path.open("wb") as out:  # sparse: the hole costs no disk
        out.write(header)
        out.seek(files[1].offset)
        rest = tar_pieces(files[1:], FOLDER, total=total, start=files[1].offset, end=total)
        out.writelines(b"after" if isinstance(piece, FileRange) else piece for piece in rest)
    done = subprocess.run(["tar", "-tvf", str(path)], capture_output=True, text=True, timeout=60, check=True)
    sizes = [(line.split()[2], line.split()[-1]) for line in done.stdout.splitlines()]
    assert sizes == [(str(huge), f"{FOLDER}/huge.mp4"), ("5", f"{FOLDER}/after")]
    assert path.stat().st_size == total


def test_a_range_in_a_huge_file_reads_that_alone() -> None:
    files, total = layout({"huge.mp4": 9 * 1024**3, "after": 5})
    begin = len(tar_header(f"{FOLDER}/huge.mp4", files[0].size))
    place = 8 * 1024**3
    found = list(tar_pieces(files, FOLDER, total=total, start=begin + place, end=begin + place + 10))
    assert found == [FileRange("huge.mp4", place, place + 10)]
