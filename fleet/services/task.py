"""Tasks: what can be asked of robots, each wording kept."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import fields

from fleet.access import coverage_of
from fleet.coverage import WHOLE
from fleet.errors import Forbidden, InvalidRequest, NameTaken, NotFound
from fleet.models import Assignment, Task, TaskWording
from fleet.services.audit import audit_record
from fleet.services.revision import revision_advance
from fleet.services.robot import robots_bump
from fleet.services.text import clean_text

MAX_STEPS = 100_000
TARGET_RATE = 0.8
_LIMITS = {"instruction": 1000, "success_definition": 2000, "driver_task": 100}  # characters, as the columns
_LINES = {"success_definition": "\n"}


class TaskChange(Struct, frozen=True, kw_only=True):
    """What to change of a task; what is UNSET stays."""

    instruction: str | UnsetType = UNSET
    success_definition: str | UnsetType = UNSET
    driver_task: str | UnsetType = UNSET
    max_steps: int | UnsetType = UNSET
    target_rate: float | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


@dataclass(frozen=True)
class TaskChanged:
    """`ended`: assignments that an archived task took with it."""

    task: Task
    ended: int


@transaction.atomic
def task_create(*, slug: str, instruction: str, driver_task: str, max_steps: int) -> Task:
    """Create a task or bring the one with this slug to these values; robots that work at it are told.

    For seeds, imports and commands, which may run twice; people use `task_define`.
    """
    _check_steps(max_steps)
    values = {"instruction": instruction, "driver_task": driver_task, "max_steps": max_steps, "is_active": True}
    before = Task.objects.filter(slug=slug).values(*values).first()
    task, _ = Task.objects.update_or_create(slug=slug, defaults=values)
    audit_record(action="task.change" if before else "task.create", subject=task, before=before, after=values)
    _word(task, None)
    _tell_robots(task)
    return task


@transaction.atomic
def task_define(
    *,
    slug: str,
    instruction: str,
    driver_task: str,
    max_steps: int,
    success_definition: str = "",
    target_rate: float = TARGET_RATE,
    user: AbstractBaseUser | None = None,
) -> Task:
    """Define a new task. Raises: NameTaken, InvalidRequest; Forbidden to whose groups cover chosen tasks alone."""
    if user is not None and not coverage_of(user).has_all_tasks:
        raise Forbidden("your groups cover chosen tasks: somebody who sees all tasks defines this one")
    if Task.objects.filter(slug=slug).exists():
        raise NameTaken(f"there is a task '{slug}' already", field="slug")
    change = TaskChange(
        instruction=instruction,
        driver_task=driver_task,
        max_steps=max_steps,
        success_definition=success_definition,
        target_rate=target_rate,
    )
    task = Task(slug=slug)
    _apply(task, change)
    task.save(force_insert=True)
    audit_record(action="task.create", subject=task, after=_shown(task))
    _word(task, user)
    return task


@transaction.atomic
def task_update(
    *, task_id: uuid.UUID | str, change: TaskChange, revision: int, user: AbstractBaseUser | None = None
) -> TaskChanged:
    """Change a task over the revision that was read; an archived one ends its assignments.

    A new instruction is a new wording; episodes keep the one they ran with.
    Raises: NotFound, PreconditionFailed, InvalidRequest; Forbidden to archive what robots that the user does not see
    work at.
    """
    task = Task.objects.select_for_update().filter(id=task_id).first()
    if task is None:
        raise NotFound("there is no such task")
    revision_advance(task, expected=revision)
    before = _shown(task)
    _apply(task, change)
    task.save()
    audit_record(action="task.change", subject=task, before=before, after=_shown(task))
    _word(task, user)
    robots = _tell_robots(task)
    ended = 0
    if not task.is_active:
        open_ = Assignment.objects.filter(task=task, ended_at__isnull=True)
        coverage = coverage_of(user) if user is not None else WHOLE
        if not coverage.is_whole and open_.exclude(coverage.robots("robot_id")).exists():
            raise Forbidden("robots that you do not see work at this task: somebody who sees them archives it")
        ended = open_.update(ended_at=timezone.now())
        robots_bump(robot_ids=robots)
    return TaskChanged(task, ended)


def _apply(task: Task, change: TaskChange) -> None:
    for field in fields(change):
        value = getattr(change, field.name)
        if value is UNSET:
            continue
        if isinstance(value, str):
            value = clean_text(value, field=field.name, limit=_LIMITS[field.name], allowed=_LINES.get(field.name, ""))
        setattr(task, field.name, value)
    _check_steps(task.max_steps)
    if not 0 <= task.target_rate <= 1:
        raise InvalidRequest("target_rate must lie between 0 and 1", field="target_rate")
    for name in ("instruction", "driver_task"):
        if not getattr(task, name):
            raise InvalidRequest(f"{name} must not be empty", field=name)


def _shown(task: Task) -> dict[str, object]:
    """Return what the audit log shows of a task."""
    return {field.name: getattr(task, field.name) for field in fields(TaskChange)}


def _check_steps(max_steps: int) -> None:
    if not 1 <= max_steps <= MAX_STEPS:
        raise InvalidRequest(f"max_steps must lie between 1 and {MAX_STEPS}", field="max_steps")


def _word(task: Task, user: AbstractBaseUser | None) -> None:
    """Keep the instruction as a wording of its own unless the newest says the same."""
    newest = task.wordings.order_by("-number").first()
    if newest is not None and newest.instruction == task.instruction:
        return
    number = (task.wordings.aggregate(newest=Max("number"))["newest"] or 0) + 1
    name = user.get_username() if user is not None else ""
    TaskWording.objects.create(
        task=task,
        number=number,
        instruction=task.instruction,
        by=user,  # type: ignore[misc]
        by_name=name,
    )


def _tell_robots(task: Task) -> list[uuid.UUID]:
    """Bump the robots that work at the task; return their ids."""
    working = list(Assignment.objects.filter(task=task, ended_at__isnull=True).values_list("robot_id", flat=True))
    robots_bump(robot_ids=working)
    return working
