"""The server's metrics over several processes, and the exporter that adds them up and serves them."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import httpx
import pytest
from django.test import Client
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from fleet import live
from fleet.acting import request_named
from fleet.queue import enqueue_webhook_drain
from fleet.selectors.system import queue_states, worker_silence, worker_states
from sop_web import metrics
from sop_web.env import EnvironmentInvalid, read_environment
from sop_web.exporter import _Quiet, _Server, application

ROOT = Path(__file__).resolve().parents[2]
# A web process as far as its metrics go: it counts, says so, and lives until it is killed.
WORKER = """
import os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "sop_web.settings.test"
import django; django.setup()
from sop_web.metrics import show_alive
from fleet import telemetry
show_alive()
telemetry.request_answered(method="GET", route="/api/v1/robots", status=200, took_s=0.02, size=100)
telemetry.socket_opened("robot")
print("ready", flush=True)
time.sleep(60)
"""


def _count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def serve() -> Iterator[Callable[[Path, str], str]]:
    """Serve the exporter's application; returns its base URL."""
    servers: list[Any] = []

    def start(folder: Path, token: str = "") -> str:
        server = make_server("127.0.0.1", 0, application(folder, token), server_class=_Server, handler_class=_Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def _samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _start_worker(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "SOP_METRICS_DIR": str(folder)}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    return worker


@pytest.mark.django_db(transaction=True)
def test_several_processes_are_added_up_and_a_killed_one_has_nothing_open(tmp_path: Path, serve: Any) -> None:
    """Counts of a process that was killed stay, or rates would jump; its sockets are gone with it."""
    workers = [_start_worker(tmp_path), _start_worker(tmp_path)]
    url = serve(tmp_path)
    try:
        before = _samples(httpx.get(url + "/metrics", timeout=20).text)
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()
        after = _samples(httpx.get(url + "/metrics", timeout=20).text)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    key = ("sop_http_requests_total", ("GET", "/api/v1/robots", "200"))
    assert (before[key], after[key]) == (2, 2)
    sockets = ("sop_sockets", ("robot",))
    assert (before[sockets], after[sockets]) == (2, 1)
    assert before["sop_http_request_seconds_bucket", ("0.025", "GET", "/api/v1/robots")] == 2
    assert {name for name, _ in after} >= {"sop_ready", "sop_queue_tasks", "sop_robots", "sop_store_free_bytes"}
    assert after["sop_ready", ("database",)] == after["sop_ready", ("redis",)] == 1


@pytest.mark.django_db(transaction=True)
def test_the_exporter_asks_for_its_token_and_serves_nothing_else(tmp_path: Path, serve: Any) -> None:
    url = serve(tmp_path, "t" * 20)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "t" * 20}, {"authorization": "Bearer é"}):
        sent = {name: value.encode() for name, value in headers.items()}
        answer = httpx.get(url + "/metrics", headers=sent, timeout=20)
        assert (answer.status_code, answer.text) == (401, "")
    allowed = {"authorization": "Bearer " + "t" * 20}
    assert httpx.get(url + "/metrics", headers=allowed, timeout=20).status_code == 200
    assert httpx.get(url + "/../etc/passwd", headers=allowed, timeout=20).status_code == 404


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"SOP_METRICS_ADDRESS": "0.0.0.0"}, "SOP_METRICS_TOKEN"),
        ({"SOP_METRICS_ADDRESS": "0.0.0.0", "SOP_METRICS_TOKEN": "short"}, "20 characters"),
        ({"SOP_METRICS_ADDRESS": "all"}, "an IP address"),
        ({"SOP_METRICS_PORT": "65536"}, "a port"),
        ({"SOP_METRICS_PORT": "-1"}, "SOP_METRICS_PORT"),
        ({"SOP_METRICS_DIR": "here"}, "absolute"),
        ({"SOP_READY_TIMEOUT_S": "0"}, "SOP_READY_TIMEOUT_S"),
    ],
)
def test_what_would_open_the_metrics_to_all_is_refused(values: dict[str, str], problem: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=problem):
        read_environment(values)


@pytest.mark.django_db
def test_what_strangers_make_up_is_one_route() -> None:
    """Paths, ids and methods from outside never become series of their own."""
    client = Client()
    client.get("/api/v1/session")
    before = {(s.name, tuple(sorted(s.labels.items()))) for m in REGISTRY.collect() for s in m.samples}
    asked = {"method": "GET", "route": "/api/v1/robots/<uuid:pk>", "status": "401"}
    robots = _count("sop_http_requests_total", **asked)  # other tests of this process ask for robots, too
    for _ in range(20):
        name = uuid.uuid4().hex
        client.get(f"/api/v1/{name}")
        client.get(f"/api/v1/robots/{uuid.uuid4()}")
        client.get(f"/{name}/{name}")
        client.get(f"/objects/{name}")
        client.generic(f"M{name[:8].upper()}", "/api/v1/session")
    after = {(s.name, tuple(sorted(s.labels.items()))) for m in REGISTRY.collect() for s in m.samples}
    routes = {dict(labels).get("route") for _, labels in after - before}
    assert len(routes) <= 6 and not any(route and len(route) > 60 for route in routes)
    found = [dict(labels) for name, labels in after - before if name == "sop_http_requests_total"]
    assert {each["method"] for each in found} <= {"GET", "other"}
    assert _count("sop_http_requests_total", **asked) - robots == 20
    assert all(each == asked for each in found if each["route"].startswith("/api/v1/robots/"))


@pytest.mark.django_db(transaction=True)
def test_a_queue_says_how_long_its_oldest_task_has_waited_and_who_asked() -> None:
    live.connection().delete("hooks")
    with request_named("request-1234"):
        enqueue_webhook_drain(webhook_id=str(uuid.uuid4()))
    time.sleep(0.3)
    enqueue_webhook_drain(webhook_id=str(uuid.uuid4()))
    try:
        state = next(each for each in queue_states() if each.name == "hooks")
        oldest = json.loads(live.queue_state("hooks")[1] or b"")
    finally:
        live.connection().delete("hooks")
    assert state.length == 2 and state.oldest_s is not None and 0.3 <= state.oldest_s < 10
    assert oldest["headers"]["sop_request_id"] == "request-1234"
    assert base64.b64decode(oldest["body"])


@pytest.mark.parametrize("message", [b"{}", b"no json", b'{"headers": {"sop_due_s": "x"}}', b"[]", b'"x"'])
def test_a_message_of_another_program_has_no_age(message: bytes) -> None:
    live.connection().delete("hooks")
    live.connection().lpush("hooks", message)
    try:
        state = next(each for each in queue_states() if each.name == "hooks")
    finally:
        live.connection().delete("hooks")
    assert (state.length, state.oldest_s) == (1, None)


def test_workers_are_seen_by_the_queues_they_serve() -> None:
    live.connection().delete("sop:workers")
    live.worker_seen("fleet@host", ["fleet"])
    live.worker_seen("both@host", ["data", "hooks"])
    try:
        silence = worker_silence(worker_states())
    finally:
        live.connection().delete("sop:workers")
    assert {name for name, silent in silence.items() if silent is not None and silent < 5} == {"fleet", "data", "hooks"}
    assert silence["learner"] is None and silence["beat"] is None


def test_a_process_with_the_id_of_a_dead_one_has_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that starts again has its host name and its process ids again."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    (left := tmp_path / f"gauge_livesum_{os.getpid()}.db").write_bytes(b"x")
    (other := tmp_path / f"counter_{os.getpid()}.db").write_bytes(b"x")
    metrics.show_alive()
    metrics._locks.pop().close()
    assert not left.exists() and other.exists()


@pytest.mark.django_db(transaction=True)
def test_the_container_checks_its_exporter(tmp_path: Path, serve: Any) -> None:
    """The health check is a scrape with the token; it says no to a wrong one, and leaves no file of metrics."""
    url = serve(tmp_path, "t" * 20)
    command = [sys.executable, "-m", "sop_web.healthcheck", "exporter"]
    environment = {**os.environ, "SOP_METRICS_DIR": str(tmp_path), "SOP_METRICS_PORT": url.rpartition(":")[2]}

    def check(token: str) -> subprocess.CompletedProcess[str]:
        found = {**environment, "SOP_METRICS_TOKEN": token}
        return subprocess.run(command, env=found, capture_output=True, text=True, timeout=60, cwd=ROOT)

    assert check("t" * 20).returncode == 0
    assert check("w" * 20).stderr.strip() == "/metrics answers 401"
    assert list(tmp_path.iterdir()) == []


def test_a_command_writes_no_metrics(tmp_path: Path) -> None:
    """`docker compose exec web python manage.py ...` would leave a file for each process id, for ever."""
    environment = {**os.environ, "SOP_METRICS_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "sop_web.settings.test"}
    code = "import fleet.telemetry as t; t.episode_registered(1); print(t.EPISODES._value.get())"
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout.strip() == "1.0", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_went_away_since_it_was_listed_does_not_count(tmp_path: Path) -> None:
    assert not metrics.is_counted(tmp_path / "gauge_livesum_1.db")
    assert not metrics.is_counted(tmp_path / "counter_1.db")


@pytest.mark.django_db
def test_every_route_begins_with_a_slash() -> None:
    before = _count("sop_http_requests_total", method="GET", route="/api/docs", status="200")
    assert Client().get("/api/docs").status_code == 200
    assert _count("sop_http_requests_total", method="GET", route="/api/docs", status="200") == before + 1
