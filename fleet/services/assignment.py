"""Who works at what: assignments with weight, priority and hours, and the sweep that opens and closes the hours."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from django.db import transaction
from django.utils import timezone

from fleet.errors import CapabilityMissing, InvalidRequest, NotFound, RobotRetired, TaskArchived
from fleet.models import Assignment, Robot, Task
from fleet.selectors.assignment import robot_can
from fleet.selectors.robot import robot_assignments_active, robots_off_schedule
from fleet.selectors.row_version import assignment_version
from fleet.selectors.schedule import MAX_WINDOWS, Window, schedule_digest
from fleet.services.audit import audit_record
from fleet.services.revision import version_check
from fleet.services.robot import robot_lock, robots_bump

PRIORITIES = range(-9, 10)


@transaction.atomic
def assignment_set(
    *,
    robot_id: uuid.UUID | str,
    task_id: uuid.UUID | str,
    weight: float | None,
    priority: int = 0,
    windows: Sequence[Mapping[str, object]] = (),
    time_zone: str = "UTC",
    version: str | None = None,
) -> Assignment | None:
    """Let a robot work at a task like this; weight None ends it. `version`: of what was read, if it is to be compared.

    Raises: PreconditionFailed if somebody was quicker; NotFound, InvalidRequest, RobotRetired, TaskArchived,
    CapabilityMissing (of a robot that has connected).
    """
    robot = robot_lock(robot_id=robot_id)
    task = Task.objects.filter(id=task_id).first()
    if task is None:
        raise NotFound("there is no such task")
    active = Assignment.objects.filter(robot=robot, task=task, ended_at__isnull=True).first()
    version_check(assignment_version(active), expected=version)
    if weight is None:
        if active is not None:
            active.ended_at = timezone.now()
            active.save(update_fields=["ended_at"])
            _note_assignment(active, before=_terms(active), after={})
            _tell(robot)
        return active
    _check(robot, task)
    values = _values(weight, priority, windows, time_zone)
    before = _terms(active) if active is not None else {}
    if before == values:
        return active
    row = active or Assignment(robot=robot, task=task)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    _note_assignment(row, before=before, after=values)
    _tell(robot)
    return row


def _terms(row: Assignment) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("weight", "priority", "windows", "time_zone")}


def _note_assignment(row: Assignment, *, before: Mapping[str, object], after: Mapping[str, object]) -> None:
    name = f"{row.robot.name} at {row.task.slug}"
    audit_record(action="assignment.set", subject=row, name=name, before=before, after=after)


def assignments_sweep(*, now: datetime | None = None) -> int:
    """Tell the robots whose hours have begun or ended since they were last told; return how many.

    Asked every few seconds, and nearly always nothing is due: rows are locked only where something is.
    """
    at = now or timezone.now()
    return sum(_sweep(robot_id, at) for robot_id in robots_off_schedule(now=at))


@transaction.atomic
def _sweep(robot_id: uuid.UUID, now: datetime) -> bool:
    robot = Robot.objects.select_for_update().filter(id=robot_id).first()
    if robot is None or robot.schedule_digest == _digest(robot, now):
        return False
    _tell(robot, now=now)
    return True


def _tell(robot: Robot, *, now: datetime | None = None) -> None:
    robot.schedule_digest = _digest(robot, now or timezone.now())
    robot.save(update_fields=["schedule_digest"])
    robots_bump(robot_ids=[robot.id])


def _digest(robot: Robot, now: datetime) -> str:
    return schedule_digest(robot_assignments_active(robot=robot, now=now))


def _check(robot: Robot, task: Task) -> None:
    if robot.retired_at is not None:
        raise RobotRetired(f"{robot.name} is retired", field="robot")
    if not task.is_active:
        raise TaskArchived(f"{task.slug} is archived: bring it back first", field="task")
    if robot_can(robot, task) is False:
        offered = ", ".join(robot.driver.get("tasks", ()))[:500]
        raise CapabilityMissing(
            f"{robot.name}'s driver does not offer '{task.driver_task}'; it offers {offered or 'nothing'}", field="task"
        )


def _values(weight: float, priority: int, windows: Sequence[Mapping[str, object]], time_zone: str) -> dict[str, object]:
    if not 0 < weight <= 1000:
        raise InvalidRequest("weight must lie between 0 and 1000", field="weight")
    if priority not in PRIORITIES:
        raise InvalidRequest(f"priority must lie between {PRIORITIES[0]} and {PRIORITIES[-1]}", field="priority")
    if len(windows) > MAX_WINDOWS:
        raise InvalidRequest(f"an assignment has at most {MAX_WINDOWS} windows", field="windows")
    try:
        sound = msgspec.convert(list(windows), type=tuple[Window, ...])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"a window is wrong: {error}", field="windows") from None
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):  # unknown; no key at all; a folder of the database
        raise InvalidRequest(f"there is no time zone '{time_zone[:64]}'", field="time_zone") from None
    # As the column gives them back: a tuple never equals its list, and the same hours again would count as a change.
    rows = msgspec.json.decode(msgspec.json.encode(sound))
    return {"weight": weight, "priority": priority, "windows": rows, "time_zone": time_zone}
