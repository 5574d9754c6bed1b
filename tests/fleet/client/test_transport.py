"""Tries, waits, keys and downloads against a server on loopback that answers as it is told, byte for byte."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.client import Changed, ChecksumWrong, Client, Conflict, Invalid, RateLimited, ServerFailed, Unreachable
from fleet.client.download import download
from fleet.client.resources import plain_name
from fleet.client.transport import Retries, Transport

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Played:
    """Requests that came, and what the next ones are answered; the last answer repeats."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = ""

    def take(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.seen.append((handler.command, handler.path, dict(handler.headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answer(handler)


@pytest.fixture
def played() -> Iterator[Played]:
    found = Played()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.take(self)

        do_POST = do_PATCH = do_PUT = do_GET

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(played: Played, waits: list[float]) -> Iterator[Client]:
    with Client(played.url, token="sop_t", sleep=waits.append, jitter=lambda: 1.0, retries=Retries(tries=3)) as found:
        yield found


@pytest.fixture
def transport(played: Played, waits: list[float]) -> Iterator[Transport]:
    found = Transport(played.url, token="sop_t", sleep=waits.append, jitter=lambda: 1.0, retries=Retries(tries=3))
    yield found
    found.close()


def says(status: int, body: Any, **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def hangs_up(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


def problem(status: int, code: str, **headers: str) -> Answer:
    return says(status, {"code": code, "detail": "because", "instance": "urn:x"}, **headers)


PAGE = {"results": [], "next": None, "previous": None}


def test_tries_again_as_long_as_the_server_asks(client: Client, played: Played, waits: list[float]) -> None:
    played.answers = [problem(429, "rate_limited", Retry_After="7"), hangs_up, says(200, PAGE)]
    assert client.tasks.page().results == []
    assert waits == [7.0, 1.0]
    assert all(headers["Authorization"] == "Bearer sop_t" for _, _, headers, _ in played.seen)


@pytest.mark.parametrize(
    ("answer", "error", "tries"),
    [
        (problem(503, "busy"), ServerFailed, 3),
        (says(502, b"<html>"), ServerFailed, 3),
        (problem(429, "rate_limited", Retry_After="3600"), RateLimited, 1),
        (problem(500, "internal"), ServerFailed, 1),
        (problem(422, "invalid_request"), Invalid, 1),
        (problem(409, "name_taken"), Conflict, 1),
        (problem(409, "idempotency_key_busy", Retry_After="1"), Conflict, 3),
        (problem(412, "precondition_failed"), Changed, 1),
        (hangs_up, Unreachable, 3),
    ],
)
def test_tries_are_bounded_and_what_cannot_help_is_not_tried(
    client: Client, played: Played, answer: Answer, error: type[Exception], tries: int
) -> None:
    played.answers = [answer]
    with pytest.raises(error):
        client.datasets.create("a")
    assert len(played.seen) == tries
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in played.seen}
    assert len(keys) == 1, "every try is the same request"


def test_another_call_is_another_request(client: Client, played: Played) -> None:
    played.answers = [problem(409, "name_taken")]
    for _ in range(2):
        with pytest.raises(Conflict) as caught:
            client.datasets.create("a")
    assert (caught.value.code, caught.value.detail, caught.value.instance) == ("name_taken", "because", "urn:x")
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in played.seen}) == 2


def test_nobody_listens(waits: list[float]) -> None:
    with Client("http://127.0.0.1:1", token="", sleep=waits.append) as client, pytest.raises(Unreachable):
        client.robots.page()
    assert len(waits) == 4


# --- Downloads --------------------------------------------------------------------------------------------------------


def serves(content: bytes, *, etag: str = '"v1"', broken_after: int | None = None) -> Answer:
    """Ranges with If-Range, as our server does; the connection may break after so many bytes of an answer."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        start = 0
        wanted = handler.headers.get("Range", "")
        if wanted and handler.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(content)}")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        piece = content[start:] if broken_after is None else content[start : start + broken_after]
        handler.wfile.write(piece)
        if broken_after is not None:
            handler.wfile.flush()
            hangs_up(handler)

    return answer


def test_a_download_goes_on_where_it_broke_off(transport: Transport, played: Played, tmp_path: Path) -> None:
    played.answers = [serves(CONTENT, broken_after=400_000), serves(CONTENT, broken_after=400_000), serves(CONTENT)]
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "folder" / "file.bin"
    found = download(transport, "/x", target, sha256=SHA256, progress=lambda done, total: seen.append((done, total)))
    assert found.read_bytes() == CONTENT
    assert next(headers.get("Range") for _, _, headers, _ in played.seen) is None
    starts = [int(headers["Range"][6:-1]) for _, _, headers, _ in played.seen[1:]]
    assert 0 < starts[0] <= 400_000 < starts[1] <= 800_000
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and {total for _, total in seen} == {len(CONTENT)}
    assert sorted(path.name for path in target.parent.iterdir()) == ["file.bin"]


def test_a_later_call_goes_on_too(transport: Transport, played: Played, tmp_path: Path) -> None:
    """The process may have been killed in between."""
    played.answers = [serves(CONTENT, broken_after=300_000), hangs_up]
    with pytest.raises(Unreachable):
        download(transport, "/x", tmp_path / "file", sha256=SHA256)
    have = (tmp_path / "file.part").stat().st_size
    assert 0 < have <= 300_000
    played.answers = [serves(CONTENT)]
    download(transport, "/x", tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert played.seen[-1][2]["Range"] == f"bytes={have}-"


def test_changed_content_begins_anew(transport: Transport, played: Played, tmp_path: Path) -> None:
    played.answers = [serves(b"old" * 200_000, broken_after=300_000), hangs_up]
    with pytest.raises(Unreachable):
        download(transport, "/x", tmp_path / "file")
    played.answers = [serves(CONTENT, etag='"v2"')]
    assert download(transport, "/x", tmp_path / "file", sha256=SHA256).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(transport: Transport, played: Played, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    (tmp_path / "file.part.etag").write_text('"v1"')
    played.answers = [serves(CONTENT)]
    assert download(transport, "/x", tmp_path / "file", sha256=SHA256).read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_not(transport: Transport, played: Played, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    (tmp_path / "file.part.etag").write_text('"v1"')
    played.answers = [serves(CONTENT)]
    assert download(transport, "/x", tmp_path / "file", sha256=SHA256).read_bytes() == CONTENT


def test_wrong_bytes_are_removed(transport: Transport, played: Played, tmp_path: Path) -> None:
    played.answers = [serves(CONTENT[:-1] + b"x")]
    with pytest.raises(ChecksumWrong):
        download(transport, "/x", tmp_path / "file", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_the_token_does_not_follow_to_another_server(transport: Transport, played: Played, tmp_path: Path) -> None:
    elsewhere = played.url.replace("127.0.0.1", "localhost") + "/bucket"
    played.answers = [says(302, b"", Location=elsewhere), serves(CONTENT)]
    download(transport, "/x", tmp_path / "file", sha256=SHA256)
    assert ["Authorization" in headers for _, _, headers, _ in played.seen] == [True, False]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(Exception, match="outside"):
        plain_name(name)
