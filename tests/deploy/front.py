"""nginx, coturn and the server in production settings, as real processes on loopback, with the files that deploy."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from sop_web.embedded import system

ROOT = Path(__file__).resolve().parents[2]
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a machine lacks the program; CI sets SOP_CI and must have it."""
    is_missing = shutil.which(program, path=_PATH) is None and not os.environ.get("SOP_CI")
    return pytest.mark.skipif(is_missing, reason=f"{program} is not installed (apt-get install; .ci/run has the list)")


def program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found, f"{name} is not installed"
    return found


def configure(folder: Path) -> Path:
    """Make secrets and a certificate for localhost as a lab does."""
    command = [str(ROOT / "deploy" / "configure"), "localhost", "127.0.0.1", "--self-signed"]
    subprocess.run(
        command, env={**os.environ, "SOP_SECRETS_DIR": str(folder)}, check=True, capture_output=True, timeout=60
    )
    return folder


def replaced(text: str, values: dict[str, str]) -> str:
    """Return the configuration with other places. Raises: AssertionError if it does not name one of them."""
    for old, new in values.items():
        assert old in text, f"the configuration does not say '{old}'"
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def process(command: list[str], *, folder: Path, name: str, env: dict[str, str] | None = None) -> Iterator[Path]:
    """Run a program for the block; yield its log."""
    path = folder / f"{name}.log"
    with path.open("ab") as log:
        child = system.spawn(command, log=log, cwd=ROOT, env=env)
    try:
        yield path
        assert child.poll() is None, f"{name} ended by itself:\n{system.tail(path)}"
    finally:
        system.stop(child, first=system.signal.SIGTERM, timeout_s=15)


def wait_for(condition: Callable[[], object], *, what: str, log: Path, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}\n{system.tail(log)}"
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Nginx:
    """A running nginx: its three ports, and what it logged of requests."""

    http: int
    https: int
    bucket: int
    access_log: Path


@contextlib.contextmanager
def nginx(folder: Path, secrets: Path, *, web: int, bucket: int) -> Iterator[Nginx]:
    """Run deploy/nginx/nginx.conf in front of two ports."""
    folder.mkdir()
    folder.chmod(0o711)  # started by root, its workers are another user
    found = Nginx(system.free_port(), system.free_port(), system.free_port(), folder / "access.log")
    text = replaced(
        (ROOT / "deploy" / "nginx" / "nginx.conf").read_text(),
        {
            "listen 80 ": f"listen 127.0.0.1:{found.http} ",
            "listen 443 ": f"listen 127.0.0.1:{found.https} ",
            "listen 9443 ": f"listen 127.0.0.1:{found.bucket} ",
            "http://web:8000": f"http://127.0.0.1:{web}",
            "http://s3:8333": f"http://127.0.0.1:{bucket}",
            "/run/secrets/tls_certificate": str(secrets / "tls.crt"),
            "/run/secrets/tls_key": str(secrets / "tls.key"),
            "/tmp/nginx": str(folder / "nginx"),
            "/dev/stdout": str(found.access_log),
            "worker_processes auto": "worker_processes 1",
        },
    )
    path = folder / "nginx.conf"
    path.write_text(text)
    command = [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(path)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and "[warn]" not in checked.stderr, checked.stderr
    with process([*command, "-g", "daemon off;"], folder=folder, name="nginx") as log:
        wait_for(lambda: listens(found.https), what="nginx listens", log=log)
        yield found


def production(folder: Path, secrets: Path, *, https: int) -> dict[str, str]:
    """Return the environment of a server process as docker-compose.yml gives it, with the tests' own databases."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SOP_", "OBJECT_"))},
        "DJANGO_SETTINGS_MODULE": "sop_web.settings.production",
        "SOP_SECRET_KEY_FILE": str(secrets / "secret_key"),
        "SOP_DATA_DIR": str(folder),
        "SOP_PUBLIC_URL": f"https://localhost:{https}",
        "SOP_ALLOWED_HOSTS": "localhost",
    }


def manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def server(folder: Path, environment: dict[str, str], *, port: int) -> Iterator[None]:
    """Run the web process by the command of docker-compose.yml."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    command = [sys.executable, "-m", *compose["services"]["web"]["command"]]
    command[command.index("--host") + 1] = "127.0.0.1"
    command[command.index("--port") + 1] = str(port)
    with process(command, folder=folder, name="web", env=environment) as log:
        wait_for(lambda: listens(port), what="the server listens", log=log)
        yield
