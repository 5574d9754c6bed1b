"""The server's signatures, checked by the robot's own code: rotated keys, old orders, enrolment, old daemons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from fleet.daemon.config import PolicyConfig
from fleet.daemon.trust import Trust, remember_keys
from fleet.protocol.errors import StaleOrder, Untrusted
from fleet.selectors.robot import desired_state
from fleet.services.enrolment import enrolment_token_create
from fleet.services.policy import policy_version_publish
from fleet.services.robot_version import robot_hold_lift
from fleet.services.rollout import release_roll_back
from fleet.signing import signing_keys
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def key_file(tmp_path: Path, settings: Any) -> Path:
    settings.SOP_SIGNING_KEYS_FILE = tmp_path / "keys" / "signing_keys"
    return Path(settings.SOP_SIGNING_KEYS_FILE)


def publish(run: Any, step: int) -> None:
    manifest, blobs = builders.policy(run.id, step=step, value=float(step))
    policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def test_a_robot_takes_what_the_server_signs_and_follows_its_keys(
    key_file: Path, objects: LocalStore, tmp_path: Path, capsys: Any
) -> None:
    call_command("signing_key")
    assert key_file.stat().st_mode & 0o777 == 0o600
    run, robot = builders.running_run(), builders.enrol().robot
    publish(run, 0)
    publish(run, 25)
    trust = Trust(tmp_path, PolicyConfig(), robot_id=str(robot.id))
    other = Trust(tmp_path / "other", PolicyConfig(), robot_id="another")
    newer = desired_state(robot_id=str(robot.id))
    assert newer.policy is not None and newer.policy.epoch == newer.revision
    trust.learn(newer.policy_keys)
    other._record = trust._record
    trust.check(newer.policy)
    trust.followed(newer.policy)
    with pytest.raises(Untrusted):
        other.check(newer.policy)

    release_roll_back(run_id=run.id, reason="back")
    older = desired_state(robot_id=str(robot.id)).policy
    assert older is not None and older.number == 0
    trust.check(older)
    trust.followed(older)
    with pytest.raises(StaleOrder):
        trust.check(newer.policy)

    (first,) = signing_keys()
    call_command("signing_key")
    assert [key.public for key in signing_keys()] == [first.public], "a key that exists stays"
    call_command("signing_key", "--rotate")
    rotated = desired_state(robot_id=str(robot.id))
    assert rotated.policy is not None and rotated.policy.key != first.public
    with pytest.raises(Untrusted):
        trust.check(rotated.policy)
    trust.learn(rotated.policy_keys)
    trust.check(rotated.policy)
    assert "versions are signed by" in capsys.readouterr().out


def test_without_a_key_nothing_is_signed(key_file: Path, objects: LocalStore) -> None:
    run, robot = builders.running_run(), builders.enrol().robot
    publish(run, 0)
    state = desired_state(robot_id=str(robot.id))
    assert state.policy is not None and (state.policy.signature, state.policy_keys) == ("", ())


def test_enrolment_gives_keys_to_who_asks(key_file: Path, objects: LocalStore, tmp_path: Path) -> None:
    """A daemon of yesterday refuses answers with more in them, so it gets the old one."""
    call_command("signing_key")
    answers = []
    for more in ({}, {"wants_keys": True}):
        _, token = enrolment_token_create()
        body = {"token": token, "name": f"robot{len(answers)}", **more}
        answers.append(Client().post("/api/v1/robots/enrol", body, "application/json").json())
    assert set(answers[0]) == {"robot_id", "key", "name"}
    remember_keys(tmp_path, tuple(answers[1]["policy_keys"]))
    trust = Trust(tmp_path, PolicyConfig(), robot_id=answers[1]["robot_id"])
    assert trust.keys == tuple(key.public for key in signing_keys())


def test_a_lifted_hold_is_told_to_the_robot(objects: LocalStore) -> None:
    robot = builders.enrol().robot
    assert desired_state(robot_id=str(robot.id)).lifted_hold_id is None
    before = desired_state(robot_id=str(robot.id)).revision
    robot_hold_lift(robot_id=robot.id, hold_id="h")
    state = desired_state(robot_id=str(robot.id))
    assert (state.lifted_hold_id, state.revision) == ("h", before + 1)
