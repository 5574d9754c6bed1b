"""The assignment board: who works at what, what stands in the way, and which robot would help which task most."""

from __future__ import annotations

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from fleet import live
from fleet.coverage import WHOLE, Coverage
from fleet.models import Assignment, Episode, Robot, Task
from fleet.protocol.authority import Mode
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.schedule import assignments_active, is_open
from fleet.selectors.success import Rate, wilson

EVIDENCE = timedelta(days=7)  # how far back success counts as evidence of today's policy
NARROW = 0.10  # half of an interval that is narrow enough to leave a task alone
MAX_SUGGESTIONS = 5


@dataclass(frozen=True)
class Problem:
    """Why an assignment or a robot does nothing now. `code` is for programs, `text` for people."""

    code: str
    text: str


@dataclass(frozen=True)
class BoardCell:
    assignment: Assignment
    is_active: bool
    problem: Problem | None


@dataclass(frozen=True)
class BoardRobot:
    """`can`: slugs of the tasks that its driver offers, None while it has never connected."""

    robot: Robot
    is_online: bool
    can: tuple[str, ...] | None
    cells: tuple[BoardCell, ...]
    problem: Problem | None


@dataclass(frozen=True)
class BoardTask:
    """`success`: autonomous success of the last 7 days, None without an episode."""

    task: Task
    success: Rate | None


@dataclass(frozen=True)
class Suggestion:
    """Give `task` the robot: its success is known least well, and the robot has least to do of those that can."""

    task: Task
    robot: Robot
    success: Rate | None
    text: str


@dataclass(frozen=True)
class Board:
    robots: tuple[BoardRobot, ...]
    tasks: tuple[BoardTask, ...]
    suggestions: tuple[Suggestion, ...]


def robot_can(robot: Robot, task: Task) -> bool | None:
    """Whether the robot's driver offers the task; None if it has never said."""
    if not robot.driver:
        return None
    return task.driver_task in robot.driver.get("tasks", ())


def assignment_board(
    *, robots: QuerySet[Robot], tasks: QuerySet[Task], coverage: Coverage = WHOLE, now: datetime | None = None
) -> Board:
    """Return the board of the robots and tasks that somebody may see, without retired robots and archived tasks.

    Success counts the covered episodes.
    """
    at = now or timezone.now()
    shown = list(robots.filter(retired_at__isnull=True).order_by("name"))
    offered = list(tasks.filter(is_active=True).order_by("slug"))
    rows: dict[uuid.UUID, list[Assignment]] = defaultdict(list)
    found = Assignment.objects.filter(ended_at__isnull=True, robot__in=shown, task__in=offered)
    for row in found.select_related("task").order_by("task__slug"):
        rows[row.robot_id].append(row)
    statuses = live.statuses_get([robot.id for robot in shown])
    board = [_robot(robot, status, rows[robot.id], offered, at) for robot, status in zip(shown, statuses, strict=True)]
    rates = _rates(offered, at, coverage)
    return Board(
        robots=tuple(board),
        tasks=tuple(BoardTask(task, rates.get(task.id)) for task in offered),
        suggestions=tuple(_suggestions(board, offered, rates)),
    )


def _robot(
    robot: Robot, status: live.LiveStatus | None, rows: Sequence[Assignment], offered: Iterable[Task], now: datetime
) -> BoardRobot:
    active = assignments_active(rows, now=now) if robot.is_approved else []
    can = None if not robot.driver else tuple(task.slug for task in offered if robot_can(robot, task))
    cells = tuple(BoardCell(row, row in active, _cell_problem(robot, row, active, now)) for row in rows)
    return BoardRobot(robot, status is not None, can, cells, _robot_problem(robot, status, active))


def _cell_problem(robot: Robot, row: Assignment, active: Sequence[Assignment], now: datetime) -> Problem | None:
    if robot_can(robot, row.task) is False:
        return Problem("capability_missing", f"The driver does not offer '{row.task.driver_task}'.")
    if not is_open(row, now=now):
        return Problem("outside_hours", "Outside its hours.")
    if active and row not in active:
        names = ", ".join(other.task.slug for other in active)
        return Problem("outranked", f"Waits: {names} has priority {active[0].priority}, this has {row.priority}.")
    return None


def _robot_problem(robot: Robot, status: live.LiveStatus | None, active: Sequence[Assignment]) -> Problem | None:
    if not robot.is_approved:
        return Problem("needs_approval", "Waits for approval: it gets no work.")
    if status is None:
        return Problem("offline", "Not connected.")
    if robot.is_paused:
        return Problem("paused", "Paused.")
    if status.status.mode in (Mode.PAUSED, Mode.STOPPED):
        return Problem("stands_still", "Stands still until somebody looks after it.")
    if not active:
        return Problem("nothing_to_do", "Nothing to do now.")
    return None


def _rates(tasks: Sequence[Task], now: datetime, coverage: Coverage) -> dict[uuid.UUID, Rate]:
    online = Episode.objects.filter(coverage.episodes(), origin=Origin.ONLINE.value)
    ended = online.filter(ended_at__gt=now - EVIDENCE, task__in=tasks)
    terminated = ended.exclude(outcome=Outcome.ABORTED.value)
    counts = terminated.values("task_id").annotate(
        n=Count("id"), won=Count("id", filter=Q(outcome=Outcome.SUCCESS.value, human_steps=0))
    )
    return {row["task_id"]: wilson(successes=row["won"], n=row["n"]) for row in counts.order_by()}


def _suggestions(
    board: Sequence[BoardRobot], tasks: Sequence[Task], rates: dict[uuid.UUID, Rate]
) -> Iterable[Suggestion]:
    """Yield a robot for each task whose interval is wide, the widest first, no robot twice."""
    load = Counter({entry.robot.id: sum(cell.is_active for cell in entry.cells) for entry in board})
    given: set[uuid.UUID] = set()
    for task in sorted(tasks, key=lambda task: (-_half(rates.get(task.id)), task.slug)):
        success = rates.get(task.id)
        if _half(success) <= NARROW or len(given) >= MAX_SUGGESTIONS:
            return
        free = [entry for entry in board if entry.robot.id not in given and _would_help(entry, task)]
        if not free:
            continue
        best = min(free, key=lambda entry: (load[entry.robot.id], entry.robot.name)).robot
        given.add(best.id)
        yield Suggestion(task, best, success, _words(task, best, success))


def _half(success: Rate | None) -> float:
    return math.inf if success is None else (success.high - success.low) / 2


def _would_help(entry: BoardRobot, task: Task) -> bool:
    works_at_it = any(cell.assignment.task_id == task.id for cell in entry.cells)
    is_ready = entry.problem is None or entry.problem.code == "nothing_to_do"
    return is_ready and not works_at_it and robot_can(entry.robot, task) is True


def _words(task: Task, robot: Robot, success: Rate | None) -> str:
    if success is None:
        return f"{task.slug} has no episode of the last 7 days: give it {robot.name}."
    interval = f"{success.low:.2f} to {success.high:.2f}, n = {success.n}"
    return f"{task.slug} has the widest interval ({interval}): give it {robot.name}."
