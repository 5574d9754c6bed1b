"""A TCP relay between a daemon and the server that can stop forwarding, as a dead network path does.

Cut: connections stay open and nothing passes, new ones are accepted and get no answer. Mended: what waited passes on,
late, so the old connection's bytes arrive after a newer connection was made, as they may on a real network.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Relay:
    """Forwards `host`:`port` to 127.0.0.1:`target`. Use as a context manager."""

    def __init__(self, target: int, *, host: str = "127.0.0.1") -> None:
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._is_closed = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def cut(self) -> None:
        self._flowing.clear()

    def mend(self) -> None:
        self._flowing.set()

    def sever(self) -> None:
        """End every connection at once, as a router that restarts does; new ones pass."""
        with self._lock:
            severed, self._sockets = self._sockets, []
        for each in severed:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: object, *arguments: socket.socket) -> threading.Thread:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.append(client)
            self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        self._flowing.wait()
        if self._is_closed:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._sockets.append(server)
        back = self._start(self._pump, server, client)
        self._pump(client, server)
        back.join()
        with self._lock:
            self._sockets = [each for each in self._sockets if each not in (client, server)]
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._flowing.wait()
                data = source.recv(65536)
                self._flowing.wait()  # cut while waiting for bytes: they pass only when mended
                if not data:
                    break
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
