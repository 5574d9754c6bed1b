"""`python -m sop_web.exporter`: serves the metrics of all server processes of this machine to Prometheus.

One a machine, on a port of its own (SOP_METRICS_PORT, loopback): never on the public site. On another address it
asks for SOP_METRICS_TOKEN. It adds up the files that processes write into SOP_METRICS_DIR (sop_web/metrics.py), and
reads what rows and Redis say at each scrape. A part that does not answer leaves its metrics out and counts as not
ready; the scrape itself succeeds.
"""

from __future__ import annotations

import hmac
import logging
import os
import socketserver
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")

logger = logging.getLogger("sop_web.exporter")


class Files:
    """Collector of what the processes wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Any]:
        from prometheus_client.multiprocess import MultiProcessCollector

        from sop_web.metrics import is_counted

        files = [str(path) for path in sorted(self._folder.glob("*/*.db")) if is_counted(path)]
        return MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call, no-any-return]


class System:
    """Collector of what rows, Redis and the parts themselves say now."""

    def collect(self) -> Iterator[Any]:
        from django.db import connection

        try:
            for read in (_ready, _queues, _workers, _learner, _fleet, _store):
                yield from _read(read)
        finally:
            connection.close()


def _read(read: Callable[[], Iterable[Any]]) -> list[Any]:
    try:
        return list(read())
    except Exception:  # whatever its part raises: its metrics are absent, and sop_ready says why
        logger.warning("metrics left out", extra={"event": {"part": read.__name__.strip("_")}}, exc_info=True)
        return []


def _gauge(name: str, text: str, values: Iterable[tuple[tuple[str, ...], float | None]], *labels: str) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for found, value in values:
        if value is not None:
            family.add_metric(found, value)
    return family


def _ready() -> Iterator[Any]:
    from fleet.selectors.readiness import readiness

    parts = readiness().parts
    yield _gauge("sop_ready", "Whether a part answers (1) or not (0).", _by(parts, "is_ready"), "part")
    yield _gauge("sop_ready_seconds", "How long a part took to answer.", _by(parts, "took_s"), "part")


def _by(found: Iterable[Any], attribute: str) -> list[tuple[tuple[str, ...], float | None]]:
    return [((each.name,), getattr(each, attribute)) for each in found]


def _queues() -> Iterator[Any]:
    from fleet.selectors.system import queue_states

    found = queue_states()
    yield _gauge("sop_queue_tasks", "Tasks that wait for a worker.", _by(found, "length"), "queue")
    yield _gauge("sop_queue_oldest_seconds", "Since the oldest waiting task was due.", _by(found, "oldest_s"), "queue")


def _workers() -> Iterator[Any]:
    from fleet.selectors.system import worker_silence, worker_states

    silence = [((queue,), value) for queue, value in worker_silence(worker_states()).items()]
    text = "Since any worker of a queue, or the scheduler (beat), was heard."
    yield _gauge("sop_worker_silent_seconds", text, silence, "queue")


def _learner() -> Iterator[Any]:
    from fleet.selectors.system import learner_state

    found = learner_state()
    runs: list[tuple[tuple[str, ...], float | None]] = [(("running",), found.running), (("failed",), found.failed)]
    yield _gauge("sop_training_runs", "Training runs by state.", runs, "state")
    for name, text, value in (
        ("sop_training_silent_seconds", "Since the holder of a running run was heard.", found.silent_s),
        ("sop_training_round_age_seconds", "Since the oldest open round of a running run began.", found.round_age_s),
        ("sop_policy_version_age_seconds", "Since a running run last published a version.", found.version_age_s),
    ):
        yield _gauge(name, text, [((), value)])


def _fleet() -> Iterator[Any]:
    from fleet.selectors.system import lease_counts, robot_counts

    robots = [((state,), float(count)) for state, count in robot_counts().items()]
    yield _gauge("sop_robots", "Robots that are not retired.", robots, "state")
    leases = [((source,), float(count)) for source, count in lease_counts().items()]
    yield _gauge("sop_leases", "Leases in force.", leases, "source")


def _store() -> Iterator[Any]:
    from fleet.selectors.system import store_state

    found = store_state()
    yield _gauge("sop_store_free_bytes", "Free in the store's file system.", [((), found.free_bytes)])
    yield _gauge("sop_store_size_bytes", "Size of the store's file system.", [((), found.size_bytes)])


def application(folder: Path, token: str) -> Callable[..., Any]:
    """Return the WSGI application. `token`: asked for unless empty."""
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Files(folder))
    registry.register(System())
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        given = environ.get("HTTP_AUTHORIZATION", "")
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Length", "0")])
            return [b""]
        if environ.get("PATH_INFO") != "/metrics":
            start_response("404 Not Found", [("Content-Length", "0")])
            return [b""]
        return metrics(environ, start_response)

    return answer


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds for a request to come: a peer that says nothing holds its thread no longer

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> int:
    """Serve until killed; return 2 if nothing is configured to be served."""
    django.setup()
    from django.conf import settings

    folder = settings.SOP_METRICS_DIR
    if folder is None:
        logger.error("set SOP_METRICS_DIR to the folder that all server processes write their metrics to")
        return 2
    host, port = settings.SOP_METRICS_ADDRESS, settings.SOP_METRICS_PORT
    served = application(folder, settings.SOP_METRICS_TOKEN)
    with make_server(host, port, served, server_class=_Server, handler_class=_Quiet) as server:
        logger.info("metrics served", extra={"event": {"address": host, "port": port}})
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
