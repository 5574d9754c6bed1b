"""`/objects/` over a real uvicorn: signatures, ranges, verified and atomic PUT."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.selectors.objects import object_store
from fleet.selectors.readiness import ReadinessReader
from fleet.storage.local import LocalStore

DATA = bytes(range(256)) * 2000
SHA = hashlib.sha256(DATA).hexdigest()
KEY = "episodes/e/front.mp4"


@pytest.fixture
def get_url(server: str, objects: LocalStore) -> str:
    objects.put(KEY, DATA)
    return f"http://{server}{objects.sign_get(KEY, expires_s=60)}"


def _put(server: str, objects: LocalStore, body: bytes, **headers: str) -> httpx.Response:
    signed = objects.sign_put(KEY, size=len(DATA), sha256=SHA, expires_s=60)
    return httpx.put(f"http://{server}{signed.url}", content=body, headers={**signed.headers, **headers}, timeout=10)


def test_whole_object(get_url: str) -> None:
    answer = httpx.get(get_url)
    assert (answer.status_code, answer.content == DATA, answer.headers["accept-ranges"]) == (200, True, "bytes")
    head = httpx.head(get_url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(DATA)), b"")


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=511990-999999", 511990, None)],
)
def test_range_resumes(get_url: str, wanted: str, start: int, end: int | None) -> None:
    answer = httpx.get(get_url, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    first = start % len(DATA)
    last = first + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(DATA)}"


@pytest.mark.parametrize("wanted", ["bytes=512000-", "bytes=9-3", "bytes=-0"])
def test_range_beyond_the_end(get_url: str, wanted: str) -> None:
    answer = httpx.get(get_url, headers={"Range": wanted})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(DATA)}")
    assert answer.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=-"])
def test_other_range_forms_get_the_whole(get_url: str, wanted: str) -> None:
    assert httpx.get(get_url, headers={"Range": wanted}).status_code == 200


def test_changed_object_is_sent_whole_to_one_who_resumes(get_url: str) -> None:
    etag = httpx.head(get_url).headers["etag"]
    assert httpx.get(get_url, headers={"Range": "bytes=5-", "If-Range": etag}).status_code == 206
    assert httpx.get(get_url, headers={"Range": "bytes=5-", "If-Range": '"old"'}).status_code == 200


def test_put_stores_once_and_never_replaces(server: str, objects: LocalStore) -> None:
    assert _put(server, objects, DATA).status_code == 201
    assert _put(server, objects, DATA).status_code == 200
    other = b"x" * 10
    signed = objects.sign_put(KEY, size=10, sha256=hashlib.sha256(other).hexdigest(), expires_s=60)
    answer = httpx.put(f"http://{server}{signed.url}", content=other, headers=signed.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "object_conflict")
    assert objects.get(KEY) == DATA


def test_put_of_other_bytes_is_refused_and_leaves_nothing(server: str, objects: LocalStore) -> None:
    answer = _put(server, objects, b"y" * len(DATA))
    assert (answer.status_code, answer.json()["code"]) == (422, "object_mismatch")
    assert _put(server, objects, DATA[:-1]).status_code == 403, "the size is part of the signature"
    assert _put(server, objects, DATA, **{"X-Sop-Sha256": "0" * 64}).status_code == 403
    assert _put(server, objects, DATA, **{"X-Sop-Sha256": "short"}).status_code == 403
    assert list(objects.list()) == []


def test_a_full_disk_in_the_middle_of_an_upload(
    server: str, objects: LocalStore, small_disk: Callable[[int], Path], settings: Any
) -> None:
    """The sender hears 507 with a code, nothing half stays, and the same upload goes through once there is room."""
    disk = small_disk(300)
    settings.SOP_OBJECT_STORE_URL = f"file://{disk}"
    store = object_store()
    assert isinstance(store, LocalStore)
    store.put("ballast", bytes(20_000))
    answer = _put(server, store, DATA)
    assert (answer.status_code, answer.json()["code"]) == (507, "store_full")
    assert [path.name for path in disk.rglob("*") if path.is_file()] == ["ballast"]
    subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
    assert _put(server, store, DATA).status_code == 201
    assert store.get(KEY) == DATA


def test_an_upload_while_the_volume_is_away_is_told_to_come_back(
    server: str, objects: LocalStore, settings: Any, tmp_path: Path
) -> None:
    """503 with a code, nothing in the mount point, not ready meanwhile; and everything once it is mounted."""
    settings.SOP_STORE_REQUIRE_MARKER = True
    store = object_store()
    assert isinstance(store, LocalStore)
    reader = ReadinessReader()
    answer = _put(server, store, DATA)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unmounted")
    parts = {part.name: part.code for part in reader.read(timeout_s=10, keep_s=0).parts}
    assert parts["object_store"] == "store_unmounted"
    assert not [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    store.begin()
    assert _put(server, store, DATA).status_code == 201
    parts = {part.name: part.code for part in reader.read(timeout_s=10, keep_s=0).parts}
    assert parts["object_store"] == "ready"


def test_signatures_are_not_interchangeable(server: str, objects: LocalStore, get_url: str) -> None:
    put_url = f"http://{server}{objects.sign_put(KEY, size=3, sha256=SHA, expires_s=60).url}"
    assert httpx.get(put_url).status_code == 403
    assert httpx.put(get_url, content=b"abc", headers={"X-Sop-Sha256": SHA}).status_code == 403
    assert httpx.get(get_url.partition("?")[0]).status_code == 403
    assert httpx.get(get_url.replace("front", "other")).status_code == 403
    assert httpx.get(f"http://{server}{objects.sign_get(KEY, expires_s=-5)}").status_code == 403
    assert httpx.post(get_url).status_code == 405
    missing = httpx.get(f"http://{server}{objects.sign_get('episodes/none', expires_s=60)}")
    assert (missing.status_code, missing.json()["code"]) == (404, "object_missing")


def test_unsigned_body_is_refused_before_it_is_read(server: str, objects: LocalStore) -> None:
    """Given an upload of a stated gigabyte without a signature, the answer comes though not one byte was sent."""
    host, _, port = server.partition(":")
    for path, status in (("/objects/episodes/e/x", 403), ("/api/v1/session", 413)):
        head = f"PUT {path} HTTP/1.1\r\nHost: {server}\r\nContent-Length: 1000000000\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=5) as peer:
            peer.sendall(head.encode())
            answer = peer.recv(4096).decode()
        assert answer.startswith(f"HTTP/1.1 {status} "), answer
        assert "application/problem+json" in answer


def test_endless_body_without_a_length_ends(server: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 65536

    try:
        answer = httpx.post(f"http://{server}/api/v1/session", content=endless(), timeout=10)
        assert answer.status_code >= 400
    except httpx.TransportError:
        pass  # the server closed while we were still sending
    assert httpx.get(f"http://{server}/api/v1/session").status_code == 200
