"""Grants of large objects: told to robots that can send parts, bounded, and gone with an episode that is refused."""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.errors import InvalidRequest
from fleet.protocol.errors import ObjectMismatch
from fleet.protocol.messages import ObjectParts, UploadTarget
from fleet.protocol.recording import MANIFEST_OBJECT, ObjectRecord
from fleet.services import episode_upload
from fleet.services.episode import episode_register
from fleet.services.episode_upload import episode_upload_grant
from fleet.storage import keys
from fleet.storage.local import LocalStore
from fleet.storage.local_parts import upload_name
from fleet.storage.parts import MIN_PART_BYTES, PartPlan, PartsInvalid
from tests.fleet import builders

pytestmark = pytest.mark.django_db
DATA = bytes(range(256)) * (MIN_PART_BYTES // 128)  # two parts
HALF = hashlib.sha256(DATA[:MIN_PART_BYTES]).hexdigest()
CUT = ObjectParts(name="front.mp4", part_bytes=MIN_PART_BYTES, sha256=(HALF, HALF))


@pytest.fixture(autouse=True)
def small(settings: Any) -> None:
    settings.SOP_PART_BYTES, settings.SOP_PARTS_ABOVE_BYTES = MIN_PART_BYTES, MIN_PART_BYTES


def video(data: bytes = DATA) -> ObjectRecord:
    return builders.record("front.mp4", data)


def grant(episode_id: str, *parts: ObjectParts, record: ObjectRecord | None = None) -> UploadTarget:
    objects = (record or video(),)
    (target,) = episode_upload_grant(episode_id=episode_id, objects=objects, parts=parts, takes_parts=True)
    return target


def put_part(store: LocalStore, episode_id: str, number: int, *, record: ObjectRecord | None = None) -> None:
    """Store a part as the signed URL does."""
    record = record or video()
    plan = PartPlan(size=record.size, sha256=record.sha256, part_bytes=MIN_PART_BYTES, parts=CUT.sha256)
    body = io.BytesIO(DATA[(number - 1) * MIN_PART_BYTES : number * MIN_PART_BYTES])
    key = keys.episode_object(episode_id, record.name)
    store.put_part(key, body, upload=upload_name(plan), number=number, size=MIN_PART_BYTES, sha256=HALF)


def test_a_robot_that_cannot_send_parts_sends_all_at_once(objects: LocalStore) -> None:
    (target,) = episode_upload_grant(episode_id=str(uuid.uuid4()), objects=(video(),))
    assert (target.part_bytes, target.parts) == (0, ())
    assert target.url
    assert set(msgspec.to_builtins(target)) == {"name", "url", "headers", "is_stored"}, "what it knows, and no more"


def test_large_objects_come_in_parts_and_small_ones_do_not(objects: LocalStore) -> None:
    episode_id = str(uuid.uuid4())
    assert grant(episode_id).part_bytes == MIN_PART_BYTES
    assert grant(episode_id, record=video(DATA[:MIN_PART_BYTES])).part_bytes == 0
    target = grant(episode_id, CUT)
    assert [part.number for part in target.parts] == [1, 2]
    put_part(objects, episode_id, 2)
    assert [part.number for part in grant(episode_id, CUT).parts] == [1]
    put_part(objects, episode_id, 1)
    assert grant(episode_id, CUT).is_stored
    assert grant(episode_id).is_stored
    assert objects.get(keys.episode_object(episode_id, "front.mp4")) == DATA


def test_few_parts_are_granted_at_once(objects: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all objects together: an answer is one frame."""
    monkeypatch.setattr(episode_upload, "PARTS_AT_ONCE", 3)
    records = [msgspec.structs.replace(video(), name=name) for name in ("front.mp4", "wrist.mp4")]
    parts = [msgspec.structs.replace(CUT, name=record.name) for record in records]
    targets = episode_upload_grant(episode_id=str(uuid.uuid4()), objects=records, parts=parts, takes_parts=True)
    assert [[part.number for part in target.parts] for target in targets] == [[1, 2], [1]]
    assert not any(target.is_stored for target in targets)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"part_bytes": 1}, PartsInvalid),
        ({"sha256": (HALF,)}, PartsInvalid),
        ({"sha256": (HALF, "x")}, PartsInvalid),
        ({"name": "other.mp4"}, InvalidRequest),
    ],
    ids=["tiny parts", "too few", "no hash", "no object"],
)
def test_impossible_parts_are_refused(objects: LocalStore, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        grant(str(uuid.uuid4()), msgspec.structs.replace(CUT, **changes))
    assert not list(objects.folder("x").parent.glob(".parts/*"))


def test_parts_that_do_not_make_the_promised_whole_are_refused(objects: LocalStore) -> None:
    episode_id, lie = str(uuid.uuid4()), msgspec.structs.replace(video(), sha256="0" * 64)
    grant(episode_id, CUT, record=lie)
    for number in (1, 2):
        put_part(objects, episode_id, number, record=lie)
    with pytest.raises(ObjectMismatch):
        grant(episode_id, CUT, record=lie)
    assert list(objects.list()) == []


def test_unfinished_parts_of_a_refused_episode_go_with_it(objects: LocalStore, tmp_path: Path) -> None:
    """The episode names another object that differs: all of it goes, what has arrived in parts too."""
    robot, task = builders.enrol().robot, builders.task()
    manifest, files = builders.episode(task, robot)
    put_part(objects, manifest.episode_id, 1)
    assert list((tmp_path / "objects").glob(".parts/episodes/*"))
    builders.store(manifest, {**files, "front.mp4": b"other bytes"})
    with pytest.raises(ObjectMismatch):
        episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)
    assert MANIFEST_OBJECT in files
    assert list(objects.list()) == []
    assert not list((tmp_path / "objects").glob(".parts/*"))
