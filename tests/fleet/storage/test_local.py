"""What is particular to the store in a folder: verified PUT, temporary files, its own signatures."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.protocol.errors import ObjectMismatch
from fleet.storage import ConfigurationInvalid, ObjectConflict, ObjectMissing, StoreFull, StoreUnmounted, open_store
from fleet.storage.base import SignatureInvalid
from fleet.storage.local import LocalStore

DATA = b"0123456789" * 1000
SHA = hashlib.sha256(DATA).hexdigest()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> LocalStore:
    return LocalStore(tmp_path / "objects", signing_key=b"k" * 32, clock=clock)


def test_a_file_lies_behind_every_key(store: LocalStore, tmp_path: Path) -> None:
    store.put("a/b", DATA)
    assert store.path_or_none("a/b") == tmp_path / "objects/a/b"
    with pytest.raises(ObjectMissing):
        store.path_or_none("a")


def test_list_shows_no_temporary_files(store: LocalStore, tmp_path: Path) -> None:
    store.put("a/1", b"x")
    (tmp_path / "objects/.incoming/left-over").write_bytes(b"half")
    assert list(store.list()) == ["a/1"]


def test_verified_put_stores_once(store: LocalStore) -> None:
    assert store.put_verified("k", io.BytesIO(DATA), size=len(DATA), sha256=SHA)
    assert not store.put_verified("k", io.BytesIO(DATA), size=len(DATA), sha256=SHA)
    other = b"other"
    with pytest.raises(ObjectConflict):
        store.put_verified("k", io.BytesIO(other), size=5, sha256=hashlib.sha256(other).hexdigest())
    assert store.get("k") == DATA


@pytest.mark.parametrize("body", [DATA[:-1], DATA + b"x", b"y" * len(DATA), b""])
def test_body_that_differs_from_its_promise_leaves_nothing(store: LocalStore, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ObjectMismatch):
        store.put_verified("k", io.BytesIO(body), size=len(DATA), sha256=SHA)
    assert not store.exists("k")
    assert list((tmp_path / "objects/.incoming").iterdir()) == []


def test_a_folder_without_its_marker_takes_nothing_and_misses_nothing(tmp_path: Path) -> None:
    """As an empty mount point. What is there is given all the same; with the marker everything is as it was."""
    folder = tmp_path / "objects"
    store = LocalStore(folder, is_marker_required=True)
    LocalStore(folder).put("a/b", DATA)
    refused: list[Callable[[], object]] = [
        lambda: store.put("k", DATA),
        lambda: store.put_verified("k", io.BytesIO(DATA), size=len(DATA), sha256=SHA),
        lambda: store.put_file("k", folder / "a/b", sha256=SHA),
        lambda: store.put_part("k", io.BytesIO(DATA), upload=f"{SHA}-1-1", number=1, size=len(DATA), sha256=SHA),
        lambda: store.folder("exports/1"),
        lambda: store.get("k"),
        lambda: store.exists("k"),
        lambda: store.holds("k", size=1, sha256=SHA),
    ]
    for ask in refused:
        with pytest.raises(StoreUnmounted, match="mounted"):
            ask()
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["b"]
    assert store.get("a/b") == DATA and store.exists("a/b")
    assert (store.begin(), store.begin()) == (True, False)
    store.put("k", DATA)
    assert not store.exists("other") and list(store.list()) == ["a/b", "k"]


@pytest.mark.parametrize("has_object", [True, False])
def test_a_folder_with_an_object_or_a_marker_is_not_new(tmp_path: Path, has_object: bool) -> None:
    store = LocalStore(tmp_path / "objects")
    assert store.is_new
    if has_object:
        store.put("k", DATA)
    else:
        store.begin()
    assert not store.is_new


def test_a_full_disk_keeps_nothing_and_gives_its_room_back(small_disk: Callable[[int], Path], tmp_path: Path) -> None:
    """However an object comes: it is refused as a whole, and what fits is stored afterwards."""
    disk = small_disk(256)
    store = LocalStore(disk)
    store.put("kept", DATA)
    large = random.Random(1).randbytes(400_000)
    sha256 = hashlib.sha256(large).hexdigest()
    (tmp_path / "large").write_bytes(large)
    tries: list[Callable[[], object]] = [
        lambda: store.put("a/k", large),
        lambda: store.put_verified("a/k", io.BytesIO(large), size=len(large), sha256=sha256),
        lambda: store.put_file("a/k", tmp_path / "large", sha256=sha256),
    ]
    for attempt in tries:
        with pytest.raises(StoreFull) as caught:
            attempt()
        assert caught.value.code == "store_full"
        assert list(store.list()) == ["kept"]
        assert list((disk / ".incoming").iterdir()) == []
    assert store.get("kept") == DATA
    store.put("a/k", large[:200_000])
    assert store.size("a/k") == 200_000


def _query(url: str) -> dict[str, str]:
    return dict(part.split("=") for part in url.partition("?")[2].split("&"))


def test_signature_fits_only_its_own_request(store: LocalStore, clock: Clock) -> None:
    query = _query(store.sign_put("a/k", size=5, sha256=SHA, expires_s=10).url)
    good = {"expires": query["expires"], "signature": query["signature"], "promise": f"5:{SHA}"}
    store.check_signature("PUT", "a/k", **good)
    for method, key, change in (
        ("GET", "a/k", {}),
        ("PUT", "a/other", {}),
        ("PUT", "a/k", {"promise": f"6:{SHA}"}),
        ("PUT", "a/k", {"promise": ""}),
        ("PUT", "a/k", {"expires": str(int(good["expires"]) + 1)}),
        ("PUT", "a/k", {"expires": "soon"}),
        ("PUT", "a/k", {"expires": "²"}),
        ("PUT", "a/k", {"signature": "0" * 64}),
        ("PUT", "a/k", {"signature": "ä"}),
        ("PUT", "a/k", {"signature": ""}),
    ):
        with pytest.raises(SignatureInvalid):
            store.check_signature(method, key, **{**good, **change})
    clock.now += 11
    with pytest.raises(SignatureInvalid):
        store.check_signature("PUT", "a/k", **good)


@pytest.mark.parametrize("url", ["file://relative", "file:///", "ftp://x", "", "/tmp/objects", "file://host/path"])
def test_url_of_a_store_that_cannot_be_opened_says_so(url: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="OBJECT_STORE_URL"):
        open_store(url)


def test_signing_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid):
        open_store(f"file://{tmp_path}").sign_get("k", expires_s=1)
