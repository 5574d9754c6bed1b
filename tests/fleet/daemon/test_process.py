"""The daemon as a process: started, killed, stopped, started again, against a server on loopback."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.protocol.authority import Mode
from fleet.protocol.messages import Goodbye, Hello
from fleet.protocol.recording import Outcome
from tests.fleet.daemon.harness import FAST, closed_ids
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.test_spool import ROOT, check_whole
from tests.fleet.waiting import wait_for

Process = subprocess.Popen[str]


@contextlib.contextmanager
def daemon(peer: Peer, state: Path, *settings: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.fleet.daemon.point_daemon", "--server", peer.url, "--state", str(state)]
    command += ["--driver", "point", "--token", "one-time", "--name", "point-1"]
    for setting in (*FAST, *settings):
        command += ["--set", setting]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def uploaded(spool: Path) -> set[str]:
    return {path.name for path in (spool / "uploaded").iterdir()}


def is_heard(peer: Peer) -> bool:
    """Whether the robot works by the newest state."""
    return peer.status is not None and peer.status.state_revision == peer._state.revision


@pytest.fixture
def working(peer: Peer) -> Peer:
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.6)
    return peer


@pytest.mark.timeout(120)
def test_kill_9_in_mid_episode_loses_no_closed_episode_and_doubles_none(working: Peer, tmp_path: Path) -> None:
    """Killed three times while running; the fourth delivers the rest. Both sides count the same, once each."""
    for killed in range(1, 4):
        known = len(closed_ids(tmp_path))
        with daemon(working, tmp_path, "control.speed_factor=10"):
            wait_for(lambda known=known: len(closed_ids(tmp_path)) >= known + 2)
            wait_for(lambda: working.status is not None and working.status.step > 3)
        assert len(closed_ids(tmp_path)) >= 2 * killed
    with daemon(working, tmp_path):
        wait_for(lambda: working.connections == 4)
        working.update(is_paused=True)
        wait_for(lambda: (working.status.activity, working.status.detail) == ("idle", "paused by an operator"))  # type: ignore[union-attr]
        # The episode that the pause ended may still be on its way into the spool, and from there into the log; the
        # robot moves what is registered once it has heard so.
        wait_for(lambda: set(working.registered) == set(closed_ids(tmp_path)) == uploaded(tmp_path / "spool"))
    closed = closed_ids(tmp_path)
    assert len(closed) == len(set(closed)) == len(working.registered)
    for episode_id in closed:
        check_whole(tmp_path / "spool" / "uploaded" / episode_id)


def test_sigterm_closes_the_open_episode_as_aborted_and_says_goodbye(working: Peer, tmp_path: Path) -> None:
    with daemon(working, tmp_path, "control.speed_factor=2") as process:
        wait_for(lambda: working.status is not None and working.status.step > 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert len(working.of(Goodbye)) == 1
    (episode_id,) = closed_ids(tmp_path)
    (state,) = [s for s in ("pending", "uploaded") if (tmp_path / "spool" / s / episode_id).exists()]
    check_whole(tmp_path / "spool" / state / episode_id)
    manifest = (tmp_path / "spool" / state / episode_id / "manifest.json").read_text()
    assert f'"outcome":"{Outcome.ABORTED.value}"' in manifest


def test_one_daemon_a_state_directory(working: Peer, tmp_path: Path) -> None:
    """The second is refused with exit status 2 and says why; the first is not disturbed."""
    with daemon(working, tmp_path) as first:
        wait_for(lambda: len(working.registered) >= 1)
        with daemon(working, tmp_path) as second:
            assert second.wait(20) == 2
            assert second.stderr is not None and "another daemon works on" in second.stderr.read()
        known = len(working.registered)
        wait_for(lambda: len(working.registered) > known)
        assert first.poll() is None
    assert len({hello.boot_id for hello in working.of(Hello)}) == 1


def test_sigusr1_stops_the_robot_until_it_is_cleared_and_resumed(working: Peer, tmp_path: Path) -> None:
    with daemon(working, tmp_path, "control.speed_factor=5") as process:
        wait_for(lambda: working.status is not None and working.status.activity == "running")
        process.send_signal(signal.SIGUSR1)
        wait_for(lambda: working.status.mode is Mode.STOPPED and "SIGUSR1" in working.status.detail)  # type: ignore[union-attr]
        process.send_signal(signal.SIGUSR2)
        wait_for(lambda: working.status.mode is Mode.PAUSED)  # type: ignore[union-attr]
        working.update(is_paused=True)
        wait_for(lambda: is_heard(working))
        working.update(is_paused=False)
        wait_for(lambda: working.status.activity == "running" and working.status.mode is Mode.AUTONOMOUS)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "control.speed=2"], "unknown key"),
        (["--driver", "nobody"], "nobody"),
    ],
)
def test_what_cannot_start_says_why(tmp_path: Path, arguments: list[str], message: str) -> None:
    command = [
        sys.executable,
        "-m",
        "fleet.daemon",
        "--state",
        str(tmp_path / "s"),
        "--driver",
        "metaworld",
        *arguments,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
