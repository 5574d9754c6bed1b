"""Where the server's processes keep their Prometheus metrics, and the middleware that counts requests.

SOP_METRICS_DIR names a folder; each process writes files into a subfolder of its machine (in containers, of the
container, whose process ids others use as well). The exporter adds all of them up, so web processes and forked workers
need no port each, and a count outlives the process that made it. prometheus_client decides at its import whether it
writes files, so `keep_in` comes before: settings/base.py calls it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from fleet.both_ways import BothWays, Finish
from fleet.protocol import tracing

FILES_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # of prometheus_client
LIVE_GAUGES = "gauge_live"
_locks: list[IO[bytes]] = []  # held as long as this process lives


def keep_in(folder: Path | None) -> None:
    """Let this process write its metrics below the folder; None: keep them to itself."""
    if folder is None:
        return
    own = folder / socket.gethostname()
    own.mkdir(parents=True, exist_ok=True)
    os.environ[FILES_VARIABLE] = str(own)


def show_alive() -> None:
    """Hold a lock that tells the exporter that this process lives: what it counts as open is open."""
    folder = os.environ.get(FILES_VARIABLE)
    if folder:
        lock = (Path(folder) / f"{os.getpid()}.lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _locks.append(lock)
        for left in Path(folder).glob(f"{LIVE_GAUGES}*_{os.getpid()}.db"):
            left.unlink()  # of a dead process with this id, as a restarted container's always is: its sockets are gone


def is_counted(path: Path) -> bool:
    """Whether a file of metrics counts: all do but what a process that has died said was open, and one that is being
    made right now, which is empty until it has its first size."""
    try:
        if path.stat().st_size == 0:
            return False
    except FileNotFoundError:
        return False  # a process that took its id over removed it since the folder was listed
    if not path.name.startswith(LIVE_GAUGES):
        return True
    lock = path.with_name(path.stem.rpartition("_")[2] + ".lock")
    try:
        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


class RequestMetrics(BothWays):
    """Counts every answer by its route's template, outermost of all middleware."""

    @contextmanager
    def around(self, request: HttpRequest) -> Iterator[Finish]:
        began = time.perf_counter()
        with _traced(request) as work:
            yield lambda response: _counted(request, response, began, work)


def _traced(request: HttpRequest) -> AbstractContextManager[tracing.Work]:
    """A request begins a trace of its own, linked to the one it names: strangers write no other's."""
    return tracing.span("request", links=(request.headers.get("traceparent", ""),), kind="SERVER")


def _counted(request: HttpRequest, response: HttpResponseBase, began: float, work: tracing.Work) -> HttpResponseBase:
    from fleet.telemetry import (
        METHODS,
        OTHER,
        request_answered,
    )  # after the settings, which say where prometheus_client writes

    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else None if response.streaming else len(getattr(response, "content", b""))
    took_s, route, method = time.perf_counter() - began, _route(request, response), request.method or ""
    request_answered(
        method=method, route=route, status=response.status_code, took_s=took_s,
        size=size if request.method != "HEAD" else None,
    )  # fmt: skip
    work.rename(f"{method if method in METHODS else OTHER} {route}")
    work.set({"http.route": route, "http.response.status_code": response.status_code})
    if response.status_code >= 500:
        work.fail(str(response.status_code))
    return response


def _route(request: HttpRequest, response: HttpResponseBase) -> str:
    """Return the template that the path fits; what strangers make up is one word, or it would grow without bound."""
    match = request.resolver_match
    if match is None:
        return "static" if response.status_code < 400 else "unmatched"
    if match.url_name == "console" or match.route.startswith("admin/"):
        return match.url_name if match.url_name == "console" else "admin"
    return f"/{match.route}"
