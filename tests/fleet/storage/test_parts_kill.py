"""kill -9 of a real daemon in the middle of a large object: the next one sends what is missing, and no part twice."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.consumers import robot as consumer
from fleet.consumers.episodes import answer_upload
from fleet.daemon.enrolment import CREDENTIALS_FILE, Credentials
from fleet.models import Episode, Robot
from fleet.protocol.messages import UploadGrant, UploadRequest
from fleet.protocol.recording import MANIFEST_OBJECT, encode_manifest
from fleet.selectors.objects import object_store
from fleet.services import episode_upload
from fleet.storage import keys
from fleet.storage.parts import MIN_PART_BYTES
from tests.fleet import builders
from tests.fleet.consumers.test_killed_daemon import START_S, _daemon
from tests.fleet.waiting import wait_for

PARTS = 5


class Grants:
    """What the server answers to requests, as the consumer calls it. `hold`: keep the next answer back."""

    def __init__(self) -> None:
        self.parts: list[int] = []
        self.held = threading.Event()
        self.release = threading.Event()
        self.is_holding = False

    def answer(self, robot_id: str, request: UploadRequest, *, takes_parts: bool = False) -> Any:
        if self.is_holding and self.parts:  # the parts that were granted are stored now
            self.held.set()
            assert self.release.wait(60)
        answer = answer_upload(robot_id, request, takes_parts=takes_parts)
        if isinstance(answer, UploadGrant):
            self.parts += [part.number for target in answer.targets for part in target.parts]
        return answer


def _padded(video: bytes, size: int) -> bytes:
    """Return the MP4 with a box of nothing behind it, as some writers leave one."""
    left = size - len(video)
    return video + left.to_bytes(4, "big") + b"free" + bytes(left - 8)


def _closed_episode(robot: Robot, state: Path) -> str:
    """Put an episode with a video of PARTS parts into the robot's spool, as it lies there after a crash."""
    manifest, files = builders.episode(builders.task(), robot, steps=6)
    files["front.mp4"] = _padded(files["front.mp4"], (PARTS - 1) * MIN_PART_BYTES + 1000)
    records = tuple(builders.record(name, data) for name, data in files.items() if name != MANIFEST_OBJECT)
    manifest = msgspec.structs.replace(manifest, objects=records)
    folder = state / "spool" / "pending" / manifest.episode_id
    folder.mkdir(parents=True)
    for name, data in {**files, MANIFEST_OBJECT: encode_manifest(manifest)}.items():
        (folder / name).write_bytes(data)
    return manifest.episode_id


def _enrolled(state: Path) -> Robot:
    """Return a robot whose key lies in the state directory, as after its enrolment."""
    enrolled = builders.enrol()
    known = Credentials(robot_id=str(enrolled.robot.id), key=enrolled.key, name=enrolled.robot.name)
    state.mkdir()
    (state / CREDENTIALS_FILE).write_bytes(msgspec.json.encode(known))
    return enrolled.robot


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_killed_upload_goes_on_with_the_missing_parts(
    server: str,
    kind: str,
    request: pytest.FixtureRequest,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "s3":
        settings.SOP_OBJECT_STORE_URL = request.getfixturevalue("s3_url")
    settings.SOP_PART_BYTES, settings.SOP_PARTS_ABOVE_BYTES = MIN_PART_BYTES, MIN_PART_BYTES
    monkeypatch.setattr(episode_upload, "PARTS_AT_ONCE", 2)
    grants, state = Grants(), tmp_path / "state"
    monkeypatch.setattr(consumer, "answer_upload", grants.answer)
    episode_id = _closed_episode(_enrolled(state), state)
    key = keys.episode_object(episode_id, "front.mp4")

    grants.is_holding = True
    with _daemon(server, state, "") as process:
        assert grants.held.wait(START_S)
        process.kill()
        process.wait(10)
    grants.is_holding = False
    grants.release.set()
    assert grants.parts[:2] == [1, 2]
    assert not object_store().exists(key)

    grants.parts.clear()  # what the killed one asked for may be answered yet; nobody hears it
    with _daemon(server, state, ""):
        wait_for(lambda: Episode.objects.exists(), timeout_s=START_S)
        wait_for(lambda: (state / "spool" / "uploaded" / episode_id).is_dir())
    assert set(grants.parts) == {3, 4, 5}, "parts that were stored were granted again"
    data = (state / "spool" / "uploaded" / episode_id / "front.mp4").read_bytes()
    assert object_store().digest(key) == (len(data), hashlib.sha256(data).hexdigest())
    assert not list((tmp_path / "objects").glob(".parts/*"))
