"""Shadows: who may be one and where, what robots are told, and how one ends."""

from __future__ import annotations

import math
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.errors import (
    InvalidRequest,
    NotFound,
    RobotRetired,
    ShadowBusy,
    ShadowEnded,
    ShadowMismatch,
    ShadowSameVersion,
    VersionUnusable,
)
from fleet.models import AuditEntry, PolicyVersion, Robot, RolloutEvent, Shadow, ShadowRobot
from fleet.protocol.messages import DriverInfo, ShadowOrder, ShadowState, ShadowWish
from fleet.protocol.policy import policy_statement, shadow_statement
from fleet.selectors.robot import desired_state
from fleet.selectors.shadow import shadow_view
from fleet.services.shadow import shadow_end, shadows_sweep
from fleet.signing import signing_key_make, signing_keys
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.services.shadow_rows import begin, connect, publish, report

pytestmark = pytest.mark.django_db


def order(robot: Robot) -> ShadowOrder | None:
    wish = desired_state(robot_id=str(robot.id)).shadow
    assert isinstance(wish, ShadowWish)
    return wish.order


def test_robots_are_told_and_drive_with_what_they_did(candidate: PolicyVersion, robots: list[Robot]) -> None:
    before = [desired_state(robot_id=str(robot.id)) for robot in robots]
    shadow = begin(candidate, robots[0], share=0.5)
    told = order(robots[0])
    assert told is not None
    assert (told.shadow_id, told.policy.number, told.share, told.max_episodes) == (str(shadow.id), 1, 0.5, 10)
    assert abs(told.ends_ns / 1e9 - shadow.ends_at.timestamp()) < 1e-3
    assert order(robots[1]) is None
    after = [desired_state(robot_id=str(robot.id)) for robot in robots]
    assert [state.policy.number for state in after if state.policy] == [0, 0, 0]
    assert after[0].revision > before[0].revision and after[1].revision == before[1].revision
    assert RolloutEvent.objects.filter(kind="shadow", version=candidate).count() == 1
    assert AuditEntry.objects.filter(action="rollout.shadow").count() == 1

    shadow_end(shadow_id=shadow.id, reason="seen enough")
    assert order(robots[0]) is None
    with pytest.raises(ShadowEnded, match="seen enough"):
        shadow_end(shadow_id=shadow.id)
    with pytest.raises(NotFound):
        shadow_end(shadow_id=uuid.uuid4())
    assert AuditEntry.objects.filter(action="rollout.shadow_ended").count() == 1


def test_the_order_is_signed_as_one_to_shadow_alone(
    candidate: PolicyVersion, robots: list[Robot], settings: Any, tmp_path: Any
) -> None:
    settings.SOP_SIGNING_KEYS_FILE = str(tmp_path / "keys")
    signing_key_make(is_rotated=False)
    begin(candidate, robots[0])
    told = order(robots[0])
    assert told is not None
    names = {
        "robot_id": str(robots[0].id), "version_id": told.policy.version_id, "number": 1,
        "manifest_sha256": told.policy.manifest_sha256, "epoch": told.policy.epoch,
    }  # fmt: skip
    (key,) = signing_keys()
    public, signature = key.private.public_key(), bytes.fromhex(told.policy.signature)
    public.verify(signature, shadow_statement(**names))
    with pytest.raises(InvalidSignature):
        public.verify(signature, policy_statement(**names))


def test_an_older_daemon_gets_no_field_it_does_not_know(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """And is shown as what it is, with its version."""
    connect(robots[0], capabilities=("logs",), daemon_version="0.0.9")
    shadow = begin(candidate, robots[0], robots[1])
    state = desired_state(robot_id=str(robots[0].id))
    assert state.shadow is msgspec.UNSET and b"shadow" not in msgspec.msgpack.encode(state)
    shown = {member.robot.id: member for member in shadow_view(shadow=shadow).members}
    assert shown[robots[0].id].state == "unsupported"
    assert shown[robots[0].id].text == "Does not shadow (daemon 0.0.9)."
    assert shown[robots[1].id].state == "starting"
    connect(robots[0])
    assert order(robots[0]) is not None, "it was upgraded meanwhile"


def test_by_tag_and_by_lot(candidate: PolicyVersion, robots: list[Robot]) -> None:
    Robot.objects.filter(id=robots[1].id).update(tags=["lab"])
    tagged = begin(candidate, robot_ids=None, tag="lab")
    assert [member.robot_id for member in tagged.members.all()] == [robots[1].id]
    by_lot = begin(candidate, robot_ids=None, robot_share=1.0)
    assert {member.robot_id for member in by_lot.members.all()} == {robots[0].id, robots[2].id}, "one is busy"
    with pytest.raises(InvalidRequest, match="carries the tag 'none'"):
        begin(candidate, robot_ids=None, tag="none")
    with pytest.raises(InvalidRequest, match="no robot could"):
        begin(candidate, robot_ids=None, robot_share=0.5)
    with pytest.raises(InvalidRequest, match="name robots"):
        begin(candidate, robot_ids=None)


def test_what_cannot_be_a_shadow_is_refused_and_nothing_is_written(
    run: Any, candidate: PolicyVersion, robots: list[Robot]
) -> None:
    other_axes = publish(run, 50, action_dim=7)
    other_camera = publish(run, 51, cameras=())
    of_tomorrow = publish(run, 52, architecture="of-tomorrow")
    current = PolicyVersion.objects.get(run=run, number=0)
    Robot.objects.filter(id=robots[2].id).update(retired_at=timezone.now())
    cases: list[tuple[type[Exception], PolicyVersion, Robot, str]] = [
        (ShadowMismatch, other_axes, robots[0], "7 actions"),
        (ShadowMismatch, of_tomorrow, robots[0], "cannot build 'of-tomorrow'"),
        (ShadowSameVersion, current, robots[0], "drives with version 0 itself"),
        (RobotRetired, candidate, robots[2], "is retired"),
    ]
    for kind, version, robot, text in cases:
        with pytest.raises(kind, match=text):
            begin(version, robot)
    assert begin(other_camera, robots[1]), "a version that looks at nothing fits everybody"
    with pytest.raises(ShadowBusy, match="shadows version 3 already"):
        begin(candidate, robots[0], robots[1])
    with pytest.raises(NotFound):
        begin(candidate, robot_ids=[uuid.uuid4()])
    assert Shadow.objects.count() == 1 and ShadowRobot.objects.count() == 1
    assert order(robots[0]) is None


def test_a_camera_of_another_size_is_another_observation(candidate: PolicyVersion, robots: list[Robot]) -> None:
    info = msgspec.to_builtins(builders.driver_info())
    small = msgspec.convert(info | {"cameras": [{"name": "front", "width": 64, "height": 64}]}, DriverInfo)
    connect(robots[0], driver=small)
    with pytest.raises(ShadowMismatch, match="no camera front of that size"):
        begin(candidate, robots[0])


def test_a_version_whose_weights_are_gone_is_refused(
    candidate: PolicyVersion, robots: list[Robot], objects: LocalStore
) -> None:
    objects.delete(candidate.manifest_key)
    with pytest.raises(VersionUnusable, match="deleted"):
        begin(candidate, robots[0])
    assert not Shadow.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"share": 0.0}, "share"),
        ({"share": 1.1}, "share"),
        ({"share": math.nan}, "share"),
        ({"duration_s": 1.0}, "duration_s"),
        ({"duration_s": math.inf}, "duration_s"),
        ({"max_episodes": 0}, "max_episodes"),
        ({"max_episodes": 10**9}, "max_episodes"),
        ({"robot_ids": None, "tag": "a\x00b"}, "tag"),
    ],
)
def test_bounds(candidate: PolicyVersion, robots: list[Robot], changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        begin(candidate, robots[0], **changes)
    assert caught.value.data["field"] == field
    assert not Shadow.objects.exists()


def test_the_database_holds_one_open_shadow_a_robot(candidate: PolicyVersion, robots: list[Robot]) -> None:
    begin(candidate, robots[0])
    other = Shadow.objects.create(version=candidate, max_episodes=1, ends_at=timezone.now() + timedelta(days=1))
    with pytest.raises(IntegrityError, match="shadow_one_open_a_robot"), transaction.atomic():
        ShadowRobot.objects.create(shadow=other, robot=robots[0])


def test_it_ends_by_itself(candidate: PolicyVersion, robots: list[Robot]) -> None:
    """By time, when its robots have their episodes, and when all refused it; with the reason in words."""
    late, done, refused = (begin(candidate, robot) for robot in robots)
    assert shadows_sweep() == 0
    Shadow.objects.filter(id=late.id).update(
        began_at=timezone.now() - timedelta(days=2), ends_at=timezone.now() - timedelta(seconds=1)
    )
    assert order(robots[0]) is None, "also before the sweep"
    report(done, robots[1], ShadowState.ENDED, episodes=10)
    report(refused, robots[2], ShadowState.REFUSED, code="shadow_memory", message="two do not fit")
    assert order(robots[1]) is None and order(robots[2]) is None
    assert shadows_sweep() == 3
    assert shadows_sweep() == 0
    reasons = [Shadow.objects.get(id=each.id).reason for each in (late, done, refused)]
    assert reasons == ["its time is over", "its robots have their episodes", "every robot refused it"]
    (member,) = shadow_view(shadow=Shadow.objects.get(id=refused.id)).members
    assert (member.state, member.text) == ("refused", "Refused (shadow_memory): two do not fit")
    assert begin(candidate, *robots), "they are free for another"
