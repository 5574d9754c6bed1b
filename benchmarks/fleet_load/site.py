"""The site under load: PostgreSQL, Redis, web processes and nginx on loopback, as processes of this program.

PostgreSQL is durable as in production (fsync on). nginx runs deploy/nginx/nginx.conf, but without TLS, which would be
measured at the load generator's cost, and with all web processes behind its one name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import boto3
import psutil

from sop_web.demo.config import REPOSITORY
from sop_web.demo.processes import Processes
from sop_web.demo.stack import Stack, server_command
from sop_web.embedded import plan_services, start_services, system
from tests.fleet.storage import seaweed

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_NOT_OVER_PLAIN_HTTP = "    ssl_"
STARTED_S = 90.0


@dataclass(frozen=True)
class Site:
    """`web`: ports of the web processes; `port`: nginx's; `echo_port`: of the bare echo behind the same nginx."""

    stack: Stack
    processes: Processes
    web: tuple[int, ...]
    port: int
    echo: tuple[int, ...]
    echo_port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_web(self) -> None:
        """Start all web processes and return; `wait` tells when they listen."""
        for number, port in enumerate(self.web):
            environment = self.stack.environment(SOP_PUBLIC_URL=self.origin)
            self.processes.start(f"web-{number}", server_command(port), env=environment, stop_timeout_s=20)

    def stop_web(self) -> None:
        self.processes.stop(*(f"web-{number}" for number in range(len(self.web))))

    def start_echo(self) -> None:
        for number, port in enumerate(self.echo):
            command = server_command(port)
            command[command.index("sop_web.asgi:application")] = "benchmarks.fleet_load.echo:application"
            self.processes.start(f"echo-{number}", command, env=self.stack.environment())
        wait_listening(self.echo)

    def stop_echo(self) -> None:
        self.processes.stop(*(f"echo-{number}" for number in range(len(self.echo))))

    def parts(self) -> dict[str, list[psutil.Process]]:
        """Return the running processes by part: web-0, ..., nginx, redis, postgres, each with its children."""
        found = {}
        for name in self.processes.names():
            process = self.processes.get(name).process
            assert process is not None
            found[name] = _with_children(process.pid)
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                part = child.name().split("-")[0]
                if part in ("postgres", "redis"):
                    found[part] = _with_children(child.pid)
        return found


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def wait_listening(ports: Sequence[int]) -> None:
    """Return when all ports take connections. Raises: RuntimeError."""
    deadline = time.monotonic() + STARTED_S
    for port in ports:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port}")
            time.sleep(0.02)


@contextlib.contextmanager
def running_site(folder: Path, *, web: int, heartbeat_s: float) -> Iterator[Site]:
    """Run everything but the web processes, which need a migrated database first."""
    folder.chmod(0o711)
    with contextlib.ExitStack() as exits:
        services = exits.enter_context(start_services(folder, plan_services(folder, is_durable=True)))
        os.environ["SOP_HEARTBEAT_S"] = str(heartbeat_s)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sop_web.settings.dev")
        ports = [system.free_port() for _ in range(2 * web + 2)]
        port, echo_port = ports[-2:]
        stack = Stack(data_dir=folder, port=port, services=services)
        processes = Processes(logs=folder / "logs", cwd=REPOSITORY)
        exits.callback(processes.stop)
        site = Site(stack, processes, tuple(ports[:web]), port, tuple(ports[web : 2 * web]), echo_port)
        _start_nginx(site, folder / "nginx")
        yield site


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[None]:
    """Let everything that starts within keep its objects in a bucket of a real S3 server on loopback."""
    folder.mkdir()
    with seaweed.run_seaweed(folder, volumes=64) as server, mock.patch.dict(os.environ):
        client = boto3.client(
            "s3", endpoint_url=server.endpoint, region_name="us-east-1",
            aws_access_key_id=seaweed.ADMIN_ACCESS_KEY, aws_secret_access_key=seaweed.ADMIN_SECRET_KEY,
        )  # fmt: skip
        client.create_bucket(Bucket=seaweed.BUCKET)
        os.environ |= {
            "OBJECT_STORE_URL": f"s3://{seaweed.BUCKET}?endpoint={server.endpoint}&region=us-east-1",
            "AWS_ACCESS_KEY_ID": seaweed.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": seaweed.SECRET_KEY,
        }  # fmt: skip
        yield


def _start_nginx(site: Site, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o711)
    path = folder / "nginx.conf"
    path.write_text(nginx_configuration(site, folder))
    program = shutil.which("nginx", path=_PATH)
    if program is None:
        raise RuntimeError("nginx is not installed (apt-get install nginx)")
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(path)]
    subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=30)
    site.processes.start("nginx", [*command, "-g", "daemon off;"], env=dict(os.environ))
    wait_listening([site.port])


def nginx_configuration(site: Site, folder: Path) -> str:
    """Return deploy/nginx/nginx.conf for loopback: no TLS, one worker, web processes by least connections.

    Raises: RuntimeError if the file does not say what is replaced here.
    """
    text = (REPOSITORY / "deploy" / "nginx" / "nginx.conf").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith(_NOT_OVER_PLAIN_HTTP))
    places = {
        "listen 80 default_server;": f"listen 127.0.0.1:{system.free_port()};",
        "listen 443 ssl ": f"listen 127.0.0.1:{site.port} ",
        "listen 9443 ssl default_server;": f"listen 127.0.0.1:{site.echo_port};",
        "set $web http://web:8000;": "set $web http://sop_web;",
        "set $s3 http://s3:8333;": "set $s3 http://bare_echo;",
        "/tmp/nginx": str(folder / "nginx"),
        "/dev/stdout": str(folder / "access.log"),
        "worker_processes auto;": f"worker_processes 1;\nworker_rlimit_nofile {min(20000, _file_limit())};",
        "    map $http_upgrade": f"{_upstream('sop_web', site.web)}{_upstream('bare_echo', site.echo)}"
        "    map $http_upgrade",
    }
    for old, new in places.items():
        if old not in text:
            raise RuntimeError(f"deploy/nginx/nginx.conf does not say '{old}'")
        text = text.replace(old, new)
    return text


def _upstream(name: str, ports: Sequence[int]) -> str:
    servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)
    return f"    upstream {name} {{ least_conn; {servers} }}\n"


def _file_limit() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
