"""The real system in a folder of its own, for tests: PostgreSQL, Redis, uvicorn, Celery workers, daemons.

The commands are the demo's (sop_web/demo/stack.py). Children are not restarted unless a test polls; tests read the
rows directly with SQL, so what they count does not pass through the code under test.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from sop_web.demo.config import REPOSITORY
from sop_web.demo.processes import Processes
from sop_web.demo.run import wait_until_serving
from sop_web.demo.stack import Stack, manage, robot_command, start_fleet_worker, start_learner, start_server
from sop_web.embedded import plan_services, start_services, system

USERNAME, PASSWORD = "operator", "correct-horse-battery"
PASSWORDS = {f"SOP_{role}_PASSWORD": PASSWORD for role in ("ADMIN", "MANAGER", "OPERATOR")}
TASK = "box-close"
RUN = "demo"
MAX_STEPS = 40
# Timers scaled for tests: robots' heartbeats a second apart; a run's holder, who beats every 5 s, is dead after 12.
TIMERS = {"SOP_HEARTBEAT_S": "1", "SOP_RUN_STALE_S": "12"}
# Both in one process: each start of Django takes two seconds of a processor.
SEED = f"""
from django.core.management import call_command
call_command("signing_key")
call_command("demo_seed", run={RUN!r}, tasks="{{tasks}}", seed=3)
"""


@dataclass(frozen=True)
class System:
    """A running stack and its children."""

    stack: Stack
    processes: Processes

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, read past the application."""
        with psycopg.connect(self.stack.services.database_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def manage(self, *arguments: str) -> str:
        return manage(self.stack, *arguments)

    def log(self, name: str) -> str:
        return (self.stack.data_dir / "logs" / f"{name}.log").read_text(errors="replace")

    def wait_for(self, condition: Callable[[], object], *, what: str, timeout_s: float = 60.0) -> None:
        """Wait, bounded, until the condition holds. Raises: AssertionError with the logs' ends."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                names = self.processes.names()
                logs = "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in names)
                raise AssertionError(f"not within {timeout_s:.0f} s: {what}\n{logs}")
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """SIGKILL a child and all it started, and forget it."""
        child = self.processes.get(name)
        assert child.process is not None
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait(10)
        self.processes.stop(name)

    # --- Robots ------------------------------------------------------------------------------------------------------

    def robot_state(self, name: str) -> Path:
        return self.stack.data_dir / "robots" / name

    def start_robot(
        self, name: str, *options: str, port: int | None = None, seed: int = 1, python: str = sys.executable
    ) -> None:
        """Start a daemon (through `port`, a relay's, if given); enrolled and assigned when it returns."""
        state = self.robot_state(name)
        state.mkdir(parents=True, exist_ok=True)
        is_new = not (state / "credentials.json").exists()
        token = self.manage("enrol_token", "--name", name).split()[-1] if is_new else None
        _, *command = robot_command(self.stack, name=name, state=state, seed=seed, token=token)
        if port is not None:
            command[command.index("--server") + 1] = f"http://127.0.0.1:{port}"
        command = [python, *command, "--set", "control.reset_s=0.05", *options]
        environment = self.stack.robot_environment(OMP_NUM_THREADS="1")
        self.processes.start(name, command, env=environment, stop_timeout_s=20)
        if is_new:
            self.wait_for(lambda: self.robot_id(name), what=f"{name} enrolled")
            self.assign(name)

    def robot_id(self, name: str) -> str | None:
        found = self.rows("SELECT id FROM fleet_robot WHERE name = %s", name)
        return str(found[0][0]) if found else None

    def assign(self, name: str, slug: str = TASK) -> None:
        """Give the robot a task. The revision counts up, so the next heartbeat brings it."""
        self.rows(
            "INSERT INTO fleet_assignment (id, robot_id, task_id, weight, priority, windows, time_zone, created_at) "
            "SELECT gen_random_uuid(), r.id, t.id, 1, 0, '[]', 'UTC', now() FROM fleet_robot r, fleet_task t "
            "WHERE r.name = %s AND t.slug = %s AND NOT EXISTS "
            "(SELECT 1 FROM fleet_assignment a WHERE a.robot_id = r.id AND a.ended_at IS NULL)",
            name, slug,
        )  # fmt: skip
        self.rows("UPDATE fleet_robot SET state_revision = state_revision + 1 WHERE name = %s", name)

    def unassign(self, name: str) -> None:
        """Let the robot finish its episode and begin no other."""
        self.rows(
            "UPDATE fleet_assignment SET ended_at = now() FROM fleet_robot r "
            "WHERE r.id = robot_id AND r.name = %s AND ended_at IS NULL",
            name,
        )
        self.rows("UPDATE fleet_robot SET state_revision = state_revision + 1 WHERE name = %s", name)

    def closed(self, name: str) -> list[str]:
        """Return the ids of the episodes this daemon ever closed, from its own log."""
        path = self.robot_state(name) / "spool" / "closed.log"
        return path.read_text().split() if path.exists() else []

    def registered(self, name: str) -> list[str]:
        """Return the ids of the episodes the server registered for this robot."""
        query = "SELECT e.id FROM fleet_episode e JOIN fleet_robot r ON r.id = e.robot_id WHERE r.name = %s"
        return [str(row[0]) for row in self.rows(query, name)]

    def deliver_all(self, name: str, *, timeout_s: float = 60.0) -> list[str]:
        """Stop new episodes, wait until everything closed is registered; return the closed ids."""
        self.unassign(name)
        deadline_of_rest = 0.0
        seen: list[str] = []

        def is_settled() -> bool:
            nonlocal seen, deadline_of_rest
            closed = self.closed(name)
            if closed != seen or set(closed) - set(self.registered(name)):
                seen, deadline_of_rest = closed, time.monotonic() + 3.0
            return time.monotonic() > deadline_of_rest > 0

        self.wait_for(is_settled, what=f"{name} delivered everything", timeout_s=timeout_s)
        return seen


@contextlib.contextmanager
def running_system(
    folder: Path, *, port: int | None = None, speed: float = 20.0, tasks: tuple[str, ...] = (TASK,)
) -> Iterator[System]:
    """Services, migrated database, account, tasks, run, server, fleet worker; the learner is the test's to start."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("postgres", "postgres.secret"):
        subprocess.run(["cp", "-a", str(_migrated() / name), str(folder)], check=True, timeout=60)
    with contextlib.ExitStack() as exits:
        services = exits.enter_context(start_services(folder, plan_services(folder, is_durable=False)))
        stack = Stack(data_dir=folder, port=port or system.free_port(), services=services, speed=speed)
        with _without_test_environment(folder):
            processes = Processes(logs=folder / "logs", cwd=REPOSITORY)
            exits.callback(processes.stop)
            manage(stack, "shell", "--no-imports", "-c", SEED.format(tasks=",".join(tasks)), environment=PASSWORDS)
            start_server(processes, stack)
            start_fleet_worker(processes, stack)
            wait_until_serving(stack.url, processes)
            running = System(stack, processes)
            running.rows("UPDATE fleet_task SET max_steps = %s", MAX_STEPS)
            yield running
            processes.stop()


@functools.cache
def _migrated() -> Path:
    """Return a folder with a database as the migrations leave it, made once a process; every system gets a copy.

    The migrations take a processor eight seconds, the copy half of one.
    """
    folder = Path(tempfile.mkdtemp(prefix="sop-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o711)  # PostgreSQL's own OS user must get through to its data
    plan = plan_services(folder, is_durable=False)
    with start_services(folder, plan) as services, _without_test_environment(folder):
        stack = Stack(data_dir=folder, port=system.free_port(), services=services)
        manage(stack, "migrate", "--noinput", "--verbosity", "0")
    return folder


@contextlib.contextmanager
def _without_test_environment(folder: Path) -> Iterator[None]:
    """The stack's children use the settings and object folder of the demo, not those of this pytest run."""
    changed = {
        **TIMERS,
        "DJANGO_SETTINGS_MODULE": "sop_web.settings.dev",
        "OBJECT_STORE_URL": f"file://{folder}/objects",
    }
    kept = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def write_demonstrations(folder: Path, *, count: int) -> Path:
    """Let the simulator's expert do the task, from `python -m fleet.daemon demonstrate`; return the folder."""
    command = [
        sys.executable, "-m", "fleet.daemon", "demonstrate", "--driver", "metaworld", "--task", TASK,
        "--seeds", f"0-{count - 1}", "--starts", "narrow", "--out", str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def http_json(url: str, *, body: dict[str, object] | None = None) -> dict[str, Any]:
    """GET, or POST `body` as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


__all__ = [
    "MAX_STEPS", "PASSWORD", "RUN", "TASK", "USERNAME", "System", "http_json", "running_system", "start_learner",
    "write_demonstrations",
]  # fmt: skip
