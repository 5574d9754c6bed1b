"""The contract of an object store, on every implementation; signed URLs over real HTTP."""

from __future__ import annotations

import hashlib
import io
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.protocol.errors import ObjectMismatch
from fleet.storage import ObjectMissing, ObjectStore, SignedPut, s3
from fleet.storage.base import KeyInvalid, Swept
from fleet.storage.seekable import BLOCK_BYTES, SeekableObject
from tests.fleet.storage.served import Served

DATA = b"0123456789" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
OTHER = b"9876543210" * 1000
CHECKSUM_HEADERS = {"x-sop-sha256", "x-amz-checksum-sha256"}


def test_an_object_is_read_as_a_seekable_file(store: ObjectStore) -> None:
    """Wherever a reader jumps to, it reads what is there; one that asks before each read may end it."""
    store.put("a/k", DATA)
    asked: list[int] = []
    with SeekableObject(store, "a/k", size=len(DATA), before_read=lambda: asked.append(1)) as file:
        assert (file.read(10), file.tell()) == (DATA[:10], 10)
        assert file.seek(-7, io.SEEK_END) == len(DATA) - 7
        assert (file.read(), file.read(5)) == (DATA[-7:], b"")
        assert (file.seek(500), file.seek(3, io.SEEK_CUR), file.read(20)) == (500, 503, DATA[503:523])
        assert (file.seek(len(DATA) + 5), file.read(1)) == (len(DATA) + 5, b"")
        assert len(asked) == 5
    with SeekableObject(store, "a/none", size=1, before_read=lambda: None) as file, pytest.raises(ObjectMissing):
        file.read(1)

    def stop() -> None:
        raise TimeoutError

    with SeekableObject(store, "a/k", size=len(DATA), before_read=stop) as file, pytest.raises(TimeoutError):
        file.read(1)


def test_blanks_are_as_many_as_the_bytes_and_ask_nobody(store: ObjectStore) -> None:
    with SeekableObject(store, "a/none", size=10, before_read=lambda: None) as file:
        file.is_blank = True
        assert (file.read(4), file.tell(), file.read(), file.read(1)) == (bytes(4), 4, bytes(6), b"")
        file.is_blank = False
        file.seek(0)
        with pytest.raises(ObjectMissing):
            file.read(4)


def test_a_piece_of_an_object_is_read(store: ObjectStore) -> None:
    store.put("a/k", DATA)
    store.put("a/empty", b"")
    assert store.read("a/k", start=7, size=20) == DATA[7:27]
    assert store.read("a/k", start=len(DATA) - 5, size=20) == DATA[-5:]
    assert (store.read("a/k", start=len(DATA), size=20), store.read("a/empty", start=0, size=1)) == (b"", b"")
    with pytest.raises(ObjectMissing):
        store.read("a/none", start=0, size=1)


def test_existing_keys_are_told_from_others(store: ObjectStore) -> None:
    for key in ("a/b/k", "a/b/other", "a/bb"):
        store.put(key, DATA)
    assert store.existing("a/b/", ["a/b/k", "a/b/k2", "a/b/none"]) == {"a/b/k"}
    assert store.existing("none/", ["none/k"]) == set()
    with pytest.raises(KeyInvalid):
        store.existing("a/", ["a/../k"])


@pytest.mark.parametrize("size", [0, 10_000, 5 * 1024 * 1024 + 3])
def test_a_file_is_stored_and_known_again(
    store: ObjectStore, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one request or in parts: the same bytes, known by their hash without being read, and no others."""
    monkeypatch.setattr(s3, "PART_SIZE", 5 * 1024 * 1024)
    data = random.Random(size).randbytes(size)
    sha256, path = hashlib.sha256(data).hexdigest(), tmp_path / "file"
    path.write_bytes(data)
    store.put_file("a/b.bin", path, sha256=sha256)
    assert (store.get("a/b.bin"), store.digest("a/b.bin")) == (data, (size, sha256))
    assert store.holds("a/b.bin", size=size, sha256=sha256)
    assert not store.holds("a/b.bin", size=size, sha256=SHA)
    assert not store.holds("a/b.bin", size=size + 1, sha256=sha256)
    assert not store.holds("a/c.bin", size=size, sha256=sha256)


@pytest.mark.parametrize("size", [1000, 5 * 1024 * 1024 + 3])
def test_a_file_that_changed_is_not_stored(
    store: ObjectStore, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_SIZE", 5 * 1024 * 1024)
    (tmp_path / "file").write_bytes(b"x" * size)
    with pytest.raises(ObjectMismatch):
        store.put_file("a/b.bin", tmp_path / "file", sha256=SHA)
    assert not store.exists("a/b.bin")


@pytest.mark.parametrize("start", [0, 1, 9_999, 10_000, 20_000])
def test_a_stream_begins_anywhere(store: ObjectStore, start: int) -> None:
    store.put("a/b.bin", DATA)
    with store.open("a/b.bin", start=start) as stream:
        first = stream.read(3)
        assert first + stream.read() == DATA[start:]
        assert stream.read(1) == b""


def test_a_stream_of_nothing_is_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing), store.open("a/b.bin") as stream:
        stream.read(1)


def test_bytes_come_back(store: ObjectStore) -> None:
    store.put("a/b.bin", DATA)
    assert (store.get("a/b.bin"), store.size("a/b.bin"), store.exists("a/b.bin")) == (DATA, 10_000, True)
    assert store.digest("a/b.bin") == (10_000, SHA)
    store.put("a/b.bin", b"new")
    assert store.get("a/b.bin") == b"new"
    assert store.digest("a/b.bin") == (3, hashlib.sha256(b"new").hexdigest())


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("empty", b"")
    assert (store.exists("empty"), store.get("empty"), store.digest("empty")[0]) == (True, b"", 0)


def test_missing_objects(store: ObjectStore) -> None:
    assert not store.exists("a")
    store.delete("a")
    for read in (store.get, store.size, store.digest):
        with pytest.raises(ObjectMissing):
            read("a")


def test_deleted_objects_are_gone(store: ObjectStore) -> None:
    store.put("a/1", DATA)
    store.put("a/2", DATA)
    store.delete("a/1")
    assert (store.exists("a/1"), list(store.list())) == (False, ["a/2"])


def test_list_is_ordered_by_whole_key(store: ObjectStore) -> None:
    for key in ("b/2", "a/1", "b/10", "bc/1", "b-x"):
        store.put(key, b"x")
    assert list(store.list()) == ["a/1", "b-x", "b/10", "b/2", "bc/1"]
    assert list(store.list("b/")) == ["b/10", "b/2"]
    assert list(store.list("b/1")) == ["b/10"]
    assert list(store.list("none/")) == []


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\n", "x" * 301]
)
def test_impossible_keys_are_refused_everywhere(store: ObjectStore, key: str) -> None:
    for call in (store.get, store.exists, store.size, store.digest, store.delete, store.path_or_none):
        with pytest.raises(KeyInvalid):
            call(key)
    with pytest.raises(KeyInvalid):
        store.put(key, b"")
    with pytest.raises(KeyInvalid):
        store.sign_get(key, expires_s=1)
    with pytest.raises(KeyInvalid):
        store.sign_put(key, size=1, sha256=SHA, expires_s=1)


def test_signed_put_stores_and_the_same_again_changes_nothing(served: Served) -> None:
    assert served.put(served.sign_put(DATA), DATA) in (200, 201)
    assert served.store.digest("episodes/e/front.mp4") == (len(DATA), SHA)
    assert served.put(served.sign_put(DATA), DATA) in (200, 412)
    assert served.store.get("episodes/e/front.mp4") == DATA


def test_signed_put_of_other_content_on_a_taken_key_is_refused(served: Served) -> None:
    served.put(served.sign_put(DATA), DATA)
    assert served.put(served.sign_put(OTHER), OTHER) in (409, 412)
    assert served.store.get("episodes/e/front.mp4") == DATA


def test_signed_put_takes_the_promised_bytes_alone(served: Served) -> None:
    """Other bytes, another length, another or no checksum: refused, and nothing is stored."""
    signed = served.sign_put(DATA)
    checksum = next(name.lower() for name in signed.headers if name.lower() in CHECKSUM_HEADERS)
    others = served.sign_put(OTHER).headers
    assert served.put(signed, OTHER) in (400, 422)
    assert served.put(signed, DATA + b"x", **{"content-length": "10001"}) == 403
    assert served.put(signed, OTHER, **{checksum: {n.lower(): v for n, v in others.items()}[checksum]}) == 403
    assert served.put(signed, DATA, **{checksum: None}) == 403
    assert list(served.store.list()) == []


def test_signatures_fit_one_method_and_one_key(served: Served) -> None:
    served.store.put("episodes/e/a", DATA)
    put, get = served.sign_put(DATA), served.store.sign_get("episodes/e/a", expires_s=60)
    assert served.http.get(get).content == DATA
    assert served.http.get(put.url).status_code == 403
    assert served.put(SignedPut(get, put.headers), DATA) == 403
    assert served.put(SignedPut(put.url.replace("front", "other"), put.headers), DATA) == 403
    assert served.http.get(get.replace("episodes/e/a", "episodes/e/b")).status_code == 403
    assert served.http.get(get.partition("?")[0]).status_code == 403
    assert list(served.store.list()) == ["episodes/e/a"]


def test_signed_urls_expire(served: Served) -> None:
    served.store.put("a", DATA)
    url, deadline = served.store.sign_get("a", expires_s=1), time.monotonic() + 10
    while (status := served.http.get(url).status_code) == 200 and time.monotonic() < deadline:
        time.sleep(0.1)  # the servers' own clocks decide
    assert status == 403


def test_signed_get_answers_ranges(served: Served) -> None:
    served.store.put("a", DATA)
    url = served.store.sign_get("a", expires_s=60)
    rest = served.http.get(url, headers={"Range": "bytes=9990-"})
    assert (rest.status_code, rest.content) == (206, DATA[9990:])
    assert rest.headers["content-range"] == "bytes 9990-9999/10000"
    assert served.http.get(url, headers={"Range": "bytes=10000-"}).status_code == 416
    assert served.http.get(served.store.sign_get("none", expires_s=60)).status_code == 404


def test_a_scan_tells_sizes_and_ages(store: ObjectStore) -> None:
    for key in ("a/1", "a/b/2", "ab/3", "c"):
        store.put(key, DATA[: len(key)])
    found = {each.key: each for each in store.scan("a/")}
    assert {key: each.size for key, each in found.items()} == {"a/1": 3, "a/b/2": 5}
    assert all(abs((datetime.now(UTC) - each.modified_at).total_seconds()) < 60 for each in found.values())
    assert {each.key for each in store.scan()} == {"a/1", "a/b/2", "ab/3", "c"}
    assert list(store.scan("nothing/")) == []


def test_what_never_finished_is_swept_and_nothing_else(store: ObjectStore, tmp_path: Path) -> None:
    """A temporary file of the folder, parts of the bucket: counted first, gone after, whole objects untouched."""
    store.put("whole", DATA)
    if isinstance(store, s3.S3Store):
        place = {"Bucket": store._bucket, "Key": store._prefix + "half"}
        upload = store._client.create_multipart_upload(**place)
        store._client.upload_part(**place, UploadId=upload["UploadId"], PartNumber=1, Body=DATA)
    else:
        (tmp_path / "objects" / ".incoming" / "tmp123").write_bytes(DATA)
    now = datetime.now(UTC)
    assert store.sweep(before=now - timedelta(hours=1), is_dry=False).count == 0
    later = now + timedelta(minutes=1)
    assert store.sweep(before=later, is_dry=True) == Swept(1, len(DATA))
    assert store.sweep(before=later, is_dry=False) == Swept(1, len(DATA))
    assert store.sweep(before=later, is_dry=True) == Swept(0, 0)
    assert [each.key for each in store.scan()] == ["whole"]


@pytest.mark.parametrize(
    ("places", "most"), [((0,), 2), ((0, 2), 4)], ids=["straight on", "back and forth between two places"]
)
def test_a_seekable_file_asks_for_blocks_and_not_for_reads(
    store: ObjectStore, places: tuple[int, ...], most: int
) -> None:
    """32 reads of 8 KiB at each place cost a request a block at most, on one stream where they follow each other."""
    data = random.Random(3).randbytes(4 * BLOCK_BYTES)
    store.put("a/k", data)
    opened: list[int] = []
    counted = _Counted(store, opened)
    piece = 8 * 1024
    with SeekableObject(counted, "a/k", size=len(data), before_read=lambda: None) as file:  # type: ignore[arg-type]
        for step in range(32 * (4 if len(places) == 1 else 1)):
            for place in places:
                start = place * BLOCK_BYTES + step * piece
                assert file.seek(start) == start
                assert file.read(piece) == data[start : start + piece]
    assert len(opened) <= most


class _Counted:
    """A store that notes where it is asked for bytes."""

    def __init__(self, store: ObjectStore, opened: list[int]) -> None:
        self._store, self._opened = store, opened

    def read(self, key: str, *, start: int, size: int) -> bytes:
        self._opened.append(start)
        return self._store.read(key, start=start, size=size)

    def open(self, key: str, *, start: int = 0) -> Any:
        self._opened.append(start)
        return self._store.open(key, start=start)
