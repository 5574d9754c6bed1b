"""A browser's socket, the real server and the real daemon: what one side says, the other does."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.models import Robot, RobotStop
from fleet.protocol import messages as m
from fleet.protocol.authority import Mode
from fleet.protocol.policy import decode_policy_manifest, encode_policy_manifest
from fleet.services.assignment import assignment_set
from fleet.services.enrolment import enrolment_token_create
from fleet.services.policy import policy_version_publish
from fleet.services.task import task_create
from tests.fleet import builders
from tests.fleet.consumers.peers import ConsolePeer, console_peer, cookie_of
from tests.fleet.daemon.point_policy import make_version

ROOT = Path(__file__).resolve().parents[3]
START_S = 60.0  # a loaded machine imports slowly
SETTINGS = (
    *("control.speed_factor=1", "control.reset_s=0.2", "control.max_hold_steps=100000"),
    "policy.unsigned=always",  # the server under test has no key
)


@pytest.fixture
def daemon(server: str, tmp_path: Path) -> Iterator[None]:
    """The point robot as a process of its own."""
    _, token = enrolment_token_create()
    command = [sys.executable, "-m", "tests.fleet.daemon.point_daemon", "--server", f"http://{server}"]
    command += ["--state", str(tmp_path / "state"), "--driver", "point", "--token", token, "--name", "point"]
    for setting in SETTINGS:
        command += ["--set", setting]
    with (tmp_path / "daemon.log").open("w") as log, subprocess.Popen(command, cwd=ROOT, stderr=log) as process:
        yield
        process.kill()


def _card(page: ConsolePeer, wanted: Callable[[m.RobotCard], object], timeout_s: float = 10.0) -> m.RobotCard:
    deadline = time.monotonic() + timeout_s
    while True:
        for card in page.expect(m.RobotsChanged, timeout_s=deadline - time.monotonic()).robots:
            if wanted(card):
                return card


def _give_work() -> Robot:
    run = builders.running_run()
    _, files = make_version(1, dx=0.0)
    manifest_bytes = next(data for path, data in files.items() if "manifest" in path)
    manifest = msgspec.structs.replace(decode_policy_manifest(manifest_bytes), run_id=str(run.id))
    blobs = {blob.sha256: next(data for path, data in files.items() if blob.sha256 in path) for blob in manifest.blobs}
    policy_version_publish(run_id=str(run.id), manifest_bytes=encode_policy_manifest(manifest), blobs=blobs)
    robot = Robot.objects.get()
    task = task_create(slug="reach", instruction="reach", driver_task="reach", max_steps=100_000)
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0)
    return robot


@pytest.mark.timeout(180)
def test_take_over_stop_clear_and_label(server: str, ann: Any, daemon: None, settings: Any) -> None:
    """Given a robot that runs its policy: taken over, stopped, cleared, taken over anew, its episode labelled."""
    settings.SOP_HEARTBEAT_S = 1.0
    with console_peer(server, cookie_of(ann), tab=str(uuid.uuid4())) as page:
        _card(page, lambda card: card.is_online, START_S)
        robot_id = _give_work().id
        running = _card(page, lambda card: card.activity == "running" and card.mode == Mode.AUTONOMOUS, START_S)

        acquired = page.ask(m.ConsoleAcquire, robot_id, reason="to show it")
        assert acquired.lease is not None and acquired.lease.epoch == 1
        taken = _card(page, lambda card: card.mode == Mode.HANDOVER)
        assert (taken.source, taken.operator, taken.episode_id) == ("person", "ann", running.episode_id)

        stop_id = str(uuid.uuid4())
        assert page.ask(m.ConsoleStop, robot_id, stop_id=stop_id, reason="smoke").code == ""
        stopped = _card(page, lambda card: card.stop is not None and card.stop.is_confirmed)
        assert stopped.stop is not None
        assert (stopped.mode, stopped.stop.stop_id, stopped.stop.by) == (Mode.STOPPED, stop_id, "ann")
        assert page.ask(m.ConsoleRenew, robot_id, epoch=1).code == ""  # the lease outlives the stop
        assert page.ask(m.ConsoleClear, robot_id, stop_id=stop_id).code == ""
        assert _card(page, lambda card: card.stop is None).mode == Mode.PAUSED

        again = page.ask(m.ConsoleAcquire, robot_id)
        assert again.lease is not None and again.lease.epoch == 2
        held = _card(page, lambda card: card.mode == Mode.HANDOVER and card.episode_id)
        values = {"kind": m.OrderKind.FAILURE, "episode_id": held.episode_id, "reason": "it was in flames"}
        assert page.ask(m.ConsoleOrder, robot_id, epoch=1, **values).code == "lease_fenced"
        assert page.ask(m.ConsoleOrder, robot_id, epoch=2, **values).code == ""
        _card(page, lambda card: card.episodes_closed > held.episodes_closed)
    assert str(RobotStop.objects.get().stop_id) == stop_id


@pytest.mark.timeout(120)
def test_malformed_sdp_is_refused_by_the_robot_with_a_code(server: str, ann: Any, daemon: None) -> None:
    with console_peer(server, cookie_of(ann)) as page:
        card = _card(page, lambda card: card.is_online, START_S)
        for sdp in ("garbage", "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 500):
            peer_id = str(uuid.uuid4())
            reply = page.ask(m.ConsolePeerOffer, card.robot_id, peer_id=peer_id, views=("front",), sdp=sdp)
            assert reply.code == ""
            answer = page.expect(m.ConsolePeerAnswer, timeout_s=20)
            assert (answer.peer_id, answer.sdp) == (peer_id, "")
            assert answer.code in ("malformed_sdp", "unknown_view")
        assert page.ask(m.ConsoleStop, card.robot_id, stop_id=str(uuid.uuid4())).code == ""
        assert _card(page, lambda card: card.stop is not None and card.stop.is_confirmed).is_online
