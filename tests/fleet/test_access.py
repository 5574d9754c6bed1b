"""The door from a request to objects: shut for everybody who is not signed in or may not sign in."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from fleet import access
from fleet.errors import NotFound
from fleet.services.episode import episode_register
from fleet.services.policy import policy_version_publish
from tests.fleet import builders

pytestmark = pytest.mark.django_db

DOORS = ("robots", "tasks", "episodes", "policy_versions", "training_runs")


@pytest.mark.parametrize("door", DOORS)
def test_strangers_and_disabled_users_see_nothing(door: str, objects: object, django_user_model: Any) -> None:
    robot, task, run = builders.enrol().robot, builders.task(), builders.running_run()
    manifest, files = builders.episode(task, robot)
    builders.store(manifest, files)
    episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)
    version, blobs = builders.policy(run.id)
    policy_version_publish(run_id=str(run.id), manifest_bytes=version, blobs=blobs)
    ann, bob = (django_user_model.objects.create_user(name, is_active=name == "ann") for name in ("ann", "bob"))
    see = getattr(access, f"access_{door}")
    assert [see(user).count() for user in (ann, bob, AnonymousUser())] == [1, 0, 0]
    assert access.access_robot_by_id(ann, robot.id) == robot
    with pytest.raises(NotFound):
        access.access_robot_by_id(bob, robot.id)
