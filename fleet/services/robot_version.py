"""One robot's own version: pins, and letting go of one that was taken back by hand at the robot."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from fleet.errors import RolloutOpen
from fleet.events import hint_consoles
from fleet.models import Robot, Rollout
from fleet.selectors.training import fleet_run
from fleet.services.audit import audit_record
from fleet.services.revision import revision_advance
from fleet.services.robot import robot_lock, robots_bump
from fleet.services.rollout import announce_desired, record_event, rollout_lock, version_usable


@transaction.atomic
def robot_pin(
    *,
    robot_id: uuid.UUID | str,
    version_id: object | None,
    revision: int,
    reason: str = "",
    user: AbstractBaseUser | None = None,
) -> Robot:
    """Let a robot drive with one version whatever is rolled out; None lets it follow its run again.

    `revision`: of the robot, as it was read. A robot in an open canary leaves it.
    Raises: NotFound, PreconditionFailed, VersionUnusable, RolloutOpen if it is the canary's last one.
    """
    version = version_usable(version_id=version_id) if version_id is not None else None
    # A pin of a run's robot changes its canary: the run's row is locked before the robot's, as everywhere.
    found = Rollout.objects.filter(robots__id=robot_id, state__in=Rollout.OPEN).values_list("id", flat=True).first()
    rollout = rollout_lock(rollout_id=found) if found is not None and version is not None else None
    robot = robot_lock(robot_id=robot_id)
    revision_advance(robot, expected=revision)
    if rollout is not None:
        if rollout.robots.count() == 1:
            raise RolloutOpen("it is the only robot that tries the candidate: decide on the canary first")
        rollout.robots.remove(robot)
    before = {"pinned_version": robot.pinned_version_id}
    robot.pinned_version, robot.pinned_reason = version, reason[:500] if version is not None else ""
    robot.save(update_fields=["pinned_version", "pinned_reason", "revision"])
    audit_record(
        action="robot.pin" if version is not None else "robot.unpin",
        subject=robot,
        before=before,
        after={"pinned_version": robot.pinned_version_id, "reason": reason},
    )
    run = version.run if version is not None else None
    if run is not None:
        record_event(run, "pin", user=user, reason=reason, version=version, robot=robot)
    announce_desired([robot])
    robots_bump(robot_ids=[robot.id])
    hint_consoles("metrics")
    return robot


@transaction.atomic
def robot_hold_lift(*, robot_id: uuid.UUID | str, hold_id: str, user: AbstractBaseUser | None = None) -> Robot:
    """Let a robot that was taken back by hand follow the server again, as soon as it hears of it. Raises: NotFound."""
    robot = robot_lock(robot_id=robot_id)
    before, robot.lifted_hold_id = {"lifted_hold": robot.lifted_hold_id}, hold_id[:36]
    robot.save(update_fields=["lifted_hold_id"])
    audit_record(action="robot.hold_lift", subject=robot, before=before, after={"lifted_hold": robot.lifted_hold_id})
    run = fleet_run()
    if run is not None:
        record_event(run, "hold lifted", user=user, robot=robot)
    robots_bump(robot_ids=[robot.id])
    return robot
