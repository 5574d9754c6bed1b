"""Who works at what: hours, priorities, what stands in the way, and what the board suggests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from fleet import live
from fleet.errors import CapabilityMissing, InvalidRequest, RobotRetired, TaskArchived
from fleet.models import AuditEntry, Robot, Task
from fleet.protocol.authority import Mode
from fleet.protocol.recording import Outcome
from fleet.selectors.assignment import Board, assignment_board
from fleet.selectors.robot import desired_state
from fleet.selectors.schedule import Window
from fleet.services.assignment import assignment_set, assignments_sweep
from fleet.services.episode import episode_register
from fleet.services.robot_admin import robot_retire
from fleet.services.task import TaskChange, task_update
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db

WEEK = list(range(7))


def _assigned(robot: Robot, now: datetime | None = None) -> set[str]:
    return {task.slug for task in desired_state(robot_id=str(robot.id), now=now).assignments}


def _connected(*tasks: str) -> Robot:
    robot = builders.enrol().robot
    robot.driver = msgspec.to_builtins(msgspec.structs.replace(builders.driver_info(), tasks=tasks))
    robot.save()
    live.status_put(str(robot.id), "session", builders.status())
    return robot


def _board() -> Board:
    return assignment_board(robots=Robot.objects.all(), tasks=Task.objects.all())


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-27 21:59", False),  # a Friday
        ("2026-11-27 22:00", True),
        ("2026-11-28 05:59", True),  # Friday's night goes on
        ("2026-11-28 06:00", False),
        ("2026-11-28 22:30", False),  # a Saturday is not named
        ("2026-11-27 05:00", False),  # the night before was a Thursday
    ],
)
def test_a_window_over_midnight(at: str, is_open: bool) -> None:
    window = Window(days=(4,), start="22:00", until="06:00")
    assert window.is_open(datetime.fromisoformat(at)) is is_open


def test_hours_are_of_the_named_zone_and_follow_its_summer_time() -> None:
    robot, task = builders.enrol().robot, builders.task()
    window = {"days": WEEK, "from": "09:00", "until": "17:00"}
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0, windows=[window], time_zone="Europe/Berlin")
    assert _assigned(robot, datetime(2026, 1, 15, 8, 30, tzinfo=UTC)) == {task.slug}  # 09:30 in winter
    assert _assigned(robot, datetime(2026, 1, 15, 7, 30, tzinfo=UTC)) == set()
    assert _assigned(robot, datetime(2026, 7, 15, 7, 30, tzinfo=UTC)) == {task.slug}  # 09:30 in summer
    assert _assigned(robot, datetime(2026, 7, 15, 15, 0, tzinfo=UTC)) == set()


def test_only_the_highest_priority_that_counts_is_worked_at() -> None:
    robot = builders.enrol().robot
    day, night = builders.task("day"), builders.task("night")
    assignment_set(robot_id=robot.id, task_id=night.id, weight=1.0)
    window = {"days": WEEK, "from": "08:00", "until": "20:00"}
    assignment_set(robot_id=robot.id, task_id=day.id, weight=1.0, priority=2, windows=[window])
    assert _assigned(robot, datetime(2026, 1, 15, 12, tzinfo=UTC)) == {"day"}
    assert _assigned(robot, datetime(2026, 1, 15, 21, tzinfo=UTC)) == {"night"}


def test_the_sweep_tells_a_robot_once_when_its_hours_begin_and_end() -> None:
    robot, task = builders.enrol().robot, builders.task()
    now = timezone.now()
    begins = (now + timedelta(hours=2)).replace(minute=0)
    window = {"days": WEEK, "from": f"{begins:%H:%M}", "until": f"{begins + timedelta(hours=2):%H:%M}"}
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0, windows=[window])
    before = desired_state(robot_id=str(robot.id)).revision
    assert assignments_sweep() == 0
    assert assignments_sweep(now=begins + timedelta(minutes=1)) == 1
    assert assignments_sweep(now=begins + timedelta(minutes=2)) == 0
    assert assignments_sweep(now=begins + timedelta(hours=3)) == 1
    assert desired_state(robot_id=str(robot.id)).revision == before + 2


def test_the_sweep_sees_hours_beside_work_that_always_counts(django_assert_num_queries: Any) -> None:
    """One task in the day, another fills the night; while nothing is due nothing is locked, however many robots."""
    robots = [builders.enrol().robot for _ in range(3)]
    day, night = builders.task("day"), builders.task("night")
    now = timezone.now()
    begins = (now + timedelta(hours=2)).replace(minute=0)
    window = {"days": WEEK, "from": f"{begins:%H:%M}", "until": f"{begins + timedelta(hours=2):%H:%M}"}
    for robot in robots:
        assignment_set(robot_id=robot.id, task_id=night.id, weight=1.0)
        assignment_set(robot_id=robot.id, task_id=day.id, weight=1.0, priority=1, windows=[window])
    with django_assert_num_queries(2):
        assert assignments_sweep() == 0
    assert assignments_sweep(now=begins + timedelta(minutes=1)) == 3
    assert _assigned(robots[0], begins + timedelta(minutes=1)) == {"day"}


@pytest.mark.parametrize(
    "values",
    [
        {"weight": 0.0},
        {"weight": 1001.0},
        {"priority": 10},
        {"windows": [{"days": [7], "from": "08:00", "until": "09:00"}]},
        {"windows": [{"days": [], "from": "08:00", "until": "09:00"}]},
        {"windows": [{"days": [1], "from": "8:00", "until": "09:00"}]},
        {"windows": [{"days": [1], "from": "08:00"}]},
        {"windows": [{"days": [1], "from": "08:00", "until": "09:00", "extra": 1}]},
        {"windows": [{"days": [1], "from": "08:00", "until": "09:00"}] * 21},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../etc/passwd"},
        {"time_zone": ""},
    ],
)
def test_values_that_no_assignment_takes(values: dict[str, Any]) -> None:
    robot, task = builders.enrol().robot, builders.task()
    with pytest.raises(InvalidRequest):
        assignment_set(robot_id=robot.id, task_id=task.id, **{"weight": 1.0, **values})
    assert _assigned(robot) == set()


@pytest.mark.parametrize("windows", [[], [{"days": [0, 4], "from": "08:00", "until": "17:00"}]])
def test_the_same_work_again_changes_nothing(windows: list[dict[str, Any]]) -> None:
    """No entry in the audit log, no new revision for the robot to fetch."""
    robot, task = builders.enrol().robot, builders.task()
    entries = AuditEntry.objects.filter(action="assignment.set")
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0, windows=windows)
    robot.refresh_from_db()
    told = robot.state_revision
    assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0, windows=windows)
    robot.refresh_from_db()
    assert robot.state_revision == told
    assignment_set(robot_id=robot.id, task_id=task.id, weight=2.0, windows=windows)
    newest, first = entries.order_by("-at")
    assert (newest.before, newest.after) == ({"weight": 1.0}, {"weight": 2.0})
    assert first.before == {}


def test_refusals_say_what_stands_in_the_way() -> None:
    robot, task = _connected("other"), builders.task()
    with pytest.raises(CapabilityMissing, match="does not offer 'box-close'; it offers other"):
        assignment_set(robot_id=robot.id, task_id=task.id, weight=1.0)
    able = _connected("box-close")
    task_update(task_id=task.id, change=TaskChange(is_active=False), revision=task.revision)
    with pytest.raises(TaskArchived):
        assignment_set(robot_id=able.id, task_id=task.id, weight=1.0)
    robot_retire(robot_id=able.id)
    with pytest.raises(RobotRetired):
        assignment_set(robot_id=able.id, task_id=task.id, weight=1.0)


def test_the_board_explains_what_does_nothing() -> None:
    now = timezone.now()
    robot = _connected("box-close", "stack")
    box, stack = builders.task("box-close"), builders.task("stack")
    later = now + timedelta(hours=3)
    window = {"days": WEEK, "from": f"{later:%H:%M}", "until": f"{later + timedelta(hours=1):%H:%M}"}
    assignment_set(robot_id=robot.id, task_id=box.id, weight=1.0, windows=[window])
    assignment_set(robot_id=robot.id, task_id=stack.id, weight=1.0, priority=-1)
    (entry,) = _board().robots
    assert {cell.assignment.task.slug: cell.problem and cell.problem.code for cell in entry.cells} == {
        "box-close": "outside_hours",
        "stack": None,
    }
    assert entry.problem is None
    assignment_set(robot_id=robot.id, task_id=box.id, weight=1.0)
    (entry,) = _board().robots
    assert [(cell.problem and cell.problem.code, cell.is_active) for cell in entry.cells] == [
        (None, True),
        ("outranked", False),
    ]
    Robot.objects.update(is_paused=True)
    assert [entry.problem and entry.problem.code for entry in _board().robots] == ["paused"]


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.STOPPED])
def test_a_robot_that_stands_still_does_not_work_and_helps_no_task(mode: Mode) -> None:
    robot = _connected("box-close")
    builders.task("box-close")
    assert [suggestion.robot.id for suggestion in _board().suggestions] == [robot.id]
    live.status_put(str(robot.id), "session", builders.status(mode=mode))
    board = _board()
    assert [entry.problem and entry.problem.code for entry in board.robots] == ["stands_still"]
    assert board.suggestions == ()


def test_the_task_known_least_well_gets_the_robot_with_least_to_do(objects: LocalStore) -> None:
    busy, idle = _connected("box-close", "stack"), _connected("box-close", "stack")
    box, stack = builders.task("box-close"), builders.task("stack")
    assignment_set(robot_id=busy.id, task_id=stack.id, weight=1.0)
    for outcome in [Outcome.SUCCESS] * 3 + [Outcome.FAILURE]:
        for task, times in ((stack, 1), (box, 4)):
            for _ in range(times):
                manifest, files = builders.episode(task, busy, outcome=outcome)
                builders.store(manifest, files)
                episode_register(robot_id=str(busy.id), manifest=manifest, uploaded_ns=None)
    board = _board()
    assert {each.task.slug: (each.success.successes, each.success.n) for each in board.tasks if each.success} == {
        "box-close": (12, 16),
        "stack": (3, 4),
    }
    first, second = board.suggestions
    assert (first.task, first.robot) == (stack, idle)
    assert first.text == f"stack has the widest interval (0.30 to 0.95, n = 4): give it {idle.name}."
    assert (second.task, second.robot) == (box, busy), "no robot is suggested twice"
