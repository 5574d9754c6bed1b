"""Delivery of episodes over real sockets: resumed, repeated, refused, offline and later, never lost, never doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.protocol.messages import EpisodeReady, Heartbeat, UploadGrant, UploadRequest
from tests.fleet.daemon.harness import closed_ids, running
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.test_spool import check_whole
from tests.fleet.waiting import until


def work(peer: Peer) -> None:
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)


def assert_once(peer: Peer, state: Path, *, pending: int = 0) -> None:
    """Every episode closed on the robot is registered exactly once, but for those that still wait."""
    closed = closed_ids(state)
    assert len(closed) == len(set(closed))
    assert set(peer.registered) <= set(closed)
    assert len(closed) - len(peer.registered) == pending


async def test_what_the_robot_closes_is_registered_once(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(peer)
    async with running(peer, tmp_path, monkeypatch) as daemon:
        await until(lambda: len(peer.registered) >= 5)
        peer.update(is_paused=True)
        await until(lambda: (peer.status.activity, peer.status.detail) == ("idle", "paused by an operator"))  # type: ignore[union-attr]
        await until(lambda: daemon._writer.is_idle)  # the last episode may still be on its way to the disk
        await until(lambda: set(peer.registered) == set(closed_ids(tmp_path)))
        await until(lambda: peer.status.episodes_closed == len(peer.registered))  # type: ignore[union-attr]
        assert peer.status is not None and peer.status.spool.pending_episodes == 0
    assert_once(peer, tmp_path)
    assert len(peer.registrations) == len(peer.registered)


async def test_a_busy_store_is_tried_again(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More failures in a row than one attempt allows: the episode waits its turn and arrives."""
    work(peer)
    peer.failing_puts = 8
    async with running(peer, tmp_path, monkeypatch, "upload.put_attempts=2"):
        await until(lambda: len(peer.registered) >= 2)
    assert peer.failing_puts == 0


async def test_a_grant_that_comes_late_undoes_nothing(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow server's answer to an earlier request, while "ready" is looked at: the robot waits on for "registered"."""
    work(peer)
    peer.deaf_to = {EpisodeReady}
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.of(EpisodeReady))
        first = peer.of(EpisodeReady)[0].episode_id
        peer.tell(UploadGrant(episode_id=first, targets=()))
        beats = len(peer.of(Heartbeat))
        await until(lambda: len(peer.of(Heartbeat)) >= beats + 5)
        assert [request.episode_id for request in peer.of(UploadRequest)].count(first) == 1


async def test_a_lost_connection_resumes_without_sending_again(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link drops between the PUTs and "registered": after reconnecting nothing stored is PUT again."""
    work(peer)
    peer.deaf_to = {EpisodeReady}
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: peer.of(EpisodeReady))
        first = peer.of(EpisodeReady)[0].episode_id
        puts = [path for method, path, _ in peer.requests if method == "PUT" and first in path]
        peer.deaf_to = set()
        peer.drop()
        await until(lambda: first in peer.registered)
        assert [path for method, path, _ in peer.requests if method == "PUT" and first in path] == puts
        assert len(puts) == 3
        assert puts[-1].endswith("manifest.json")
    assert peer.connections >= 2


async def test_no_answer_is_asked_again(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work(peer)
    peer.deaf_to = {UploadRequest}
    async with running(peer, tmp_path, monkeypatch, "upload.request_timeout_s=0.2"):
        await until(lambda: len(peer.of(UploadRequest)) >= 4)
        assert not peer.registered
        peer.deaf_to = set()
        await until(lambda: len(peer.registered) >= 2)


async def test_a_final_refusal_sets_the_episode_aside(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(peer)
    peer.refuse_episodes = ("duplicate_id", True)
    refused = tmp_path / "spool" / "refused"
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: refused.exists() and any(refused.iterdir()))
        asked = len(peer.of(EpisodeReady))
        peer.refuse_episodes = None
        await until(lambda: len(peer.registered) >= 2)
    folder = next(iter(refused.iterdir()))
    assert "duplicate_id" in (folder / "refusal.json").read_text()
    check_whole(folder)
    assert folder.name not in peer.registered
    assert asked >= 1
    assert sum(ready.episode_id == folder.name for ready in peer.of(EpisodeReady)) == 1


async def test_a_refusal_for_now_is_tried_again(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work(peer)
    peer.refuse_episodes = ("internal", False)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: len(peer.of(EpisodeReady)) >= 2)
        peer.refuse_episodes = None
        first = peer.of(EpisodeReady)[0].episode_id
        await until(lambda: first in peer.registered)
    assert not any((tmp_path / "spool" / "refused").iterdir())


async def test_a_robot_works_offline_and_delivers_later(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restarted without a server it knows its tasks and its policy; what it closed arrives when the server is back."""
    work(peer)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: len(peer.registered) >= 1)
    before = len(closed_ids(tmp_path))
    async with running("http://127.0.0.1:9", tmp_path, monkeypatch):  # the discard port: nobody answers
        await until(lambda: len(closed_ids(tmp_path)) >= before + 3)
    assert len(closed_ids(tmp_path)) > len(peer.registered)
    peer.update(is_paused=True)
    async with running(peer, tmp_path, monkeypatch):
        await until(lambda: set(peer.registered) == set(closed_ids(tmp_path)))
    assert_once(peer, tmp_path)
    versions = {manifest.policy_version_id for manifest in peer.registered.values()}
    assert len(versions) == 1 and None not in versions


async def test_a_spool_full_of_unsent_episodes_pauses_the_robot(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing unsent is dropped: the robot says `spool_full`, closes no more, and goes on after delivery."""
    work(peer)
    peer.refuse_episodes = ("internal", False)
    ballast = tmp_path / "spool" / "refused" / "b6b1a1a0-0000-4000-8000-000000000000"
    ballast.mkdir(parents=True)
    (ballast / "front.mp4").write_bytes(bytes(900_000))  # room for about a dozen episodes is left
    async with running(peer, tmp_path, monkeypatch, "spool.capacity_bytes=1048576") as daemon:
        await until(lambda: peer.status is not None and peer.status.activity == "spool_full" and daemon._writer.is_idle)
        closed = daemon._spool.pending()
        assert len(closed) >= 3
        assert "unsent" in peer.status.detail  # type: ignore[union-attr]
        await until(lambda: len(peer.of(Heartbeat)) >= 4)
        assert daemon._spool.pending() == closed
        peer.refuse_episodes = None
        await until(lambda: daemon._spool.closed_count > len(closed) + 1)  # the ballast counts as closed here
        await until(lambda: set(closed) <= set(peer.registered))
