"""Small OS helpers of the embedded services and the demo: ports, secret files, the folder lock, child processes.

Children die with their parent, even when it is killed with SIGKILL, by Linux's parent-death signal; elsewhere the next
start finds and stops what was left. Nothing here knows PostgreSQL or Redis.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from sop_web.embedded.errors import DataFolderLocked, PortTaken

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now (it may be taken a moment later: callers retry)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int, *, what: str) -> None:
    """Raises: PortTaken if a server could not listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            text = f"{what} cannot listen on 127.0.0.1:{port}: {error.strerror}; stop that program or choose a port"
            raise PortTaken(text) from None


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on; replaces what was there."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def kept_secret(path: Path, *, bytes_: int = 24) -> str:
    """Return the secret in `path`, made at the first call."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(bytes_))
    return path.read_text().strip()


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the kernel frees it when the process ends, however it ends.

    Raises: DataFolderLocked with the holder's process id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            text = f"{folder} is in use by process {holder}: stop that demo, or set SOP_DATA_DIR to another folder"
            raise DataFolderLocked(text) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _die_with_parent(parent: int, number: int) -> Callable[[], None]:
    """Return a function for the forked child: get signal `number` when the parent is gone."""

    def in_child() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
            if os.getppid() != parent:  # it died between fork and prctl
                os.kill(os.getpid(), number)

    return in_child


def spawn(
    command: Sequence[str],
    *,
    log: IO[bytes],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    group: int | None = None,
    on_parent_death: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (a Ctrl-C reaches the parent alone), output to `log`, no input.

    Call from the main thread: the parent-death signal is tied to the thread that forks.
    """
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        cwd=cwd,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        start_new_session=True,
        preexec_fn=_die_with_parent(os.getpid(), on_parent_death),
    )


def stop(process: subprocess.Popen[bytes], *, first: signal.Signals | None, timeout_s: float) -> int:
    """Signal the child (unless `first` is None: it was told already), wait, then SIGKILL its whole group.

    Return its exit status.
    """
    if process.poll() is None:
        if first is not None:
            process.send_signal(first)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # grandchildren too; the group outlives its leader while any lives
    return process.wait()


def tail(path: Path, lines: int = 15) -> str:
    """Return the end of a log for an error message."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:])
