"""Going back at the robot, with or without a server, and staying there until told otherwise."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fleet.daemon.__main__ import main
from fleet.daemon.policy_hold import read_hold
from fleet.protocol.authority import Source
from fleet.protocol.messages import LeaseInfo, PolicyApplied, PolicyRefused
from tests.fleet.daemon.harness import closed_ids, running
from tests.fleet.daemon.peer import Peer
from tests.fleet.waiting import until

FAST = ("policy.hold_poll_s=0.05",)
AWAY = "http://127.0.0.1:9"  # nobody answers on the discard port


def _driven(peer: Peer) -> list[str | None]:
    return [peer.registered[episode_id].policy_version_id for episode_id in list(peer.registrations)]


async def _two_versions(peer: Peer) -> tuple[str, str]:
    """Drive with the first version, then with the second."""
    first = peer.publish(1, dx=0.7)
    await until(lambda: first in _driven(peer))
    second = peer.publish(2, dx=0.9)
    await until(lambda: second in _driven(peer))
    return first, second


async def test_a_robot_goes_back_without_a_server_and_tells_when_it_is_there_again(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.update(assignments=(peer.task(),))
    async with running(peer, tmp_path, monkeypatch, *FAST):
        first, second = await _two_versions(peer)
    async with running(AWAY, tmp_path, monkeypatch, *FAST) as daemon:
        await until(lambda: daemon._host.version_id == second)
        assert main(["revert", "--state", str(tmp_path), "--reason", "it drops cups"]) == 0
        assert f"version 1 ({first}) drives from the next episode on" in capsys.readouterr().out
        await until(lambda: daemon._host.version_id == first and daemon._host._ready is None)
        count = len(closed_ids(tmp_path))
        await until(lambda: len(closed_ids(tmp_path)) > count)
    async with running(peer, tmp_path, monkeypatch, *FAST) as daemon:
        await until(lambda: peer.status is not None and peer.status.hold is not None)
        assert daemon._host.version_id == first, "it began with the held one"
        hold = peer.status.hold  # type: ignore[union-attr]
        assert hold is not None and (hold.version_id, hold.number, hold.reason) == (first, 1, "it drops cups")
        peer.publish(3, dx=0.8)
        known = len(peer.registrations)
        await until(lambda: len(peer.registrations) > known + 2)
        assert set(_driven(peer)[known + 2 :]) == {first}, "the server's version waits"
        peer.update(lifted_hold_id=hold.hold_id)
        await until(lambda: peer.of(PolicyApplied)[-1].version_id not in (first, second))
        await until(lambda: peer.status is not None and peer.status.hold is None)
    assert read_hold(tmp_path / "policies") is None


async def test_going_back_to_a_named_version_and_following_again(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.update(assignments=(peer.task(),))
    async with running(peer, tmp_path, monkeypatch, *FAST):
        first, second = await _two_versions(peer)
        for unknown in ("7", "no-such-id"):
            assert main(["revert", "--state", str(tmp_path), "--to", unknown]) == 2
            assert "version_not_held" in capsys.readouterr().err
        assert read_hold(tmp_path / "policies") is None
        assert main(["revert", "--state", str(tmp_path), "--to", first]) == 0
        await until(lambda: peer.of(PolicyApplied)[-1].version_id == first)
        assert main(["follow", "--state", str(tmp_path)]) == 0
        await until(lambda: peer.of(PolicyApplied)[-1].version_id == second)
        assert main(["follow", "--state", str(tmp_path)]) == 0
        assert "was not held" in capsys.readouterr().out
    assert not peer.of(PolicyRefused)
    assert main(["revert", "--state", str(tmp_path / "nowhere")]) == 2


async def test_a_held_version_that_is_damaged_is_reported_and_the_present_one_goes_on(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.update(assignments=(peer.task(),))
    async with running(peer, tmp_path, monkeypatch, *FAST):
        first, second = await _two_versions(peer)
        for blob in (tmp_path / "policies" / "blobs").iterdir():
            blob.write_bytes(blob.read_bytes()[:-1] + b"\x7f")
        assert main(["revert", "--state", str(tmp_path)]) == 0
        await until(lambda: peer.of(PolicyRefused))
        known = len(peer.registrations)
        await until(lambda: len(peer.registrations) > known + 1)
    (refusal,) = peer.of(PolicyRefused)
    assert (refusal.version_id, refusal.code) == (first, "artifact_mismatch")
    assert _driven(peer)[-1] == second


async def test_no_version_is_swapped_while_a_person_drives(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that spans episodes keeps the version under its holder; it is swapped when they hand back."""
    peer.update(assignments=(peer.task(max_steps=10),))
    first = peer.publish(1, dx=0.7)
    async with running(peer, tmp_path, monkeypatch, *FAST, "safety.engage_timeout_s=60", "control.max_hold_steps=5"):
        await until(lambda: first in _driven(peer))
        expires_ns = time.time_ns() + 60 * 10**9
        lease = LeaseInfo(epoch=1, source=Source.PERSON, operator="ana", expires_ns=expires_ns)
        peer.update(lease=lease)
        await until(lambda: peer.status is not None and peer.status.source is Source.PERSON)
        second = peer.publish(2, dx=0.9)
        known = len(peer.registrations)
        await until(lambda: len(peer.registrations) >= known + 3)
        assert set(_driven(peer)) == {first}
        peer.update(lease=None, handed_back_epoch=lease.epoch)
        await until(lambda: second in _driven(peer))
