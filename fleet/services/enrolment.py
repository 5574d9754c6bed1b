"""Enrolment: a one-time token becomes a robot with a key, or a new key of a robot that exists."""

from __future__ import annotations

import logging
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from fleet.errors import InvalidRequest, NameTaken, NotFound, RobotRetired, TokenInvalid
from fleet.events import hint_links, hint_robots
from fleet.models import Assignment, EnrolmentToken, Robot, RobotKey
from fleet.selectors.training import fleet_run
from fleet.services.audit import audit_record, robot_actor
from fleet.services.robot import robot_lock, secret_sha256

logger = logging.getLogger(__name__)

MAX_VALID_S = 30 * 86400.0
MAX_OPEN = 200  # tokens that nobody used yet


@dataclass(frozen=True)
class Enrolled:
    """A robot and its key, which is shown only here."""

    robot: Robot
    key: str


@transaction.atomic
def enrolment_token_create(
    *,
    note: str = "",
    valid_s: float = 3600.0,
    user: AbstractBaseUser | None = None,
    needs_approval: bool = False,
    robot_id: uuid.UUID | None = None,
) -> tuple[EnrolmentToken, str]:
    """Create a one-time token; return its row and the secret, which is stored only as a hash.

    `robot_id`: the token gives this robot a new key. Raises: InvalidRequest, NotFound, RobotRetired.
    """
    if not 0 < valid_s <= MAX_VALID_S:
        raise InvalidRequest(f"a token is valid for 1 to {MAX_VALID_S:.0f} seconds", field="valid_s")
    now = timezone.now()
    unused = EnrolmentToken.objects.filter(used_at__isnull=True, revoked_at__isnull=True, expires_at__gt=now)
    if unused.count() >= MAX_OPEN:
        raise InvalidRequest(f"{MAX_OPEN} tokens wait to be used already: revoke some", field="note")
    robot = robot_lock(robot_id=robot_id) if robot_id is not None else None
    if robot is not None and robot.retired_at is not None:
        raise RobotRetired(f"{robot.name} is retired")
    secret = "sop-" + secrets.token_urlsafe(32)  # without a prefix one in 64 begins with "-", like an option
    row = EnrolmentToken.objects.create(
        token_sha256=secret_sha256(secret),
        note=note[:200],
        created_at=now,
        created_by=user,  # type: ignore[misc]
        expires_at=now + timedelta(seconds=valid_s),
        needs_approval=needs_approval,
        robot=robot,
    )
    after = {"note": row.note, "expires_at": row.expires_at, "needs_approval": needs_approval, "robot": robot_id}
    audit_record(action="robot.enrolment_token", subject=row, after=after)
    return row, secret


@transaction.atomic
def enrolment_token_revoke(*, token_id: uuid.UUID | str) -> EnrolmentToken:
    """Make a token worthless; one that was used stays as the record of that. Raises: NotFound."""
    row = EnrolmentToken.objects.select_for_update().filter(id=token_id).first()
    if row is None:
        raise NotFound("there is no such token")
    if row.revoked_at is None and row.used_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        audit_record(action="robot.enrolment_token_revoke", subject=row, after={"revoked_at": row.revoked_at})
    return row


@transaction.atomic
def robot_enrol(*, token: str, name: str) -> Enrolled:
    """Turn a one-time token into a robot with a key, which works at the tasks of the run that feeds the fleet.

    A token of a robot that exists gives that robot a new key; its name stays and its old keys are void at once.
    Raises: TokenInvalid if it is unknown, used, revoked or expired (not told apart); NameTaken; InvalidRequest.
    """
    name = robot_name_check(name)
    row = EnrolmentToken.objects.select_for_update().filter(token_sha256=secret_sha256(token)).first()
    if row is None or row.used_at or row.revoked_at or row.expires_at <= timezone.now():
        raise TokenInvalid("this enrolment token is not valid")
    robot = _create(name, is_approved=not row.needs_approval) if row.robot is None else _renew(row.robot)
    key = secrets.token_urlsafe(32)
    RobotKey.objects.create(robot=robot, key_sha256=secret_sha256(key))
    row.used_at, row.used_by = timezone.now(), robot
    row.save(update_fields=["used_at", "used_by"])
    action = "robot.enrol" if row.robot is None else "robot.rekey"
    after = {"name": robot.name, "token": row.id, "is_approved": robot.is_approved}
    audit_record(action=action, subject=robot, after=after, actor=robot_actor(robot))
    hint_robots([robot.id])
    logger.info("robot enrolled", extra={"event": {"robot": str(robot.id), "name": robot.name}})
    return Enrolled(robot, key)


def robot_name_check(name: str) -> str:
    """Return the trimmed name. Raises: InvalidRequest."""
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest("a robot's name has 1 to 100 printable characters", field="name")
    return name


def _create(name: str, *, is_approved: bool) -> Robot:
    try:
        with transaction.atomic():
            robot = Robot.objects.create(name=name, is_approved=is_approved)
    except IntegrityError:
        raise NameTaken(f"a robot named '{name}' exists already", field="name") from None
    run = fleet_run()
    tasks = run.tasks.filter(is_active=True) if run else ()
    Assignment.objects.bulk_create(Assignment(robot=robot, task=task) for task in tasks)
    return robot


def _renew(robot: Robot) -> Robot:
    if robot.retired_at is not None:
        raise TokenInvalid("this enrolment token is not valid")
    robot.keys.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
    hint_links([robot.id])
    return robot
