"""Many robots say Hello at once: each is noted by itself, and none waits for a row that others hold."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any
from unittest.mock import AsyncMock

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from fleet.consumers import links
from fleet.models import Robot
from fleet.services import robot_hello
from fleet.services.robot_hello import Arrival, robot_speaks, robots_hello
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _arrival(robot: Robot, session: str = "s", **hello: Any) -> Arrival:
    return Arrival(str(robot.id), session, builders.hello(**hello))


def test_each_is_noted_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one robot's connections the last counts. A version that nobody knows is none, one that is deleted is left."""
    hints: list[tuple[list[str], set[str]]] = []
    monkeypatch.setattr(robot_hello, "hint_links", lambda ids, newcomers: hints.append((ids, set(newcomers))))
    first, second = builders.enrol().robot, builders.enrol().robot
    gone = Robot(id=uuid.uuid4(), name="gone")
    arrivals = [
        _arrival(first, "old", daemon_version="1"),
        _arrival(second, "b", daemon_version="2", policy_version_id="no id"),
        _arrival(gone),
        _arrival(first, "new", daemon_version="3", policy_version_id=str(uuid.uuid4())),
    ]
    assert robots_hello(arrivals=arrivals) == [True, True, False, True]
    rows = Robot.objects.order_by("daemon_version").values_list(
        "id", "daemon_version", "link_session", "policy_version"
    )
    assert list(rows) == [(second.id, "2", "b", None), (first.id, "3", "new", None)]
    [(ids, newcomers)] = hints
    assert set(ids) == {str(first.id), str(second.id)} and newcomers == {"b", "new"}


def test_robots_that_say_what_they_said_before_cost_no_statement_each() -> None:
    def statements(robots: list[Robot]) -> int:
        arrivals = [_arrival(robot, uuid.uuid4().hex) for robot in robots]
        robots_hello(arrivals=arrivals)  # after this it is known what they are
        with CaptureQueriesContext(connection) as captured:
            assert all(robots_hello(arrivals=arrivals))
        return len(captured)

    robots = [builders.enrol().robot for _ in range(8)]
    assert statements(robots[:1]) == statements(robots)


def test_what_no_column_takes_costs_no_other_robot_its_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together none is noted, and `links` says so: each is then greeted by itself, which only the one cannot be."""
    good, bad = builders.enrol().robot, builders.enrol().robot
    arrivals = [_arrival(good), _arrival(bad, daemon_version="\x00")]
    with pytest.raises(DataError, match="NUL") as refused, transaction.atomic():
        robots_hello(arrivals=arrivals)
    monkeypatch.setattr(links, "off_loop", AsyncMock(side_effect=refused.value))
    assert asyncio.run(links._greet(arrivals)) == [False, False]
    assert robots_hello(arrivals=arrivals[:1], is_waiting=True) == [True]


@pytest.mark.django_db(transaction=True)
def test_a_robot_whose_row_is_held_keeps_nobody_waiting() -> None:
    held, free = builders.enrol().robot, builders.enrol().robot
    is_locked, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Robot.objects.select_for_update().get(id=held.id)
                is_locked.set()
                assert go_on.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_locked.wait(10)
        assert robots_hello(arrivals=[_arrival(held), _arrival(free)]) == [False, True]
        assert robots_hello(arrivals=[_arrival(held)]) == [False]
    finally:
        go_on.set()
        thread.join()
    assert robots_hello(arrivals=[_arrival(held, "later")], is_waiting=True) == [True]
    assert Robot.objects.get(id=held.id).link_session == "later"


def test_the_protocol_of_one_that_is_refused_is_kept() -> None:
    robot = builders.enrol().robot
    robot_speaks(robot_id=str(robot.id), protocol=99)
    robot_speaks(robot_id=str(robot.id), protocol=10**6)  # more than its column holds
    assert Robot.objects.get(id=robot.id).protocol == 99
