"""Tasks: defined once, changed over a revision, every wording kept, archived with their assignments."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.errors import InvalidRequest, NameTaken, NotFound, PreconditionFailed
from fleet.models import Task
from fleet.selectors.robot import desired_state
from fleet.services.assignment import assignment_set
from fleet.services.task import TaskChange, task_create, task_define, task_update
from tests.fleet import builders

pytestmark = pytest.mark.django_db

VALUES: dict[str, Any] = {"slug": "stack", "instruction": "stack it", "driver_task": "stack-v1", "max_steps": 100}


def test_a_task_is_defined_once() -> None:
    task = task_define(**VALUES, success_definition="Both blocks stand.\nNobody holds them.")
    assert (task.revision, task.is_active) == (1, True)
    with pytest.raises(NameTaken):
        task_define(**VALUES)
    assert Task.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instruction", "  "),
        ("instruction", "two\nlines"),
        ("instruction", "turned \u202e around"),
        ("instruction", "x" * 1001),
        ("driver_task", ""),
        ("max_steps", 0),
        ("max_steps", 100_001),
        ("success_definition", "bell \x07"),
        ("target_rate", 1.01),
        ("target_rate", float("nan")),
    ],
)
def test_values_that_no_task_takes(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        task_define(**{**VALUES, field: value})
    assert refused.value.data["field"] == field
    task = task_define(**VALUES)
    with pytest.raises(InvalidRequest):
        task_update(task_id=task.id, change=TaskChange(**{field: value}), revision=1)
    task.refresh_from_db()
    assert (task.revision, task.instruction, task.max_steps) == (1, "stack it", 100)


def test_a_new_instruction_is_a_new_wording_and_reaches_the_robots() -> None:
    task = task_define(**VALUES)
    robot = builders.enrol().robot
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0)
    before = desired_state(robot_id=str(robot.id))
    changed = task_update(task_id=task.id, change=TaskChange(instruction="stack them"), revision=1).task
    task_update(task_id=task.id, change=TaskChange(max_steps=50), revision=changed.revision)
    after = desired_state(robot_id=str(robot.id))
    assert [(w.number, w.instruction) for w in task.wordings.all()] == [(2, "stack them"), (1, "stack it")]
    assert after.revision > before.revision
    assert [(t.instruction, t.max_steps) for t in after.assignments] == [("stack them", 50)]


def test_seeding_twice_keeps_one_wording() -> None:
    for _ in range(2):
        task = task_create(**VALUES)
    assert task.wordings.count() == 1


def test_of_two_who_edit_one_wins() -> None:
    task = task_define(**VALUES)
    task_update(task_id=task.id, change=TaskChange(max_steps=50), revision=1)
    with pytest.raises(PreconditionFailed):
        task_update(task_id=task.id, change=TaskChange(max_steps=60), revision=1)
    task.refresh_from_db()
    assert (task.max_steps, task.revision) == (50, 2)
    with pytest.raises(NotFound):
        task_update(task_id=builders.enrol().robot.id, change=TaskChange(), revision=1)


def test_an_archived_task_ends_its_assignments() -> None:
    task = task_define(**VALUES)
    robots = [builders.enrol().robot for _ in range(2)]
    for robot in robots:
        assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0)
    assert task_update(task_id=task.id, change=TaskChange(is_active=False), revision=1).ended == 2
    assert all(desired_state(robot_id=str(robot.id)).assignments == () for robot in robots)
    assert task_update(task_id=task.id, change=TaskChange(is_active=True), revision=2).ended == 0
    assert desired_state(robot_id=str(robots[0].id)).assignments == (), "it is not assigned by being brought back"
