"""Keeps the demo's processes alive: restarts with a bounded back-off, logs to files, leaves nothing behind.

Used by the demo and by the tests that run the real stack. Single-threaded: the owner calls `poll` a few times a second,
from the main thread (children are told when the thread that made them ends).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sop_web.embedded import system

BACKOFF_MAX_S = 15.0
QUICK_EXIT_S = 30.0  # a child that lived at least this long begins again with a short back-off
MAX_QUICK_EXITS = 5


class DemoError(Exception):
    """Something the demo cannot go on without; the message says what and what to do."""


class ChildFailed(DemoError):
    """A child ended too often, or a command failed; the end of its log follows."""


@dataclass
class Child:
    """One supervised process. `stop_timeout_s`: how long it may take after SIGTERM before SIGKILL."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    cwd: Path
    stop_timeout_s: float = 15.0
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float | None = None
    quick_exits: int = 0
    restarts: int = 0
    exits: list[int] = field(default_factory=list)


class Processes:
    """The children, in the order they were started; they are stopped in reverse."""

    def __init__(self, *, logs: Path, cwd: Path, notify: Callable[[str], None] = lambda _: None) -> None:
        self._notify = notify
        self._logs = logs
        self._cwd = cwd
        self._children: dict[str, Child] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], stop_timeout_s: float = 15.0
    ) -> Child:
        """Start a child that `poll` keeps alive."""
        child = Child(name, command, env, self._logs / f"{name}.log", self._cwd, stop_timeout_s)
        self._children[name] = child
        self._spawn(child)
        return child

    def get(self, name: str) -> Child:
        return self._children[name]

    def names(self) -> tuple[str, ...]:
        return tuple(self._children)

    def poll(self) -> None:
        """Restart what ended. Raises: ChildFailed when one ended `MAX_QUICK_EXITS` times soon after its start."""
        now = time.monotonic()
        for child in self._children.values():
            if child.restart_at is not None:
                if now >= child.restart_at:
                    child.restarts += 1
                    self._spawn(child)
            elif child.process is not None and child.process.poll() is not None:
                self._note_exit(child, now)

    def stop(self, *names: str) -> None:
        """Stop the named children (all of them by default) at once, newest first, and wait until they have ended."""
        chosen = [child for child in reversed(self._children.values()) if not names or child.name in names]
        for child in chosen:
            child.restart_at = None
            if child.process is not None and child.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic()
        for child in chosen:
            if child.process is not None:
                remaining = max(0.0, deadline + child.stop_timeout_s - time.monotonic())
                system.stop(child.process, first=None, timeout_s=remaining)  # SIGTERM is sent already
            del self._children[child.name]

    def _spawn(self, child: Child) -> None:
        with child.log.open("ab") as log:
            child.process = system.spawn(child.command, log=log, env=child.env, cwd=child.cwd)
        child.started_at = time.monotonic()
        child.restart_at = None

    def _note_exit(self, child: Child, now: float) -> None:
        assert child.process is not None
        status = child.process.returncode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)  # its own children must not work beside the new one
        child.exits.append(status)
        self._notify(f"      {child.name} ended with status {status}; it is started again (log: {child.log})")
        child.quick_exits = child.quick_exits + 1 if now - child.started_at < QUICK_EXIT_S else 1
        if child.quick_exits >= MAX_QUICK_EXITS:
            raise ChildFailed(
                f"{child.name} ended {child.quick_exits} times soon after its start (status {status}). "
                f"The end of {child.log}:\n{system.tail(child.log)}"
            )
        child.restart_at = now + min(BACKOFF_MAX_S, 0.5 * 2**child.quick_exits)


@dataclass(frozen=True)
class Job:
    """A command that ends by itself, with its output in a log."""

    name: str
    command: Sequence[str]


def run_jobs(
    jobs: Sequence[Job],
    *,
    logs: Path,
    env: Mapping[str, str],
    cwd: Path,
    parallel: int = 1,
    timeout_s: float = 3600.0,
    processes: Processes | None = None,
    report: ProgressSink | None = None,
) -> None:
    """Run the jobs, `parallel` at a time; on an error or a signal none is left running.

    Raises: ChildFailed with the end of the log of the first that failed or took longer than `timeout_s`.
    """
    logs.mkdir(parents=True, exist_ok=True)
    waiting = list(jobs)
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                job = waiting.pop(0)
                with (logs / f"{job.name}.log").open("wb") as log:
                    running[job.name] = (system.spawn(job.command, log=log, env=env, cwd=cwd), time.monotonic())
            for name, (process, started_at) in list(running.items()):
                _check_job(name, process, logs / f"{name}.log", is_late=time.monotonic() - started_at > timeout_s)
                if process.poll() is not None:
                    del running[name]
            if processes is not None:
                processes.poll()
            if report is not None and running:
                report({name: last_words(logs / f"{name}.log") for name in running})
            time.sleep(0.1)
    finally:
        for process, _ in running.values():
            system.stop(process, first=signal.SIGTERM, timeout_s=5)


def _check_job(name: str, process: subprocess.Popen[bytes], log: Path, *, is_late: bool) -> None:
    status = process.poll()
    if status is None and is_late:
        raise ChildFailed(f"{name} takes too long. The end of {log}:\n{system.tail(log)}")
    if status not in (None, 0):
        raise ChildFailed(f"{name} failed with status {status}. The end of {log}:\n{system.tail(log)}")


def last_words(log: Path) -> str:
    """Return what a progress bar shows now: the last piece between carriage returns or newlines."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 1000))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    pieces = [piece.strip() for piece in text.replace("\r", "\n").split("\n") if piece.strip()]
    if not pieces:
        return ""
    label, bar, _ = pieces[-1].partition("%|")  # tqdm: "label:  40%|####      | 10/25 [00:07<00:09, 1.5episode/s]"
    percent = label.rpartition(" ")[2]
    return f"{percent} %, {pieces[-1].rpartition('| ')[2]}" if bar else pieces[-1][:100]


class ProgressSink:
    """Called with the last words of each running job; prints a line every `period_s`."""

    def __init__(self, *, period_s: float = 5.0) -> None:
        self._period_s = period_s
        self._printed_at = time.monotonic()

    def __call__(self, words: Mapping[str, str]) -> None:
        if time.monotonic() - self._printed_at >= self._period_s:
            self._printed_at = time.monotonic()
            for name, text in words.items():
                print(f"      {name}: {text}", flush=True)
