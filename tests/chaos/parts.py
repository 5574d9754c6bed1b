"""Parts of the stack that a fault takes away and gives back: services, namespaces, mounts. Linux, and root for some."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil

FILLER = "filler"
_BLOCK = 4096


class Service:
    """PostgreSQL, Redis or the S3 server: started by a context manager, killed and frozen by process id."""

    def __init__(self, run: Callable[[], AbstractContextManager[object]], pid: Callable[[], int]) -> None:
        self._run = run
        self._pid = pid
        self._exits = contextlib.ExitStack()
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        self._exits.enter_context(self._run())

    def stop(self) -> None:
        """End it as its owner does: with the signal that it knows, and waiting."""
        self._exits.close()

    def kill(self) -> None:
        """SIGKILL of the main process alone: children find out by themselves, as after the kernel's OOM killer."""
        os.kill(self._pid(), signal.SIGKILL)
        self._exits.close()

    @property
    def is_running(self) -> bool:
        """Whether its main process lives; one that ended by itself may have left its pid file."""
        try:
            return bool(psutil.Process(self._pid()).status() != psutil.STATUS_ZOMBIE)
        except (FileNotFoundError, IndexError, psutil.NoSuchProcess):
            return False

    def freeze(self) -> None:
        signal_tree(self._pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        signal_tree(self._pid(), signal.SIGCONT)


def signal_tree(pid: int, number: signal.Signals) -> None:
    """Signal a process and all that it started; who ended meanwhile is left out."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def pid_in(path: Path) -> int:
    """Return the process id on the first line of a pid file."""
    return int(path.read_text().split()[0])


def _succeeds(*command: str) -> bool:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return done.returncode == 0


def run(*command: str) -> None:
    """Run one of the system's programs. Raises: AssertionError with its words."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"


class Volume:
    """A small file system in memory, bound to the place where the stack looks for it: it can be full, or gone."""

    def __init__(self, backing: Path, place: Path, *, size_mib: int) -> None:
        self._backing, self._place, self._size_mib = backing, place, size_mib
        self._is_bound = False

    def mount(self) -> bool:
        """Return whether this machine lets us; root is needed."""
        for folder in (self._backing, self._place):
            folder.mkdir(parents=True, exist_ok=True)
        if not _succeeds("mount", "-t", "tmpfs", "-o", f"size={self._size_mib}m", "tmpfs", str(self._backing)):
            return False
        self.attach()
        return True

    def attach(self) -> None:
        run("mount", "--bind", str(self._backing), str(self._place))
        self._is_bound = True

    def detach(self) -> None:
        """Take it away as a lost disk is: files that are open stay open, the place is an empty folder."""
        run("umount", "--lazy", str(self._place))
        self._is_bound = False

    def fill(self) -> None:
        """Leave no block. A file that was preallocated keeps its own."""
        size = os.statvfs(self._backing).f_bavail * os.statvfs(self._backing).f_frsize
        with (self._backing / FILLER).open("ab") as file:
            while size >= _BLOCK:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError as error:  # all of it or nothing, and others write meanwhile
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    @contextlib.contextmanager
    def kept_full(self) -> Iterator[None]:
        """Leave no block for as long as the block runs; what others free meanwhile is taken within half a second."""
        is_over = threading.Event()

        def keep() -> None:
            while not is_over.wait(0.5):
                self.fill()

        self.fill()
        keeper = threading.Thread(target=keep, name="full disk")
        keeper.start()
        try:
            yield
        finally:
            is_over.set()
            keeper.join()
            self.empty()

    def empty(self) -> None:
        (self._backing / FILLER).unlink(missing_ok=True)

    def close(self) -> None:
        if self._is_bound:
            self.detach()
        _succeeds("umount", "--lazy", str(self._backing))


class Namespace:
    """A network namespace joined to this machine by one cable (a veth pair)."""

    def __init__(self, number: int) -> None:
        self.name = f"sop-chaos-{os.getpid() % 10_000}-{number}"
        self._cable, self._far = f"sc{os.getpid() % 10_000}h{number}", f"sc{os.getpid() % 10_000}n{number}"
        self._net = f"10.213.{os.getpid() % 250}"
        self.host, self._inside = f"{self._net}.1", f"{self._net}.2"

    def make(self) -> bool:
        """Return whether this machine lets us; root is needed."""
        if not _succeeds("ip", "netns", "add", self.name):
            return False
        run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", self._far, "netns", self.name)
        run("ip", "addr", "add", f"{self.host}/24", "dev", self._cable)
        run("ip", "link", "set", self._cable, "up")
        run("ip", "-n", self.name, "addr", "add", f"{self._inside}/24", "dev", self._far)
        run("ip", "-n", self.name, "link", "set", self._far, "up")
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        return True

    def command(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def unplug(self) -> None:
        run("ip", "link", "set", self._cable, "down")

    def plug(self) -> None:
        run("ip", "link", "set", self._cable, "up")

    def impair(self, *options: str) -> bool:
        """Let the cable delay and lose packets (netem); False where the kernel has no such thing."""
        return _succeeds("tc", "qdisc", "add", "dev", self._cable, "root", "netem", *options)

    def mend(self) -> None:
        run("tc", "qdisc", "del", "dev", self._cable, "root")

    def close(self) -> None:
        _succeeds("ip", "netns", "del", self.name)
        deadline = time.monotonic() + 5
        while _succeeds("ip", "link", "show", self._cable) and time.monotonic() < deadline:
            _succeeds("ip", "link", "del", self._cable)
            time.sleep(0.05)
