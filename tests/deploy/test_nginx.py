"""deploy/nginx/nginx.conf in Debian's nginx, in front of the real server in production settings."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from sop_web.embedded import system
from tests.deploy import front

pytestmark = [front.needs("nginx"), pytest.mark.usefixtures("services")]
HSTS = "max-age=31536000"
PASSWORD = "correct-horse-battery"
SIGN = """
from fleet.selectors.objects import object_store
import json
put = object_store().sign_put({key!r}, size={size}, sha256={sha256!r}, expires_s=600)
print(json.dumps([put.url, put.headers, object_store().sign_get({key!r}, expires_s=600)]))
"""


@dataclass(frozen=True)
class Site:
    """The server, and nginx in front of it."""

    nginx: front.Nginx
    web: int
    environment: dict[str, str]
    authority: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.nginx.https}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.context(), timeout=30, trust_env=False)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


@pytest.fixture(scope="module")
def secrets(make_open_folder: Callable[[str], Path]) -> Path:
    return front.configure(make_open_folder("front") / "secrets")


@pytest.fixture(scope="module")
def site(make_open_folder: Callable[[str], Path], services: None, secrets: Path) -> Iterator[Site]:
    folder = make_open_folder("site")
    web = system.free_port()
    with front.nginx(folder / "nginx", secrets, web=web, bucket=system.free_port()) as nginx:
        environment = front.production(folder / "data", secrets, https=nginx.https)
        (folder / "data").mkdir()
        front.manage(environment, "migrate", "--noinput", "-v", "0")
        front.manage(environment, "store_init")
        front.manage(environment, "collectstatic", "--noinput", "-v", "0")
        admin = {**environment, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        front.manage(admin, "createsuperuser", "--noinput", "--username", "admin", "--email", "admin@lab.example")
        with front.server(folder, environment, port=web):
            yield Site(nginx, web, environment, secrets / "tls.crt")


def test_plain_http_leads_to_https_and_serves_nothing(site: Site) -> None:
    answer = httpx.get(f"http://127.0.0.1:{site.nginx.http}/api/v1/session?a=b", headers={"Host": "fleet.example"})
    assert (answer.status_code, answer.headers["location"]) == (308, "https://fleet.example/api/v1/session?a=b")


def test_the_server_knows_that_it_was_https(site: Site) -> None:
    """Asked without nginx it redirects; through it, it answers, with HSTS once and cookies for HTTPS alone."""
    direct = httpx.get(f"http://127.0.0.1:{site.web}/api/v1/session", headers={"Host": "localhost"})
    assert (direct.status_code, direct.headers["location"]) == (301, "https://localhost/api/v1/session")
    with site.client() as client:
        answer = client.get("/api/v1/session")
    assert answer.status_code == 200
    assert answer.headers.get_list("strict-transport-security") == [HSTS]
    assert "nginx/" not in answer.headers["server"]
    assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))


def test_a_host_that_is_not_ours_is_refused(site: Site) -> None:
    with site.client() as client:
        assert client.get("/api/v1/session", headers={"Host": "evil.example"}).status_code == 400


def test_clients_cannot_say_who_they_are(site: Site) -> None:
    """A forged X-Forwarded-For is dropped: the audit log, and with it every limit, sees the peer's own address."""
    with site.client() as client:
        client.get("/api/v1/session")
        headers = {
            "X-CSRFToken": client.cookies["csrftoken"],
            "Referer": site.url,
            "X-Forwarded-For": "203.0.113.9",
            "Forwarded": "for=203.0.113.9",
        }
        body = {"username": "admin", "password": PASSWORD}
        assert client.post("/api/v1/session", json=body, headers=headers).status_code == 200
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        query = "SELECT DISTINCT host(address) FROM fleet_auditentry WHERE action = 'sign_in.done'"
        rows = connection.execute(query).fetchall()
    assert rows == [("127.0.0.1",)]


def test_a_robot_gets_its_websocket(site: Site) -> None:
    """The upgrade and the header with the key get through, both ways: the server refuses this one by its own code."""
    address = f"wss://localhost:{site.nginx.https}/ws/robot"
    headers = {"Authorization": "Bearer 00000000-0000-0000-0000-000000000000.wrong"}
    with connect(address, ssl=site.context(), additional_headers=headers, proxy=None) as link:
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                link.recv(timeout=30)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_a_console_of_another_site_is_refused(site: Site) -> None:
    """The server sees the browser's Origin and the Host it asked for."""
    address = f"wss://localhost:{site.nginx.https}/ws/console"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, ssl=site.context(), origin="https://evil.example", proxy=None)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


def test_robots_trust_the_certificate_by_ssl_cert_file(site: Site) -> None:
    """The two clients of the daemon take the authority from the environment, as the compose file's robot does."""
    code = (
        "import sys, httpx; from websockets.sync.client import connect\n"
        "assert httpx.get(sys.argv[1] + '/api/v1/session').status_code == 200\n"
        "connect(sys.argv[1].replace('https', 'wss') + '/ws/robot', proxy=None).close()\n"
    )
    for authority, is_trusted in ((site.authority, True), (Path("/dev/null"), False)):
        environment = {"PATH": "/usr/bin:/bin", "SSL_CERT_FILE": str(authority)}
        done = subprocess.run([sys.executable, "-c", code, site.url], env=environment, capture_output=True, timeout=60)
        assert (done.returncode == 0) is is_trusted, done.stderr


def test_a_large_body_is_refused_at_the_door(site: Site) -> None:
    """2 MB of JSON never reach the server; the answer is a problem document under HSTS."""
    with site.client() as client:
        answer = client.post("/api/v1/session", content=b"x" * 2_000_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get_list("strict-transport-security") == [HSTS]


def test_a_signed_object_goes_in_and_out_and_its_signature_into_no_log(site: Site) -> None:
    """3 MB by a signed PUT, back by ranges; a wrong signature is the server's refusal, not nginx's limit."""
    body = os.urandom(3_000_000)
    key, sha256 = "episodes/through-nginx/front.mp4", hashlib.sha256(body).hexdigest()
    out = front.manage(site.environment, "shell", "-v", "0", "-c", SIGN.format(key=key, size=len(body), sha256=sha256))
    put, headers, get = httpx.Response(200, content=out.splitlines()[-1]).json()
    with site.client() as client:
        refused = client.put(put.replace("signature=", "signature=0"), content=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "signature_invalid")
        assert client.put(put, content=body, headers=headers).status_code == 201
        part = client.get(get, headers={"Range": "bytes=1000-1999999"})
        assert (part.status_code, part.content) == (206, body[1000:2_000_000])
        assert client.get(get).content == body
    logged = site.nginx.access_log.read_text()
    assert f'"path":"/objects/{key}"' in logged and "signature" not in logged


def test_static_files_are_compressed_and_kept(site: Site) -> None:
    with site.client() as client:
        answer = client.get("/static/admin/css/base.css", headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    assert answer.headers["content-type"].startswith("text/css") and "max-age" in answer.headers["cache-control"]
    assert len(answer.text) > 10_000


def test_metrics_stay_inside(site: Site) -> None:
    with site.client() as client:
        assert client.get("/metrics").status_code == 404


def test_the_container_checks_its_server(site: Site) -> None:
    """The compose file's health check says yes to a page that is there and no to one that is not, or to no server."""

    def check(path: str, port: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sop_web.healthcheck", "web", path]
        environment = {**site.environment, "SOP_WEB_PORT": str(port)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=front.ROOT)

    assert check("/api/v1/session", site.web).returncode == 0
    missing = check("/api/v1/nothing", site.web)
    assert (missing.returncode, missing.stderr.strip()) == (1, "/api/v1/nothing answers 404")
    assert "no answer on port" in check("/api/v1/session", system.free_port()).stderr


# --- What passes piece by piece: a server of ours that waits between two pieces ---------------------------------------


@contextlib.contextmanager
def _piecewise(*, go_on: threading.Event, heard: threading.Event) -> Iterator[int]:
    """Answer GET with one piece now and one after `go_on`; tell by `heard` that a body's first bytes are here."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            if head.startswith(b"PUT"):
                while not body:
                    body += connection.recv(65536)
                heard.set()
                go_on.wait(30)
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nfirst")
            go_on.wait(30)
            connection.sendall(b"after")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with contextlib.closing(listener):
        yield listener.getsockname()[1]
        go_on.set()


@pytest.mark.parametrize("path", ["/api/v1/exports/x/archive.tar", "/objects/episodes/x/front.mp4", "bucket"])
def test_archives_pass_as_they_are_made(make_open_folder: Callable[[str], Path], secrets: Path, path: str) -> None:
    """The reader has the first piece while the server has not made the second."""
    go_on, heard = threading.Event(), threading.Event()
    folder = make_open_folder("pieces")
    with (
        _piecewise(go_on=go_on, heard=heard) as port,
        front.nginx(folder / "nginx", secrets, web=port, bucket=port) as nginx,
        httpx.Client(verify=ssl.create_default_context(cafile=str(secrets / "tls.crt")), trust_env=False) as client,
    ):
        address = (
            f"https://localhost:{nginx.bucket}/sop/x" if path == "bucket" else f"https://localhost:{nginx.https}{path}"
        )
        with client.stream("GET", address, timeout=20) as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == b"first" and not go_on.is_set()
            go_on.set()
            assert b"".join(pieces) == b"after"


def test_uploads_pass_as_they_come(make_open_folder: Callable[[str], Path], secrets: Path) -> None:
    """The server sees an upload's first bytes while the robot still sends, so that it can refuse it at once."""
    go_on, heard = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"x" * 1000
        assert heard.wait(20), "nginx kept the body back"
        yield b"y" * 1000
        go_on.set()

    folder = make_open_folder("uploads")
    with (
        _piecewise(go_on=go_on, heard=heard) as port,
        front.nginx(folder / "nginx", secrets, web=port, bucket=port) as nginx,
        httpx.Client(verify=ssl.create_default_context(cafile=str(secrets / "tls.crt")), trust_env=False) as client,
    ):
        address = f"https://localhost:{nginx.https}/objects/episodes/x/front.mp4"
        answer = client.put(address, content=body(), headers={"Content-Length": "2000"}, timeout=30)
    assert answer.status_code == 201


def test_a_server_that_is_down_is_said_so_at_once(make_open_folder: Callable[[str], Path], secrets: Path) -> None:
    folder = make_open_folder("down")
    with front.nginx(folder / "nginx", secrets, web=system.free_port(), bucket=system.free_port()) as nginx:
        began_s = time.monotonic()
        context = ssl.create_default_context(cafile=str(secrets / "tls.crt"))
        answer = httpx.get(f"https://localhost:{nginx.https}/api/v1/session", verify=context, trust_env=False)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "2")
    assert time.monotonic() - began_s < 10
