"""Enrolment, keys, pausing, assignments."""

from __future__ import annotations

import argparse
from datetime import timedelta

import pytest
from django.utils import timezone

from fleet.errors import InvalidRequest, NameTaken, NotFound, TokenInvalid
from fleet.models import Assignment, EnrolmentToken, Robot, RobotKey
from fleet.protocol.errors import Unauthorised
from fleet.selectors.robot import desired_state
from fleet.services.assignment import assignment_set
from fleet.services.enrolment import enrolment_token_create, robot_enrol
from fleet.services.robot import robot_key_check, robot_key_revoke, robot_pause, robot_thumbnail
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def test_token_enrols_one_robot_and_no_secret_is_stored() -> None:
    row, token = enrolment_token_create(note="for the left arm")
    enrolled = robot_enrol(token=token, name=" arm ")
    assert enrolled.robot.name == "arm"
    assert robot_key_check(robot_id=str(enrolled.robot.id), key=enrolled.key) == enrolled.robot
    stored = [*EnrolmentToken.objects.values_list("token_sha256"), *RobotKey.objects.values_list("key_sha256")]
    assert token not in str(stored) and enrolled.key not in str(stored)
    with pytest.raises(TokenInvalid):
        robot_enrol(token=token, name="second")
    row.refresh_from_db()
    assert (row.used_by, Robot.objects.count()) == (enrolled.robot, 1)


def test_tokens_can_be_typed_after_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--token -x` would be read as another option."""
    monkeypatch.setattr("secrets.token_urlsafe", lambda length: "-" * length)
    _, token = enrolment_token_create()
    parser = argparse.ArgumentParser()
    parser.add_argument("--token")
    assert parser.parse_args(["--token", token]).token == token
    assert robot_enrol(token=token, name="arm").robot.name == "arm"


def test_expired_and_unknown_tokens_are_refused() -> None:
    row, token = enrolment_token_create()
    past = timezone.now() - timedelta(hours=2)
    EnrolmentToken.objects.update(created_at=past, expires_at=past + timedelta(hours=1))
    for value in (token, "guess", ""):
        with pytest.raises(TokenInvalid):
            robot_enrol(token=value, name="arm")
    assert (Robot.objects.count(), row.used_at) == (0, None)


def test_taken_name_leaves_the_token_usable() -> None:
    builders.enrol("arm")
    _, token = enrolment_token_create()
    with pytest.raises(NameTaken):
        robot_enrol(token=token, name="arm")
    assert robot_enrol(token=token, name="other").robot.name == "other"


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb"])
def test_impossible_names(name: str) -> None:
    _, token = enrolment_token_create()
    with pytest.raises(InvalidRequest):
        robot_enrol(token=token, name=name)


def test_new_robot_works_at_the_tasks_of_the_fleets_run() -> None:
    builders.task("box-close"), builders.task("drawer-open")
    builders.running_run(task_slugs=["box-close"])
    robot = builders.enrol().robot
    assert [task.slug for task in desired_state(robot_id=str(robot.id)).assignments] == ["box-close"]


def test_revoked_key_is_refused() -> None:
    enrolled = builders.enrol()
    key = robot_key_revoke(key_id=enrolled.robot.keys.get().id)
    assert robot_key_revoke(key_id=key.id).revoked_at == key.revoked_at
    with pytest.raises(Unauthorised):
        robot_key_check(robot_id=str(enrolled.robot.id), key=enrolled.key)


def test_pause_bumps_the_revision_once() -> None:
    robot = builders.enrol().robot
    before = desired_state(robot_id=str(robot.id)).revision
    robot_pause(robot_id=robot.id, is_paused=True)
    robot_pause(robot_id=robot.id, is_paused=True)
    state = desired_state(robot_id=str(robot.id))
    assert (state.is_paused, state.revision) == (True, before + 1)
    with pytest.raises(NotFound):
        robot_pause(robot_id="0" * 32, is_paused=True)


def test_assignment_is_set_changed_and_ended() -> None:
    robot, task = builders.enrol().robot, builders.task()

    def weights() -> list[float]:
        return [task.weight for task in desired_state(robot_id=str(robot.id)).assignments]

    for weight, expected in ((1.0, [1.0]), (3.0, [3.0]), (None, []), (None, []), (2.0, [2.0])):
        assignment_set(robot_id=robot.id, task_id=task.id, weight=weight)
        assert weights() == expected
    assert Assignment.objects.count() == 2
    with pytest.raises(InvalidRequest):
        assignment_set(robot_id=robot.id, task_id=task.id, weight=0.0)
    with pytest.raises(NotFound):
        assignment_set(robot_id=robot.id, task_id=robot.id, weight=1.0)


def test_changed_task_reaches_those_who_work_at_it() -> None:
    robot, task = builders.enrol().robot, builders.task()
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0)
    before = desired_state(robot_id=str(robot.id)).revision
    builders.task()
    assert desired_state(robot_id=str(robot.id)).revision == before + 1


@pytest.mark.parametrize(("captured_ns", "jpeg"), [(1, b"GIF89a"), (-1, b"\xff\xd8\xff"), (2**63, b"\xff\xd8\xff")])
def test_thumbnail_must_be_a_jpeg_of_a_possible_time(captured_ns: int, jpeg: bytes) -> None:
    with pytest.raises(InvalidRequest):
        robot_thumbnail(robot_id="0" * 32, captured_ns=captured_ns, jpeg=jpeg)
