"""What admins change of robots: names, tags, approval, retirement."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import fields

from fleet.access import coverage_of
from fleet.errors import Forbidden, InvalidRequest, NameTaken, RobotRetired
from fleet.events import hint_links
from fleet.models import Assignment, EnrolmentToken, Robot
from fleet.selectors.people_group import covering_tags
from fleet.services.audit import audit_record
from fleet.services.enrolment import robot_name_check
from fleet.services.revision import revision_advance
from fleet.services.robot import robot_lock, robots_bump
from fleet.services.text import clean_text

logger = logging.getLogger(__name__)

MAX_TAGS = 32
MAX_TAG = 64
MAX_NOTE = 2000


class RobotChange(Struct, frozen=True, kw_only=True):
    """What to change of a robot; what is UNSET stays."""

    name: str | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    note: str | UnsetType = UNSET
    is_paused: bool | UnsetType = UNSET


@transaction.atomic
def robot_update(
    *, robot_id: uuid.UUID | str, change: RobotChange, revision: int, user: AbstractBaseUser | None = None
) -> Robot:
    """Change a robot over the revision that was read. `user`: whose groups may forbid the change of a tag.

    Raises: NotFound, PreconditionFailed, RobotRetired, NameTaken, InvalidRequest, Forbidden.
    """
    robot = robot_lock(robot_id=robot_id)
    _refuse_retired(robot)
    revision_advance(robot, expected=revision)
    before = _shown(robot)
    if change.name is not UNSET:
        robot.name = robot_name_check(change.name)
    if change.tags is not UNSET:
        tags = _tags(change.tags)
        _refuse_covering(user, before=robot.tags, after=tags)
        robot.tags = tags
    if change.note is not UNSET:
        robot.note = clean_text(change.note, field="note", limit=MAX_NOTE, allowed="\n\t")
    if change.is_paused is not UNSET:
        robot.is_paused = change.is_paused
    try:
        with transaction.atomic():
            robot.save()
    except IntegrityError:
        raise NameTaken(f"a robot named '{robot.name}' exists already", field="name") from None
    audit_record(action="robot.change", subject=robot, before=before, after=_shown(robot))
    robots_bump(robot_ids=[robot.id])
    return robot


@transaction.atomic
def robot_approve(*, robot_id: uuid.UUID | str) -> Robot:
    """Give a robot that waits its work; approving twice is approving once. Raises: NotFound, RobotRetired."""
    robot = robot_lock(robot_id=robot_id)
    _refuse_retired(robot)
    if not robot.is_approved:
        robot.is_approved = True
        robot.revision += 1
        robot.save(update_fields=["is_approved", "revision"])
        audit_record(action="robot.approve", subject=robot, before={"is_approved": False}, after={"is_approved": True})
        robots_bump(robot_ids=[robot.id])
    return robot


@transaction.atomic
def robot_retire(*, robot_id: uuid.UUID | str) -> Robot:
    """End a robot's work for good: no valid key, no assignment, no open token; its episodes and its name stay.

    Retiring twice is retiring once. Raises: NotFound.
    """
    robot = robot_lock(robot_id=robot_id)
    if robot.retired_at is not None:
        return robot
    now = timezone.now()
    robot.retired_at = now
    robot.revision += 1
    robot.save(update_fields=["retired_at", "revision"])
    audit_record(action="robot.retire", subject=robot, after={"retired_at": now})
    robot.keys.filter(revoked_at__isnull=True).update(revoked_at=now)
    EnrolmentToken.objects.filter(robot=robot, used_at__isnull=True, revoked_at__isnull=True).update(revoked_at=now)
    Assignment.objects.filter(robot=robot, ended_at__isnull=True).update(ended_at=now)
    robots_bump(robot_ids=[robot.id])
    hint_links([robot.id])
    logger.info("robot retired", extra={"event": {"robot": str(robot.id), "name": robot.name}})
    return robot


def _refuse_retired(robot: Robot) -> None:
    if robot.retired_at is not None:
        raise RobotRetired(f"{robot.name} is retired")


def _refuse_covering(user: AbstractBaseUser | None, *, before: Sequence[str], after: Sequence[str]) -> None:
    """Tags decide who sees a robot: who is limited by groups decides that for nobody. Raises: Forbidden."""
    changed = covering_tags().intersection(set(before) ^ set(after))
    if changed and user is not None and not coverage_of(user).is_whole:
        names = ", ".join(sorted(changed))
        raise Forbidden(f"tags of groups decide who sees a robot ({names}): it takes somebody who sees the whole fleet")


def _shown(robot: Robot) -> dict[str, object]:
    """Return what the audit log shows of a robot."""
    return {field.name: getattr(robot, field.name) for field in fields(RobotChange)}


def _tags(tags: Sequence[str]) -> list[str]:
    cleaned = list(dict.fromkeys(clean_text(tag, field="tags", limit=MAX_TAG) for tag in tags))
    if "" in cleaned or len(cleaned) > MAX_TAGS:
        raise InvalidRequest(f"a robot has at most {MAX_TAGS} tags, none empty", field="tags")
    return cleaned
