"""Commands and environment of everything the demo runs: migrations, web server, workers, robots.

Also used by the tests that run the real stack, with other folders and timers. Starting needs the services' URLs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sop_web.demo.config import REPOSITORY
from sop_web.demo.processes import ChildFailed, Processes
from sop_web.embedded import Services, system

MANAGE_TIMEOUT_S = 600.0
# A robot talks to the server alone (architecture.md: it carries no web stack and no bucket keys).
_SERVER_SECRETS = frozenset(
    ("DATABASE_URL", "REDIS_URL", "OBJECT_STORE_URL", "SOP_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Where one running system lives. `speed` and `rate_hz` are of its robots."""

    data_dir: Path
    port: int
    services: Services
    speed: float = 1.0
    rate_hz: float = 10.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of every child; what the user set for the object store stays."""
        store = os.environ.get("OBJECT_STORE_URL") or f"file://{self.data_dir / 'objects'}"
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev"),
            "DATABASE_URL": self.services.database_url,
            "REDIS_URL": self.services.redis_url,
            "OBJECT_STORE_URL": store,
            "SOP_DATA_DIR": str(self.data_dir),
            "SOP_PUBLIC_URL": self.url,
            # Someone who tries webhooks here has the receiver on this machine.
            "SOP_WEBHOOK_ALLOW": os.environ.get("SOP_WEBHOOK_ALLOW", "127.0.0.0/8, ::1"),
            "SOP_SECRET_KEY": system.kept_secret(self.data_dir / "django.secret", bytes_=64),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))),
            **more,
        }

    def robot_environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a robot, without what opens the server's stores: its key is all it has."""
        kept = {name: value for name, value in self.environment().items() if name not in _SERVER_SECRETS}
        return {**kept, **more}


def manage(
    stack: Stack, *arguments: str, timeout_s: float = MANAGE_TIMEOUT_S, environment: Mapping[str, str] | None = None
) -> str:
    """Run `manage.py` and return what it printed. Raises: ChildFailed with its errors."""
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=REPOSITORY, env=stack.environment(**(environment or {})),
            text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"manage.py {arguments[0]} took more than {timeout_s:.0f} s") from None
    if done.returncode != 0:
        end = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise ChildFailed(f"manage.py {arguments[0]} failed with status {done.returncode}:\n{end}")
    return done.stdout


def server_command(port: int) -> list[str]:
    """One uvicorn process; no deflate (it costs CPU and memory a socket, machine.md 2)."""
    return [
        sys.executable, "-m", "uvicorn", "sop_web.asgi:application", "--host", "127.0.0.1", "--port", str(port),
        "--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--no-access-log",
        "--timeout-graceful-shutdown", "5",
    ]  # fmt: skip


def worker_command(queue: str, *options: str, concurrency: int = 1, python: str = sys.executable) -> list[str]:
    return [
        python, "-m", "celery", "-A", "sop_web.celery", "worker", "-Q", queue, "-c", str(concurrency),
        "--hostname", f"{queue}@%h", "--loglevel", "INFO", *options,
    ]  # fmt: skip


def start_server(processes: Processes, stack: Stack) -> None:
    processes.start("web", server_command(stack.port), env=stack.environment(), stop_timeout_s=10)


def start_fleet_worker(processes: Processes, stack: Stack) -> None:
    """Background work and, in the same process, the clock that asks for it (one machine: no second beat)."""
    schedule = str(stack.data_dir / "celerybeat-schedule")
    command = worker_command("fleet", "-P", "solo", "-B", "-s", schedule)
    processes.start("worker", command, env=stack.environment())


def start_hooks_worker(processes: Processes, stack: Stack) -> None:
    """Webhooks: threads, because all they do is wait for receivers."""
    processes.start("hooks", worker_command("hooks", "-P", "threads", concurrency=8), env=stack.environment())


def start_data_worker(processes: Processes, stack: Stack) -> None:
    """Long work on files, one piece at a time. Killed in the middle, an export goes on when it is there again."""
    processes.start("data", worker_command("data", "-P", "solo"), env=stack.environment())


def start_learner(processes: Processes, stack: Stack, *, queue: str = "learner", python: str = sys.executable) -> None:
    """One round of `queue` at a time in the worker's own process (no fork: CUDA, limits.md 7), by this `python`."""
    command = worker_command(queue, "-P", "solo", python=python)
    processes.start(queue, command, env=stack.environment(), stop_timeout_s=30)


def robot_command(stack: Stack, *, name: str, state: Path, seed: int, token: str | None) -> list[str]:
    command = [
        sys.executable, "-m", "fleet.daemon", "--server", stack.url, "--state", str(state), "--driver", "metaworld",
        "--name", name, "--set", f"seed={seed}", "--set", f"control.control_rate_hz={stack.rate_hz}",
        "--set", f"control.speed_factor={stack.speed}",
    ]  # fmt: skip
    return [*command, f"--token={token}"] if token else command  # with "=": a token may begin with "-"


def start_robot(
    processes: Processes, stack: Stack, *, name: str, seed: int, options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """Start one daemon and return its state folder; it enrols with a fresh one-time token the first time only."""
    state = stack.data_dir / "robots" / name
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    is_enrolled = (state / "credentials.json").exists()
    token = None if is_enrolled else manage(stack, "enrol_token", "--name", name).split()[-1]
    command = [*robot_command(stack, name=name, state=state, seed=seed, token=token), *options]
    more = {"OMP_NUM_THREADS": "1", **(env or {})}  # several robots share few cores
    processes.start(name, command, env=stack.robot_environment(**more), stop_timeout_s=30)
    return state
