"""Admins and their robots: names, tags, approval, new keys, retirement."""

from __future__ import annotations

import pytest

from fleet.errors import InvalidRequest, NameTaken, PreconditionFailed, RobotRetired, TokenInvalid
from fleet.models import Robot
from fleet.protocol.errors import Unauthorised
from fleet.selectors.robot import desired_state
from fleet.selectors.robot_card import robot_cards
from fleet.services.assignment import assignment_set
from fleet.services.enrolment import enrolment_token_create, enrolment_token_revoke, robot_enrol
from fleet.services.robot import robot_key_check
from fleet.services.robot_admin import RobotChange, robot_approve, robot_retire, robot_update
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def test_a_robot_that_waits_for_approval_gets_no_work() -> None:
    _, token = enrolment_token_create(needs_approval=True)
    robot = robot_enrol(token=token, name="arm").robot
    assignment_set(robot_id=robot.id, task_id=builders.task().id, weight=1.0)
    before = desired_state(robot_id=str(robot.id))
    assert before.assignments == ()
    robot_approve(robot_id=robot.id)
    after = desired_state(robot_id=str(robot.id))
    assert [task.slug for task in after.assignments] == ["box-close"]
    assert after.revision > before.revision
    assert robot_approve(robot_id=robot.id).revision == 2, "approving twice is approving once"


def test_a_new_key_replaces_all_others() -> None:
    enrolled = builders.enrol("arm")
    _, token = enrolment_token_create(robot_id=enrolled.robot.id)
    renewed = robot_enrol(token=token, name="whatever it calls itself")
    assert (renewed.robot.id, renewed.robot.name, Robot.objects.count()) == (enrolled.robot.id, "arm", 1)
    assert robot_key_check(robot_id=str(enrolled.robot.id), key=renewed.key) == enrolled.robot
    with pytest.raises(Unauthorised):
        robot_key_check(robot_id=str(enrolled.robot.id), key=enrolled.key)
    with pytest.raises(TokenInvalid):
        robot_enrol(token=token, name="arm")


def test_a_revoked_code_enrols_nobody() -> None:
    row, token = enrolment_token_create()
    enrolment_token_revoke(token_id=row.id)
    with pytest.raises(TokenInvalid):
        robot_enrol(token=token, name="arm")
    assert Robot.objects.count() == 0


@pytest.mark.parametrize("valid_s", [0.0, -1.0, float("nan"), 40 * 86400.0])
def test_codes_live_for_a_bounded_time(valid_s: float) -> None:
    with pytest.raises(InvalidRequest):
        enrolment_token_create(valid_s=valid_s)


def test_changes_go_over_the_revision_that_was_read() -> None:
    robot = builders.enrol("arm").robot
    change = RobotChange(name=" left arm ", tags=("lab", "lab", " kitchen "), note="by the door")
    changed = robot_update(robot_id=robot.id, change=change, revision=1)
    assert (changed.name, changed.tags, changed.note, changed.revision) == (
        "left arm",
        ["lab", "kitchen"],
        "by the door",
        2,
    )
    with pytest.raises(PreconditionFailed):
        robot_update(robot_id=robot.id, change=RobotChange(name="other"), revision=1)
    assert robot_update(robot_id=robot.id, change=RobotChange(is_paused=True), revision=2).is_paused
    assert desired_state(robot_id=str(robot.id)).is_paused


@pytest.mark.parametrize(
    "change",
    [
        RobotChange(name=""),
        RobotChange(name="a\nb"),
        RobotChange(tags=("",)),
        RobotChange(tags=tuple(map(str, range(33)))),
        RobotChange(tags=("x" * 65,)),
        RobotChange(note="bell \x07"),
    ],
)
def test_values_that_no_robot_takes(change: RobotChange) -> None:
    robot = builders.enrol("arm").robot
    with pytest.raises(InvalidRequest):
        robot_update(robot_id=robot.id, change=change, revision=1)
    robot.refresh_from_db()
    assert (robot.name, robot.tags, robot.revision) == ("arm", [], 1)


def test_names_are_taken_once() -> None:
    builders.enrol("arm")
    other = builders.enrol("other").robot
    with pytest.raises(NameTaken):
        robot_update(robot_id=other.id, change=RobotChange(name="arm"), revision=1)
    other.refresh_from_db()
    assert (other.name, other.revision) == ("other", 1)


def test_a_retired_robot_has_neither_key_nor_work_nor_card() -> None:
    enrolled = builders.enrol("arm")
    robot = enrolled.robot
    assignment_set(robot_id=robot.id, task_id=builders.task().id, weight=1.0)
    _, token = enrolment_token_create(robot_id=robot.id)
    robot_retire(robot_id=robot.id)
    robot_retire(robot_id=robot.id)
    assert desired_state(robot_id=str(robot.id)).assignments == ()
    assert robot_cards() == []
    with pytest.raises(Unauthorised):
        robot_key_check(robot_id=str(robot.id), key=enrolled.key)
    with pytest.raises(TokenInvalid):
        robot_enrol(token=token, name="arm")
    with pytest.raises(RobotRetired):
        robot_update(robot_id=robot.id, change=RobotChange(name="new"), revision=2)
    with pytest.raises(RobotRetired):
        enrolment_token_create(robot_id=robot.id)
