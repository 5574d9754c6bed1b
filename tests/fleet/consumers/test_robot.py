"""The robot link over a real uvicorn and real sockets."""

from __future__ import annotations

import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync

from fleet.consumers import links
from fleet.consumers.calls import send_to_robot
from fleet.models import Episode, Lease, PolicyDeployment, PolicyVersion, Robot
from fleet.protocol import compat
from fleet.protocol import messages as m
from fleet.protocol.authority import Source
from fleet.protocol.codec import MAX_ROBOT_FRAME_BYTES, encode_robot_frame
from fleet.protocol.recording import MANIFEST_OBJECT, Outcome
from fleet.selectors.robot_card import robot_cards
from fleet.services.assignment import assignment_set
from fleet.services.lease import lease_grant
from fleet.services.policy import policy_version_publish
from fleet.services.robot import robot_key_revoke, robot_pause
from fleet.services.robot_seen import Beat
from tests.fleet import builders
from tests.fleet.consumers.peers import RobotPeer, joined_robot, robot_peer

FROZEN = Path(__file__).resolve().parents[1] / "protocol" / f"golden_v{compat.OLDEST_ROBOT}"


@pytest.fixture
def patient_server(server: str, settings: Any) -> str:
    """Takes a robot for silent after 17 s: these robots do not beat, and an episode's first check loads libraries."""
    settings.SOP_HEARTBEAT_S = 5.0
    return server


def _until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def _is_alive(server: str) -> None:
    """The process serves others after what one peer did."""
    with joined_robot(server, builders.enrol()) as peer:
        peer.beat()
        peer.expect(m.HeartbeatAck)


def test_welcome_carries_the_whole_state(server: str) -> None:
    run = builders.running_run()
    manifest, blobs = builders.policy(run.id)
    version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    enrolled, task = builders.enrol("left arm"), builders.task()
    assignment_set(robot_id=enrolled.robot.id, task_id=task.id, weight=2.0)

    with robot_peer(server, enrolled.robot.id, enrolled.key) as peer:
        welcome = peer.expect(m.Welcome)

    assert (welcome.protocol, welcome.heartbeat_s) == (m.PROTOCOL_VERSION, 0.2)
    state = welcome.state
    assert (state.robot_id, state.robot_name, state.is_paused) == (str(enrolled.robot.id), "left arm", False)
    assert [(task.slug, task.weight, task.max_steps) for task in state.assignments] == [("box-close", 2.0, 250)]
    assert state.policy is not None and state.lease is None
    assert (state.policy.version_id, state.policy.number) == (str(version.id), 0)
    assert set(state.policy.blob_urls) == set(blobs)
    assert Robot.objects.get().driver["name"] == "metaworld"


@pytest.mark.parametrize("spoil", ["wrong key", "other robot", "no uuid", "no dot", "revoked"])
def test_bad_credentials_are_refused(server: str, spoil: str) -> None:
    enrolled, other = builders.enrol(), builders.enrol()
    robot_id, key = str(enrolled.robot.id), enrolled.key
    if spoil == "wrong key":
        key = "x" * len(key)
    elif spoil == "other robot":
        robot_id = str(other.robot.id)
    elif spoil == "no uuid":
        robot_id = "robot"
    elif spoil == "no dot":
        robot_id, key = "", ""
    else:
        robot_key_revoke(key_id=enrolled.robot.keys.get().id)
    with robot_peer(server, robot_id, key) as peer:
        assert peer.closed_with() == ("unauthorised", 4401)
    assert Robot.objects.filter(last_seen_at__isnull=False).count() == 0
    _is_alive(server)


def test_revoking_a_key_ends_its_connection(server: str) -> None:
    enrolled = builders.enrol()
    with joined_robot(server, enrolled) as peer:
        robot_key_revoke(key_id=enrolled.robot.keys.get().id)
        assert peer.closed_with() == ("unauthorised", 4401)


@pytest.mark.parametrize("protocol", [m.PROTOCOL_VERSION + 1, 0])
def test_other_protocol_version_is_refused(server: str, protocol: int) -> None:
    enrolled = builders.enrol()
    with robot_peer(server, enrolled.robot.id, enrolled.key, builders.hello(protocol=protocol)) as peer:
        assert peer.closed_with() == ("unsupported_protocol", 4400)
    robot = Robot.objects.get()
    assert (robot.daemon_version, robot.protocol) == ("", protocol)  # for the console, which says why it stays away
    _is_alive(server)


def test_a_robot_of_the_protocol_before_is_served_in_its_own(server: str) -> None:
    """Every frame that such a robot ever wrote (tests/fleet/protocol/golden_v2) is taken, and none ends the link."""
    old, enrolled, run = compat.OLDEST_ROBOT, builders.enrol(), builders.running_run()
    manifest, blobs = builders.policy(run.id)
    version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
    PolicyVersion.objects.filter(id=version.id).update(traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    written = [msgspec.msgpack.decode(path.read_bytes())[1] for path in sorted(FROZEN.glob("robot-*.msgpack"))]
    bodies = [body for body in written if body["type"] not in ("hello", "goodbye")]
    got: dict[str, dict[str, Any]] = {}
    with robot_peer(server, enrolled.robot.id, enrolled.key, builders.hello(protocol=old)) as peer:
        deadline = time.monotonic() + 30
        wanted = {"welcome", "heartbeat_ack", "upload_grant", "episode_refused", "lease_reply", "state_changed"}
        while wanted - set(got) and time.monotonic() < deadline:
            _, body = msgspec.msgpack.decode(peer.socket.recv(timeout=10))
            got.setdefault(body["type"], body)
            if body["type"] == "welcome":
                for seq, each in enumerate(bodies, start=2):
                    peer.socket.send(msgspec.msgpack.encode([seq, each]))
    assert wanted <= set(got) and not got.get("fault", {}).get("is_fatal")
    assert got["welcome"]["protocol"] == old
    for body in (got["welcome"], got["state_changed"]):
        assert body["state"]["policy"]["version_id"] == str(version.id)
        assert "traceparent" not in body["state"]["policy"]  # it would refuse the whole message
    assert Robot.objects.get(id=enrolled.robot.id).protocol == old
    _is_alive(server)


def _unknown_field() -> bytes:
    beat = msgspec.to_builtins(m.Heartbeat(clock_ns=1, status=builders.status()))
    return msgspec.msgpack.encode([2, {**beat, "extra": 1}])


BAD_FRAMES: dict[str, tuple[Callable[[], bytes | str], str]] = {
    "malformed": (lambda: b"\xc1\x00garbage", "malformed_frame"),
    "empty": (lambda: b"", "malformed_frame"),
    "text": (lambda: "[2,{}]", "malformed_frame"),
    "unknown field": (_unknown_field, "malformed_frame"),
    "unknown message": (lambda: msgspec.msgpack.encode([2, {"type": "self_destruct"}]), "malformed_frame"),
    "too large": (lambda: b"\x00" * (MAX_ROBOT_FRAME_BYTES + 1), "frame_too_large"),
    "second hello": (lambda: encode_robot_frame(m.RobotFrame(2, builders.hello())), "unexpected_message"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bad_frame_ends_the_link_with_a_code_and_the_process_lives(server: str, case: str) -> None:
    make, code = BAD_FRAMES[case]
    with joined_robot(server, builders.enrol()) as peer:
        peer.socket.send(make())
        assert peer.closed_with() == (code, 4400)
    _is_alive(server)


def test_anything_before_hello_is_refused(server: str) -> None:
    enrolled = builders.enrol()
    beat = m.Heartbeat(clock_ns=1, status=builders.status())
    with robot_peer(server, enrolled.robot.id, enrolled.key, beat) as peer:  # type: ignore[arg-type]
        assert peer.closed_with() == ("unexpected_message", 4400)


def test_heartbeat_is_acknowledged_and_shown(server: str) -> None:
    enrolled, task = builders.enrol(), builders.task()
    assignment_set(robot_id=enrolled.robot.id, task_id=task.id, weight=1.0)
    with joined_robot(server, enrolled) as peer:
        peer.beat(task_id=str(task.id), step=17)
        assert peer.expect(m.HeartbeatAck).server_clock_ns > 0
        _until(lambda: robot_cards()[0].is_online)
        card = robot_cards()[0]
        assert (card.task, card.step, card.activity) == ("box-close", 17, "running")
    _until(lambda: not robot_cards()[0].is_online)
    assert robot_cards()[0].activity == "offline"


def test_database_that_hangs_costs_no_link(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats are acknowledged, and only the newest is handled once the rows can be reached again."""
    enrolled, seen, began, free = builders.enrol(), [], threading.Event(), threading.Event()
    real = links.robots_seen

    def hang(*, beats: Sequence[Beat]) -> list[Any]:
        began.set()
        free.wait(timeout=10)
        seen.extend(beat.status.step for beat in beats)
        return real(beats=beats)

    with joined_robot(server, enrolled) as peer:
        monkeypatch.setattr(links, "robots_seen", hang)
        for step in range(1, 6):
            peer.beat(step=step)
            peer.expect(m.HeartbeatAck, timeout_s=2)
            assert began.wait(5)
        async_to_sync(send_to_robot)(str(enrolled.robot.id), m.StopRobot(stop=m.StopInfo(stop_id="s", by="a", at_ns=0)))
        assert peer.expect(m.StopRobot, timeout_s=2).stop.by == "a"
        free.set()
        _until(lambda: 5 in seen)
    assert len(seen) == 2


def test_silent_robot_is_disconnected_and_shown_offline(server: str) -> None:
    with joined_robot(server, builders.enrol()) as peer:
        peer.beat()
        assert peer.closed_with() == ("peer_silent", 4408)
    _until(lambda: not robot_cards()[0].is_online)


def test_newer_connection_replaces_the_older_which_stays_out_of_the_way(server: str) -> None:
    enrolled = builders.enrol()
    with joined_robot(server, enrolled) as old, joined_robot(server, enrolled) as new:
        assert old.closed_with() == ("link_replaced", 4409)
        new.beat()
        new.expect(m.HeartbeatAck)
        _until(lambda: robot_cards()[0].is_online)


def test_change_of_the_rows_reaches_the_robot(server: str) -> None:
    enrolled = builders.enrol()
    with joined_robot(server, enrolled) as peer:
        robot_pause(robot_id=enrolled.robot.id, is_paused=True)
        assert peer.expect(m.StateChanged).state.is_paused


def test_lost_hint_mends_itself_at_the_next_heartbeat(server: str) -> None:
    enrolled = builders.enrol()
    with joined_robot(server, enrolled) as peer:
        Robot.objects.update(is_paused=True, state_revision=50)  # as if the hint had been lost
        peer.beat(state_revision=1)
        state = peer.expect(m.StateChanged).state
        assert (state.is_paused, state.revision) == (True, 50)
        peer.beat(state_revision=50)
        peer.expect(m.HeartbeatAck)


def test_gap_in_the_sequence_brings_the_whole_state(server: str) -> None:
    with joined_robot(server, builders.enrol()) as peer:
        beat = m.Heartbeat(clock_ns=1, status=builders.status(state_revision=1))
        peer.socket.send(encode_robot_frame(m.RobotFrame(9, beat)))
        assert peer.expect(m.StateChanged).state.revision == 1


def test_published_version_is_announced_to_everyone(patient_server: str) -> None:
    run, first, second = builders.running_run(), builders.enrol(), builders.enrol()  # whose hints nobody hears yet
    with joined_robot(patient_server, first) as one, joined_robot(patient_server, second) as two:
        manifest, blobs = builders.policy(run.id)
        version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
        for peer in (one, two):
            target = peer.expect(m.StateChanged).state.policy
            assert target is not None and target.version_id == str(version.id)
            url = f"http://{patient_server}{target.manifest_url}"
            assert urllib.request.urlopen(url, timeout=5).read() == manifest
        applied = m.PolicyApplied(version_id=str(version.id), fetched_ns=10**18, applied_ns=10**18 + 1, fetched_bytes=9)
        one.send(applied)
        two.send(m.PolicyRefused(version_id=str(version.id), code="probe_failed", message="NaN"))
        rows = PolicyDeployment.objects
        _until(lambda: rows.filter(applied_at__isnull=False).count() == 1)
        _until(lambda: rows.filter(refused_code="probe_failed").count() == 1)


def test_unknown_version_is_a_fault_that_does_not_end_the_link(server: str) -> None:
    with joined_robot(server, builders.enrol()) as peer:
        peer.send(m.PolicyRefused(version_id=str(uuid.uuid4()), code="x", message=""))
        fault = peer.expect(m.Fault)
        assert (fault.code, fault.is_fatal) == ("not_found", False)
        peer.beat()
        peer.expect(m.HeartbeatAck)


def _upload(server: str, peer: RobotPeer, manifest: object, files: dict[str, bytes]) -> None:
    """Walk the way of an episode: ask, PUT, announce."""
    objects = tuple(builders.record(name, data) for name, data in files.items())
    peer.send(m.UploadRequest(episode_id=manifest.episode_id, objects=objects))  # type: ignore[attr-defined]
    for target in peer.expect(m.UploadGrant).targets:
        if not target.is_stored:
            url = f"http://{server}{target.url}"
            request = urllib.request.Request(url, data=files[target.name], method="PUT", headers=target.headers)
            assert urllib.request.urlopen(request, timeout=5).status == 201
    peer.send(m.EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=time.time_ns(), manifest=manifest))  # type: ignore


def test_episode_walks_from_upload_to_registration_and_again_is_the_same(patient_server: str) -> None:
    enrolled, task = builders.enrol(), builders.task()
    manifest, files = builders.episode(task, enrolled.robot, human=2)
    with joined_robot(patient_server, enrolled) as peer:
        _upload(patient_server, peer, manifest, files)
        first = peer.expect(m.EpisodeRegistered)
        _upload(patient_server, peer, manifest, files)
        assert peer.expect(m.EpisodeRegistered) == first
    row = Episode.objects.get()
    assert (str(row.id), row.human_steps) == (manifest.episode_id, 2)


def test_bad_episode_is_refused_for_good_and_nothing_is_stored(patient_server: str, objects: object) -> None:
    enrolled, task = builders.enrol(), builders.task()
    arrays = builders.step_arrays(5)
    arrays["reward"][1] = float("inf")
    manifest, files = builders.episode(task, enrolled.robot, arrays=arrays)
    with joined_robot(patient_server, enrolled) as peer:
        _upload(patient_server, peer, manifest, files)
        refused = peer.expect(m.EpisodeRefused)
        assert (refused.code, refused.is_final) == ("invalid_episode", True)
        peer.beat()
        peer.expect(m.HeartbeatAck)
    assert Episode.objects.count() == 0
    assert list(objects.list("episodes/")) == []  # type: ignore[attr-defined]


def test_other_content_under_a_registered_id_is_refused_for_good(patient_server: str) -> None:
    enrolled, task = builders.enrol(), builders.task()
    manifest, files = builders.episode(task, enrolled.robot)
    changed = msgspec.structs.replace(manifest, outcome=Outcome.FAILURE)
    with joined_robot(patient_server, enrolled) as peer:
        _upload(patient_server, peer, manifest, files)
        peer.expect(m.EpisodeRegistered)
        peer.send(m.EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=1, manifest=changed))
        refused = peer.expect(m.EpisodeRefused)
        assert (refused.code, refused.is_final) == ("duplicate_id", True)


def test_absent_object_may_be_tried_again(patient_server: str) -> None:
    enrolled, task = builders.enrol(), builders.task()
    manifest, files = builders.episode(task, enrolled.robot)
    with joined_robot(patient_server, enrolled) as peer:
        peer.send(m.EpisodeReady(episode_id=manifest.episode_id, uploaded_ns=1, manifest=manifest))
        assert not peer.expect(m.EpisodeRefused).is_final
        _upload(patient_server, peer, manifest, files)
        peer.expect(m.EpisodeRegistered)
    assert MANIFEST_OBJECT in files


def test_scripted_lease_is_granted_renewed_and_fenced_by_a_person(server: str, django_user_model: type) -> None:
    enrolled = builders.enrol()
    user = django_user_model.objects.create_user("ann")  # type: ignore[attr-defined]
    with joined_robot(server, enrolled) as peer:
        peer.send(m.LeaseRequest(request_id="r1", reason="no progress"))
        reply = peer.expect(m.LeaseReply)
        assert reply.lease is not None and (reply.lease.epoch, reply.lease.source) == (1, Source.SCRIPTED)
        peer.expect(m.StateChanged)  # the hint of the grant
        peer.send(m.LeaseRenew(epoch=1))
        renewed = peer.expect(m.StateChanged).state.lease
        assert renewed is not None and renewed.expires_ns > reply.lease.expires_ns
        lease_grant(robot_id=enrolled.robot.id, source=Source.PERSON, operator="ann", user=user)
        taken = peer.expect(m.StateChanged).state.lease
        assert taken is not None and (taken.epoch, taken.source) == (2, Source.PERSON)
        peer.send(m.LeaseRenew(epoch=1))
        assert peer.expect(m.Fault).code == "lease_fenced"
        peer.send(m.LeaseRelease(epoch=2, reason="not its own"))
        peer.send(m.LeaseRenew(epoch=2))
        assert peer.expect(m.Fault).code == "lease_fenced"
        peer.send(m.LeaseRequest(request_id="r2", reason="again"))
        refused = peer.expect(m.LeaseReply)
        assert (refused.request_id, refused.lease, refused.code) == ("r2", None, "lease_held")
    assert Lease.objects.filter(released_at__isnull=True).get().epoch == 2
