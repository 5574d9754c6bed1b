"""What robots do over time is recorded without gaps, from heartbeats, goodbyes and silence."""

from __future__ import annotations

import itertools
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet import live
from fleet.models import Robot, RobotStateInterval
from fleet.protocol import messages as m
from fleet.protocol.authority import Mode
from fleet.services.robot_hello import Arrival, robots_hello
from fleet.services.robot_seen import Beat, Seen, robots_gone, robots_seen
from fleet.services.robot_state import State, robot_state_note, robot_state_of, robot_states_sweep, silence_s
from tests.fleet import builders

pytestmark = pytest.mark.django_db
T0 = timezone.now().replace(microsecond=0)


def _rows(robot: Robot) -> list[tuple[str, float, float | None]]:
    def seconds(at: datetime | None) -> float | None:
        return (at - T0).total_seconds() if at is not None else None

    found = RobotStateInterval.objects.filter(robot=robot).order_by("started_at", "id")
    return [(row.state, seconds(row.started_at) or 0.0, seconds(row.ended_at)) for row in found]


def _note(robot: Robot, state: State, second: float) -> None:
    robot_state_note(robot_id=robot.id, state=state, now=T0 + timedelta(seconds=second))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.WORKING),
        ({"activity": "resetting"}, State.WORKING),
        ({"mode": Mode.TELEOP}, State.WORKING),
        ({"activity": "idle"}, State.WAITING),
        ({"activity": "waiting_policy"}, State.WAITING),
        ({"activity": "spool_full"}, State.WAITING),
        ({"mode": Mode.PAUSED}, State.WAITING),
        ({"activity": "error"}, State.BLOCKED),
        ({"mode": Mode.STOPPED}, State.BLOCKED),
        ({"mode": Mode.PAUSED, "help": m.HelpSignal(reason=m.HelpReason.PAUSED, score=1.0, since_ns=1)}, State.BLOCKED),
        ({"help": m.HelpSignal(reason=m.HelpReason.UNCERTAIN, score=1.0, since_ns=1)}, State.WORKING),
    ],
)
def test_what_a_status_counts_as(changes: dict[str, Any], state: State) -> None:
    assert robot_state_of(builders.status(**changes)) is state


def test_intervals_follow_each_other(settings: Any) -> None:
    robot = builders.enrol().robot
    for state, second in ((State.WORKING, 0), (State.WORKING, 8), (State.BLOCKED, 15), (State.WORKING, 30)):
        _note(robot, state, second)
    assert _rows(robot) == [("working", 0, 15), ("blocked", 15, 30), ("working", 30, None)]


def test_a_state_that_flickers_makes_few_rows() -> None:
    robot = builders.enrol().robot
    for second in range(60):
        _note(robot, State.WORKING if second % 2 else State.WAITING, second)
    rows = _rows(robot)
    assert len(rows) <= 13 and all(a[2] == b[1] for a, b in itertools.pairwise(rows))


def test_silence_is_offline_since_the_last_heartbeat(settings: Any) -> None:
    """Whether the sweep or the robot's return is first to notice."""
    swept, back = builders.enrol().robot, builders.enrol().robot
    for robot in (swept, back):
        _note(robot, State.WORKING, 0)
        _note(robot, State.WORKING, 10)
    later = 10 + silence_s() + 1
    robot_states_sweep(now=T0 + timedelta(seconds=later - 2))
    assert _rows(swept) == [("working", 0, None)]
    _note(back, State.WAITING, later)
    robot_states_sweep(now=T0 + timedelta(seconds=later))
    assert _rows(swept) == [("working", 0, 10), ("offline", 10, None)]
    assert _rows(back) == [("working", 0, 10), ("offline", 10, later), ("waiting", later, None)]


def test_old_rows_go(settings: Any) -> None:
    settings.SOP_ROBOT_STATE_DAYS = 1
    robot = builders.enrol().robot
    for state, second in ((State.WORKING, 0), (State.BLOCKED, 15), (State.BLOCKED, 20)):
        _note(robot, state, second)
    robot_states_sweep(now=T0 + timedelta(days=1, seconds=16))
    assert [row[0] for row in _rows(robot)] == ["blocked", "offline"]


def test_heartbeats_and_goodbyes_of_a_connection_are_recorded() -> None:
    """A goodbye of a connection that was replaced says nothing."""
    robot = builders.enrol().robot
    robots_hello(arrivals=[Arrival(str(robot.id), "one", builders.hello())])
    for activity in ("running", "running"):
        status = builders.status(activity=activity)
        [seen] = robots_seen(beats=[Beat(str(robot.id), "one", status)])
        assert seen == Seen(1)
    robots_hello(arrivals=[Arrival(str(robot.id), "two", builders.hello())])
    assert robots_gone(sessions=[(str(robot.id), "one")]) == [False]
    assert [row[0] for row in _rows(robot)] == ["working"]
    assert robots_gone(sessions=[(str(robot.id), "two")]) == [False]
    assert [row[0] for row in _rows(robot)] == ["working", "offline"]
    live.status_clear(robot.id, "one")


def test_a_robot_that_was_removed_has_no_states() -> None:
    robot_state_note(robot_id=uuid.uuid4(), state=State.WORKING)
    assert not RobotStateInterval.objects.exists()
