"""`/healthz` and `/readyz` of a real server, while its real Redis, PostgreSQL and object folder go and come back."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from sop_web.demo.stack import Stack, manage, server_command
from sop_web.embedded import Services, ServicesPlan, plan_services, system
from sop_web.embedded.postgres import run_postgres
from sop_web.embedded.redis import run_redis

TIMEOUT_S, CACHE_S = 2.0, 1.0
PARTS = {"database", "migrations", "redis", "object_store"}


@dataclass
class Running:
    """A server of its own, with services that a test may stop."""

    plan: ServicesPlan
    stack: Stack
    redis: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    postgres: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.stack.url + path, timeout=TIMEOUT_S + 3, headers=headers)

    def states(self) -> dict[str, str]:
        return {name: part["state"] for name, part in self.get("/readyz").json()["parts"].items()}

    def start_redis(self) -> None:
        self.redis.enter_context(run_redis(self.plan.redis))

    def start_postgres(self) -> None:
        self.postgres.enter_context(run_postgres(self.plan.postgres))

    def wait_until(self, is_reached: Callable[[], bool], *, within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not is_reached():
            assert time.monotonic() < deadline, f"not reached within {within_s:g} s: {self.states()}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def running(make_open_folder: Callable[[str], Path]) -> Iterator[Running]:
    folder = make_open_folder("ready")
    plan = plan_services(folder / "services", is_durable=False)
    services = Services(database_url=plan.postgres.url(), redis_url=plan.redis.url)
    stack = Stack(data_dir=folder / "data", port=system.free_port(), services=services)
    stack.data_dir.mkdir()
    found = Running(plan, stack)
    with found.redis, found.postgres:
        found.start_redis()
        found.start_postgres()
        store = f"file://{folder / 'objects'}"
        manage(stack, "migrate", "-v", "0", environment={"OBJECT_STORE_URL": store})
        environment = stack.environment(
            OBJECT_STORE_URL=store,
            SOP_READY_TIMEOUT_S=str(TIMEOUT_S),
            SOP_READY_CACHE_S=str(CACHE_S),
            DJANGO_SETTINGS_MODULE="sop_web.settings.dev",  # with the pool of connections, as in production
        )
        with (folder / "web.log").open("wb") as log:
            process = subprocess.Popen(server_command(stack.port), env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not _is_alive(found):
                assert process.poll() is None and time.monotonic() < deadline, (folder / "web.log").read_text()[-3000:]
                time.sleep(0.1)
            yield found
        finally:
            process.terminate()
            process.wait(15)


def _is_alive(running: Running) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return running.get("/healthz").status_code == 200
    return False


@pytest.fixture(autouse=True)
def everything_is_there(running: Running) -> None:
    running.wait_until(lambda: running.get("/readyz").status_code == 200)


def _redis_process(running: Running) -> psutil.Process:
    """It writes its port into its command line."""
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "redis-server" in line and f":{running.plan.redis.port}" in line:
            return process
    raise AssertionError("redis-server does not run")


def test_ready_names_every_part_and_its_time_to_this_machine(running: Running) -> None:
    answer = running.get("/readyz")
    body = answer.json()
    assert (answer.status_code, body["status"], answer.headers["cache-control"]) == (200, "ready", "no-store")
    assert set(body["parts"]) == PARTS
    assert all(part["state"] == "ready" and 0 <= part["took_ms"] < 2000 for part in body["parts"].values())


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_strangers_behind_a_proxy_on_this_machine_learn_one_word(running: Running, header: str) -> None:
    """A proxy here makes every stranger look local; the address it forwards, even a forged one, says otherwise."""
    assert running.get("/readyz", **{header: "127.0.0.1"}).json() == {"status": "ready"}


def test_a_made_up_session_shows_no_more(running: Running) -> None:
    answer = running.get("/readyz", **{"x-forwarded-for": "203.0.113.7", "cookie": "sessionid=" + "a" * 32})
    assert answer.json() == {"status": "ready"}


def test_only_reading_is_allowed(running: Running) -> None:
    """A foreign page's POST to /readyz ends at the check for forgeries, before the view."""
    found = {path: httpx.post(running.stack.url + path, timeout=5).status_code for path in ("/healthz", "/readyz")}
    assert found == {"/healthz": 405, "/readyz": 403}


def test_a_stopped_redis_is_named_and_its_return_is_seen(running: Running) -> None:
    running.redis.close()
    try:
        running.wait_until(lambda: running.get("/readyz").status_code == 503)
        assert running.states() == {"database": "ready", "migrations": "ready", "redis": "failed",
                                    "object_store": "ready"}  # fmt: skip
        assert running.get("/readyz", **{"x-forwarded-for": "203.0.113.7"}).json() == {"status": "not ready"}
        assert running.get("/healthz").json() == {"status": "alive"}
    finally:
        running.start_redis()
    running.wait_until(lambda: running.get("/readyz").status_code == 200)


def test_a_hung_redis_is_named_in_bounded_time(running: Running) -> None:
    """SIGSTOP: the connection stands and nothing answers, the worst case for whoever waits."""
    process = _redis_process(running)
    process.suspend()
    try:
        running.wait_until(lambda: running.states()["redis"] == "timeout")
        began = time.monotonic()
        threads = [threading.Thread(target=running.get, args=("/readyz",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < TIMEOUT_S + 2
        assert running.get("/healthz").elapsed.total_seconds() < 1
    finally:
        process.resume()
    running.wait_until(lambda: running.states()["redis"] == "ready")


def test_a_stopped_database_is_named_and_its_return_is_seen(running: Running) -> None:
    running.postgres.close()
    try:
        running.wait_until(lambda: running.get("/readyz").status_code == 503)
        states = running.states()
        assert states.pop("database") in ("failed", "timeout") and states.pop("migrations") in ("failed", "timeout")
        assert states == {"redis": "ready", "object_store": "ready"}
        assert running.get("/healthz").status_code == 200
        stranger = {"x-forwarded-for": "203.0.113.7", "cookie": "sessionid=" + "a" * 32}
        assert running.get("/readyz", **stranger).json() == {"status": "not ready"}
    finally:
        running.start_postgres()
    running.wait_until(lambda: running.get("/readyz").status_code == 200)


def test_a_migration_that_is_not_applied_is_named(running: Running) -> None:
    with psycopg.connect(running.stack.services.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE django_migrations SET name = 'away_' || name WHERE app = 'fleet' AND name LIKE '0029%'"
        )
        try:
            running.wait_until(lambda: running.states()["migrations"] == "migrations_missing")
            assert running.get("/readyz").status_code == 503
        finally:
            connection.execute("UPDATE django_migrations SET name = substr(name, 6) WHERE name LIKE 'away_%'")


def test_a_store_that_takes_no_writes_is_named(running: Running) -> None:
    """A file stands where the store keeps what it writes: root, as which tests may run, ignores a mere mode."""
    folder = running.plan.folder.parent / "objects"
    moved = folder.with_name("away")
    folder.rename(moved)
    folder.write_text("in the way")
    try:
        running.wait_until(lambda: running.states()["object_store"] != "ready")
        assert running.get("/readyz").status_code == 503
    finally:
        folder.unlink()
        moved.rename(folder)


def test_many_questions_are_one_question_a_second(running: Running) -> None:
    """The parts are asked once a second whoever asks: 200 questions write no more than that to the database."""
    with httpx.Client(base_url=running.stack.url, timeout=5) as client:
        client.get("/readyz")
        began = time.monotonic()
        seen = {client.get("/readyz").json()["checked_at"] for _ in range(200)}
        took_s = time.monotonic() - began
    assert 1 <= len(seen) <= took_s / CACHE_S + 2
