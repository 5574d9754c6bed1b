"""Tasks and who works at them."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from fleet.errors import InvalidRequest, NotFound
from fleet.models import Assignment, Task
from fleet.services.audit import audit_record
from fleet.services.robot import robot_lock, robots_bump


@transaction.atomic
def task_create(*, slug: str, instruction: str, driver_task: str, max_steps: int) -> Task:
    """Create a task or bring the one with this slug to these values; robots that work at it are told."""
    if not 1 <= max_steps <= 100_000:
        raise InvalidRequest("max_steps must lie between 1 and 100000", field="max_steps")
    values = {"instruction": instruction, "driver_task": driver_task, "max_steps": max_steps, "is_active": True}
    before = Task.objects.filter(slug=slug).values(*values).first()
    task, _ = Task.objects.update_or_create(slug=slug, defaults=values)
    audit_record(action="task.change" if before else "task.create", subject=task, before=before, after=values)
    working = Assignment.objects.filter(task=task, ended_at__isnull=True).values_list("robot_id", flat=True)
    robots_bump(robot_ids=working)
    return task


@transaction.atomic
def assignment_set(*, robot_id: uuid.UUID | str, task_id: uuid.UUID | str, weight: float | None) -> Assignment | None:
    """Let a robot work at a task with this weight; None ends it. Raises: NotFound, InvalidRequest."""
    if weight is not None and not 0 < weight <= 1000:
        raise InvalidRequest("weight must lie between 0 and 1000", field="weight")
    robot = robot_lock(robot_id=robot_id)
    if not Task.objects.filter(id=task_id).exists():
        raise NotFound("there is no such task")
    active = Assignment.objects.filter(robot=robot, task_id=task_id, ended_at__isnull=True).first()
    before = {"weight": active.weight if active else None}
    if weight is None:
        if active is None:
            return None
        active.ended_at = timezone.now()
        active.save(update_fields=["ended_at"])
    elif active is None:
        active = Assignment.objects.create(robot=robot, task_id=task_id, weight=weight)
    elif active.weight != weight:
        active.weight = weight
        active.save(update_fields=["weight"])
    else:
        return active
    name = f"{robot.name} at {active.task.slug}"
    audit_record(action="assignment.set", subject=active, name=name, before=before, after={"weight": weight})
    robots_bump(robot_ids=[robot.id])
    return active
