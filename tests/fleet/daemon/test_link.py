"""The link over real sockets: enrolment, keys, reconnects, leases, status."""

from __future__ import annotations

import itertools
import logging
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from fleet.daemon.backoff import Backoff
from fleet.daemon.enrolment import EnrolmentRefused, read_credentials
from fleet.daemon.leases import ServerTime
from fleet.daemon.link import websocket_url
from fleet.protocol.authority import Mode, Source
from fleet.protocol.messages import (
    Goodbye,
    Heartbeat,
    Hello,
    LeaseInfo,
    LeaseRelease,
    LeaseRenew,
    LeaseRequest,
    Thumbnail,
)
from tests.fleet.daemon.harness import closed_ids, running
from tests.fleet.daemon.peer import LEASE_S, Peer
from tests.fleet.daemon.point import ScriptedSupervisor
from tests.fleet.waiting import until

TAKES_OVER = ("supervisor.options.take_at=4", "supervisor.options.hand_back_at=12")


async def test_a_robot_enrols_once_and_keeps_its_key_to_itself(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        async with running(peer, tmp_path, monkeypatch):
            await until(lambda: peer.status is not None)
        peer.received.clear()
    assert peer.enrolments == 1
    credentials = read_credentials(tmp_path)
    assert credentials is not None and (credentials.robot_id, credentials.name) == ("robot-1", "point-1")
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    assert credentials.key not in repr(credentials)


async def test_a_used_token_is_refused_with_the_servers_reason(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.token = "another"
    with pytest.raises(EnrolmentRefused, match="token_used"):
        async with running(peer, tmp_path, monkeypatch):
            pass
    assert read_credentials(tmp_path) is None


async def test_a_revoked_key_is_named_and_the_robot_works_on(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """4401: a clear line in the log, few tries, episodes are still closed; with the key restored all is delivered."""
    caplog.set_level(logging.WARNING)
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)
    async with running(peer, tmp_path, monkeypatch, "link.unauthorised_wait_s=0.5") as daemon:
        await until(lambda: len(peer.registered) >= 1)
        peer.keys["robot-1"] = "changed"
        peer.drop()
        await until(lambda: "key was revoked or is wrong" in caplog.text)
        assert daemon._link is not None and "enrol it again" in daemon._link.problem
        known = len(closed_ids(tmp_path))
        await until(lambda: len(closed_ids(tmp_path)) >= known + 3)
        peer.keys["robot-1"] = "secret"
        await until(lambda: len(peer.registered) > known)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
async def test_a_lost_link_comes_back_and_begins_with_the_whole_state(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Whatever it was closed with: a proxy that goes away says 1001, which ends the daemon no more than an error."""
    peer.close_code = code
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.status is not None)
        peer.drop()
        await until(lambda: len(peer.of(Hello)) >= 2)
        peer.update(is_paused=True)
        await until(lambda: peer.status is not None and peer.status.detail == "paused by an operator")
    assert len({hello.boot_id for hello in peer.of(Hello)}) == 1
    assert [goodbye.reason for goodbye in peer.of(Goodbye)] == ["the daemon stops"]


async def test_a_silent_server_is_left_and_tried_again(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.status is not None)
        peer.deaf_to = {Heartbeat}
        await until(lambda: "peer_silent" in caplog.text)
        peer.deaf_to = set()
        await until(lambda: len(peer.of(Hello)) >= 2)


async def test_faults_of_the_server_are_logged_and_survived(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.status is not None)
        peer.fault("unexpected_message")
        await until(lambda: "unexpected_message" in caplog.text)
        beats = len(peer.of(Heartbeat))
        await until(lambda: len(peer.of(Heartbeat)) >= beats + 2)
    assert len(peer.of(Hello)) == 1


async def test_scripted_leases_are_asked_for_renewed_and_given_back(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One takeover of 8 s of robot time under a lease of 2 s of real time, at twice the speed."""
    peer.update(assignments=(peer.task(max_steps=120),))
    peer.publish(1, dx=0.0)
    settings = ("control.speed_factor=2", "supervisor.options.take_at=2", "supervisor.options.hand_back_at=70")
    monkeypatch.setattr(ScriptedSupervisor, "action", lambda self: np.array([0.05, -1.0], np.float32))
    async with running(peer, tmp_path, monkeypatch, *settings):
        await until(lambda: peer.of(LeaseRelease))
        await until(lambda: peer.registered)
    (manifest,) = list(peer.registered.values())[:1]
    assert [(s.mode, s.source) for s in manifest.segments] == [
        (Mode.AUTONOMOUS, Source.POLICY),
        (Mode.HANDOVER, Source.SCRIPTED),
        (Mode.TELEOP, Source.SCRIPTED),
        (Mode.AUTONOMOUS, Source.POLICY),
    ]
    assert manifest.human_steps >= 60 > LEASE_S * 20
    assert [request.reason for request in peer.of(LeaseRequest)][:1] == ["no progress"]
    assert len(peer.of(LeaseRenew)) >= 2
    assert (peer.of(LeaseRelease)[0].epoch, peer.of(LeaseRelease)[0].reason) == (1, "done")


async def test_refused_leases_leave_the_policy_driving(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.refuse_leases = True
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)
    async with running(peer, tmp_path, monkeypatch, *TAKES_OVER):
        await until(lambda: len(peer.registered) >= 3)
    assert peer.of(LeaseRequest)
    assert {m.human_steps for m in peer.registered.values()} == {0}


async def test_a_persons_lease_stops_the_robot_until_they_drive(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No commands ever come: after the engage time the robot holds, and stays held when the lease is gone."""
    peer.update(assignments=(peer.task(max_steps=10_000),))
    peer.publish(1, dx=0.0)
    async with running(peer, tmp_path, monkeypatch, "safety.engage_timeout_s=2", "control.max_hold_steps=100000"):
        await until(lambda: peer.status is not None and peer.status.activity == "running")
        expires_ns = time.time_ns() + 60 * 10**9
        peer.update(lease=LeaseInfo(epoch=7, source=Source.PERSON, operator="ana", expires_ns=expires_ns))
        await until(lambda: peer.status is not None and peer.status.mode is Mode.HANDOVER)
        assert peer.status is not None and (peer.status.operator, peer.status.source) == ("ana", Source.PERSON)
        await until(lambda: peer.status is not None and peer.status.mode is Mode.PAUSED)
        peer.update(lease=None)
        beats = len(peer.of(Heartbeat))
        await until(lambda: len(peer.of(Heartbeat)) >= beats + 3)
        assert peer.status is not None and peer.status.mode is Mode.PAUSED
        peer.update(is_paused=True)
        await until(lambda: peer.status is not None and peer.status.state_revision == peer._state.revision)
        peer.update(is_paused=False)
        await until(lambda: peer.status is not None and peer.status.mode is Mode.AUTONOMOUS)


async def test_thumbnails_come_at_most_once_a_second(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.2)
    async with running(peer, tmp_path, monkeypatch, "control.speed_factor=5"):
        await until(lambda: len(peer.of(Thumbnail)) >= 2)
    stamps = [picture.captured_ns for picture in peer.of(Thumbnail)]
    assert min(b - a for a, b in itertools.pairwise(stamps)) >= 0.99e9


def test_back_off_grows_is_jittered_and_bounded() -> None:
    class Highest:
        def uniform(self, low: float, high: float) -> float:
            assert (low, high) == (0.5, 1.0)
            return high

    backoff = Backoff(min_s=0.5, max_s=6.0, rng=Highest())  # type: ignore[arg-type]
    assert [backoff.next_s() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 6.0, 6.0]
    backoff.reset()
    assert backoff.next_s() == 0.5


async def test_dialling_in_vain_does_not_end_the_back_off_however_long_it_took(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else all robots that an overloaded server greets too late would dial again at once, for ever."""
    monkeypatch.setattr("fleet.protocol.session.HELLO_TIMEOUT_S", 0.2)
    monkeypatch.setattr("fleet.daemon.link.STEADY_S", 0.1)
    peer.deaf_to = {Hello}
    caplog.set_level(logging.WARNING, "fleet.daemon.link")

    def waits_s() -> list[float]:
        return [record.args[1] for record in caplog.records if "next try" in record.msg]  # type: ignore[index,misc]

    async with running(peer, tmp_path, monkeypatch, "link.backoff_min_s=0.1", "link.backoff_max_s=5"):
        await until(lambda: len(waits_s()) >= 4)
        assert waits_s()[3] >= 0.4
        peer.deaf_to = set()
        await until(lambda: peer.status is not None)


def test_a_lease_ends_on_the_robots_own_clock() -> None:
    """The server's clock may be off by hours: only the time left when it was heard counts."""
    now = [100.0]
    server = ServerTime(lease_max_s=30.0, now=lambda: now[0])
    lease = LeaseInfo(epoch=1, source=Source.SCRIPTED, operator="scripted", expires_ns=9_005_000_000_000)
    assert server.grant_of(lease).expires_at_s == 130.0
    server.heard(9_000_000_000_000)
    now[0] = 102.0
    assert server.grant_of(lease).expires_at_s == pytest.approx(105.0)


def test_the_socket_url_follows_the_servers() -> None:
    assert websocket_url("https://fleet.example/base/") == "wss://fleet.example/base/ws/robot"
    assert websocket_url("http://127.0.0.1:8000") == "ws://127.0.0.1:8000/ws/robot"
