"""A real OTLP/HTTP receiver on loopback: takes what exporters send, and keeps the spans."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """One span as it arrived. `links`: (trace, span) of each."""

    name: str
    service: str
    trace: str
    id: str
    parent: str
    start_ns: int
    end_ns: int
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    is_failed: bool


@dataclass
class Collector:
    url: str = ""
    paths: set[str] = field(default_factory=set)
    _spans: list[Span] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spans(self, name: str | None = None) -> list[Span]:
        with self._lock:
            return [span for span in self._spans if name in (None, span.name)]

    def take(self, path: str, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        found = [
            _span(each, {a.key: a.value.string_value for a in of.resource.attributes}.get("service.name", ""))
            for of in request.resource_spans
            for scope in of.scope_spans
            for each in scope.spans
        ]
        with self._lock:
            self.paths.add(path)
            self._spans += found

    @property
    def environment(self) -> dict[str, str]:
        """Of whoever shall trace to it, without waiting long before sending."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}


def _span(found: Any, service: str) -> Span:
    values = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in found.attributes}
    links = tuple((link.trace_id.hex(), link.span_id.hex()) for link in found.links)
    return Span(
        found.name, service, found.trace_id.hex(), found.span_id.hex(), found.parent_span_id.hex(),
        found.start_time_unix_nano, found.end_time_unix_nano, links, values, found.status.code == 2,
    )  # fmt: skip


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="collector")
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join(10)
