"""The embedded PostgreSQL and Redis: they start, keep data over a kill, stop, and say what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from sop_web.embedded import plan_services, postgres, start_services, system
from sop_web.embedded.errors import DataFolderLocked, FolderUnreachable, PackageMissing, PortTaken


@pytest.fixture
def folder(make_open_folder: Callable[[str], Path]) -> Path:
    return make_open_folder("services")


def _servers_of(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names a path under `folder`."""
    found = []
    for process in psutil.process_iter(["cmdline", "name"]):
        arguments = process.info["cmdline"] or []
        if process.info["name"] in {"postgres", "redis-server"} and any(str(folder) in part for part in arguments):
            found.append(process)
    return found


def test_services_keep_their_data_over_a_clean_stop(folder: Path) -> None:
    """Rows and keys written in one run are there in the next, and no server outlives its block."""
    with start_services(folder) as services:
        with psycopg.connect(services.database_url) as connection:
            connection.execute("CREATE TABLE kept (value int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        with redis.Redis.from_url(services.redis_url) as client:
            client.set("kept", "7")
    assert _servers_of(folder) == []
    with start_services(folder) as services:
        with psycopg.connect(services.database_url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchall() == [(7,)]
        with redis.Redis.from_url(services.redis_url) as client:
            assert client.get("kept") == b"7"


def test_services_resume_after_their_owner_was_killed(folder: Path) -> None:
    """SIGKILL of the owner takes the servers down too; the next start finds the data, also with a stale pid file."""
    program = textwrap.dedent(f"""
        import pathlib, time, psycopg, redis
        from sop_web.embedded import start_services
        with start_services(pathlib.Path({str(folder)!r})) as services:
            with psycopg.connect(services.database_url) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
            redis.Redis.from_url(services.redis_url).set("kept", "7")
            time.sleep(1.2)  # the append-only file is synced once a second
            print("ready", flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
        owner.send_signal(signal.SIGKILL)
    for process in _servers_of(folder):
        process.wait(20)
    data = folder / "postgres" / "data"
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")  # its number went to another process
    with start_services(folder) as services:
        with psycopg.connect(services.database_url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchall() == [(7,)]
        with redis.Redis.from_url(services.redis_url) as client:
            assert client.get("kept") == b"7"


def test_a_second_start_on_the_same_folder_is_refused(folder: Path) -> None:
    """The folder's lock names the process that holds it."""
    with system.folder_lock(folder):
        with pytest.raises(DataFolderLocked, match=f"in use by process {os.getpid()}"), start_services(folder):
            pass
        assert not (folder / "postgres").exists()


def test_secrets_are_readable_by_their_owner_alone(folder: Path) -> None:
    """Passwords lie in files of mode 0600, and the password of Redis is not on its command line."""
    plan = plan_services(folder, is_durable=False)
    with start_services(folder, plan):
        for name in ("postgres.secret", "redis.secret", "redis/redis.conf"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert all(plan.redis.password not in " ".join(process.cmdline()) for process in _servers_of(folder))
        assert not (folder / "postgres" / "initdb-password").exists()


def test_a_wrong_password_is_refused(folder: Path) -> None:
    """Neither server lets anybody in over loopback without the password."""
    plan = plan_services(folder, is_durable=False)
    with start_services(folder, plan) as services:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(services.database_url.replace(plan.postgres.password, "wrong"))
        with (
            redis.Redis.from_url(services.redis_url.replace(plan.redis.password, "wrong")) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another OS user")
def test_a_folder_closed_to_the_other_user_is_named(folder: Path) -> None:
    """As root, the folder that PostgreSQL's OS user cannot enter is named, with the command that opens it."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(FolderUnreachable, match=f"chmod o\\+x {closed}"), start_services(closed / "data"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_services_run_for_a_user_who_is_not_root(folder: Path) -> None:
    """An ordinary user gets the same servers, run as that user."""
    nobody = 65534
    os.chown(folder, nobody, nobody)
    program = f"""
import os, pathlib, encodings.idna, psycopg
from sop_web.embedded import start_services
os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})  # after the imports: root's Python may lie in /root
with start_services(pathlib.Path({str(folder)!r})) as services, psycopg.connect(services.database_url) as connection:
    print(connection.execute("SELECT 1").fetchone(), os.geteuid())
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"(1,) {nobody}\n"), done.stderr


def test_a_taken_port_is_named(folder: Path) -> None:
    """A port that somebody else listens on is in the message."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = postgres.PostgresPlan(folder / "postgres", port, "secret", is_durable=False)
        with pytest.raises(PortTaken, match=str(port)), postgres.run_postgres(plan):
            pass


def test_a_missing_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the message says what to run."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PackageMissing, match="make setup"):
        postgres.binaries()


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    """A child that ignores the first signal and its own child are both gone after `stop`."""
    script = "trap '' TERM; sleep 300 & echo $! > child; wait; sleep 300"
    with (tmp_path / "log").open("wb") as log:
        process = system.spawn(["bash", "-c", script], log=log, cwd=tmp_path)
    deadline = time.monotonic() + 10
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child = psutil.Process(int((tmp_path / "child").read_text()))
    system.stop(process, first=signal.SIGTERM, timeout_s=0.2)
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_command_gets_servers_of_its_own() -> None:
    """`python -m sop_web.embedded COMMAND` runs it with both URLs and passes its status on."""
    code = "import os, psycopg, sys; psycopg.connect(os.environ['DATABASE_URL']).close(); sys.exit(7)"
    command = [sys.executable, "-m", "sop_web.embedded", sys.executable, "-c", code]
    assert subprocess.run(command, timeout=60).returncode == 7
