"""A real HTTP receiver on loopback that answers as its test wants, and remembers what it got."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`behaviour`: "ok", "fail" (500), "gone" (410), "redirect", "slow" (never answers), "drip", "huge", "garbage"."""

    url: str = ""
    behaviour: str = "ok"
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    redirected: int = 0
    sent_bytes: int = 0
    released: threading.Event = field(default_factory=threading.Event)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            with contextlib.suppress(OSError):  # the sender may leave when it has had enough
                getattr(self, f"_{receiver.behaviour}")()

        def do_GET(self) -> None:
            receiver.redirected += 1
            self._answer(200)

        def _ok(self) -> None:
            self._answer(200)

        def _fail(self) -> None:
            self._answer(500)

        def _gone(self) -> None:
            self._answer(410)

        def _redirect(self) -> None:
            self.send_response(302)
            self.send_header("Location", receiver.url)
            self.end_headers()

        def _slow(self) -> None:
            receiver.released.wait(20)

        def _drip(self) -> None:
            """A byte now and then: no single read ever times out."""
            for byte in b"HTTP/1.1 200 OK\r\nX-Endless: " + b"a" * 400:
                self.wfile.write(bytes([byte]))
                if receiver.released.wait(0.05):
                    return

        def _huge(self) -> None:
            self.send_response(200)
            self.end_headers()
            for _ in range(2000):
                self.wfile.write(b"x" * 65536)
                receiver.sent_bytes += 65536

        def _garbage(self) -> None:
            self.wfile.write(b"this is no HTTP\r\n\r\n")

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def listening() -> Iterator[Receiver]:
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(receiver))
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def wait_for(receiver: Receiver, count: int, *, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while len(receiver.got) < count:
        assert time.monotonic() < deadline_s, f"the receiver got {len(receiver.got)} of {count}"
        time.sleep(0.01)
