"""Supervision of the demo's children: restart, bounded back-off, clean stop, jobs that fail or hang."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sop_web.demo.processes import MAX_QUICK_EXITS, ChildFailed, Job, Processes, last_words, run_jobs


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(logs=tmp_path / "logs", cwd=tmp_path)
    yield processes
    processes.stop()


def _wait_for(condition: object, processes: Processes, *, timeout_s: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        processes.poll()
        time.sleep(0.01)


def test_a_killed_child_is_started_again(processes: Processes) -> None:
    """SIGKILL of a child brings a new process under the same name."""
    child = processes.start("sleeper", ["sleep", "60"], env=os.environ)
    assert child.process is not None
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    _wait_for(lambda: child.restarts == 1, processes)
    assert child.process is not None and child.process.pid != first
    assert child.exits == [-signal.SIGKILL]


def test_a_child_that_never_comes_up_ends_the_demo(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded number of quick exits the error shows the child's own words."""
    monkeypatch.setattr("sop_web.demo.processes.BACKOFF_MAX_S", 0.01)
    child = processes.start("broken", ["bash", "-c", "echo port 80 is taken; exit 3"], env=os.environ)
    with pytest.raises(ChildFailed, match=r"(?s)broken ended 5 times.*status 3.*port 80 is taken"):
        _wait_for(lambda: False, processes)
    assert child.exits == [3] * MAX_QUICK_EXITS


def test_stop_ends_children_that_ignore_sigterm(processes: Processes) -> None:
    """A deaf child and its own child are killed after its time; nothing is left."""
    command = ["bash", "-c", "trap '' TERM; sleep 300 & echo ready; wait; wait"]
    child = processes.start("deaf", command, env=os.environ, stop_timeout_s=0.3)
    _wait_for(lambda: "ready" in last_words(child.log), processes)
    assert child.process is not None
    family = [psutil.Process(child.process.pid), *psutil.Process(child.process.pid).children(recursive=True)]
    processes.stop()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert processes.names() == ()


def test_jobs_run_side_by_side_and_write_logs(tmp_path: Path) -> None:
    """Two at a time take half as long as one after the other; each has its own log."""
    code = "import time; print('hello'); time.sleep(1)"
    jobs = [Job(f"job-{index}", [sys.executable, "-c", code]) for index in range(2)]
    began = time.monotonic()
    run_jobs(jobs, logs=tmp_path, env=os.environ, cwd=tmp_path, parallel=2)
    assert time.monotonic() - began < 1.9
    assert [(tmp_path / f"job-{index}.log").read_text() for index in range(2)] == ["hello\n"] * 2


def test_a_failed_job_stops_the_others(tmp_path: Path) -> None:
    """The error names the job and shows its log's end; the job beside it does not run on."""
    jobs = [
        Job("bad", ["bash", "-c", "echo no such task; exit 2"]),
        Job("good", ["bash", "-c", "echo $$ > pid; sleep 300"]),
    ]
    with pytest.raises(ChildFailed, match=r"(?s)bad failed with status 2.*no such task"):
        run_jobs(jobs, logs=tmp_path, env=os.environ, cwd=tmp_path, parallel=2)
    if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
        assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_hung_job_is_ended(tmp_path: Path) -> None:
    """A job over its time is an error, not a wait for ever."""
    with pytest.raises(ChildFailed, match="slow takes too long"):
        run_jobs([Job("slow", ["sleep", "60"])], logs=tmp_path, env=os.environ, cwd=tmp_path, timeout_s=0.2)


def test_last_words_reads_a_progress_bar(tmp_path: Path) -> None:
    """Carriage returns separate what a bar showed; of the newest its percentage and counts are told."""
    log = tmp_path / "log"
    log.write_bytes(
        b"begin\nscenes:  10%|#    | 1/10 [00:01<00:09, 1.0frame/s]\rscenes:  20%|##   | 2/10 [00:02<00:08]\r"
    )
    assert last_words(log) == "20 %, 2/10 [00:02<00:08]"
    log.write_text("begin\nready\n")
    assert last_words(log) == "ready"
    assert last_words(tmp_path / "none") == ""
