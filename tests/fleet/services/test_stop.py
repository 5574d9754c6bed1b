"""Stops: in force until a person who may clears them by name, and each counted once."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from fleet.errors import ClearForbidden, InvalidRequest, NotFound
from fleet.models import Robot, RobotStop
from fleet.protocol.authority import Source
from fleet.protocol.messages import DesiredState, StopInfo
from fleet.selectors import robot as selectors
from fleet.selectors.robot import desired_state
from fleet.selectors.robot_card import robot_cards
from fleet.services.lease import lease_grant
from fleet.services.stop import stop_clear, stop_confirm, stop_register, stops_cleared_at_robot
from tests.fleet import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def robot() -> Robot:
    return builders.enrol().robot


@pytest.fixture
def manager(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("max", is_staff=True)


def _stop(**changes: Any) -> StopInfo:
    stop = StopInfo(stop_id=str(uuid.uuid4()), by="ann", reason="too fast", at_ns=10**18)
    return msgspec.structs.replace(stop, **changes)


def _state(robot: Robot) -> DesiredState:
    return desired_state(robot_id=str(robot.id))


def test_stop_is_part_of_the_desired_state_until_cleared(robot: Robot, manager: Any) -> None:
    before, stop = _state(robot), _stop()
    stop_register(robot_id=robot.id, stop=stop, user=manager)
    stopped = _state(robot)
    assert (before.stop, stopped.stop, stopped.cleared_stop_id) == (None, stop, None)
    stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=manager)
    cleared = _state(robot)
    assert (cleared.stop, cleared.cleared_stop_id) == (None, stop.stop_id)
    assert before.revision < stopped.revision < cleared.revision


@pytest.mark.parametrize("asked", ["stops_in_force", "stops_cleared_newest"])
def test_no_stop_is_in_force_and_cleared_at_once(
    robot: Robot, manager: Any, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Somebody clears it while the state is read: after one question of the two, whichever came first."""
    stop, read = _stop(), getattr(selectors, asked)
    stop_register(robot_id=robot.id, stop=stop, user=manager)

    def read_then_cleared(**values: Any) -> Any:
        found = read(**values)
        stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=manager)
        return found

    monkeypatch.setattr(selectors, asked, read_then_cleared)
    state = _state(robot)
    assert state.cleared_stop_id is None or state.stop is None


def test_copy_of_a_stop_stops_nobody_again(robot: Robot, manager: Any) -> None:
    """A stop goes over the websocket and the data channel; the second copy may come after the clearing."""
    stop = _stop()
    first = stop_register(robot_id=robot.id, stop=stop, user=manager)
    stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=manager)
    revision = _state(robot).revision
    assert stop_register(robot_id=robot.id, stop=stop).id == first.id
    assert (_state(robot).stop, _state(robot).revision) == (None, revision)


def test_clearing_takes_the_earlier_stops_along_and_no_later_one(robot: Robot, manager: Any) -> None:
    first, second, third = (_stop(by=name) for name in ("ann", "ben", "cem"))
    for stop in (first, second, third):
        stop_register(robot_id=robot.id, stop=stop)
    stop_clear(robot_id=robot.id, stop_id=second.stop_id, user=manager)
    state = _state(robot)
    assert (state.stop, state.cleared_stop_id) == (third, second.stop_id)
    stop_clear(robot_id=robot.id, stop_id=third.stop_id, user=manager)
    assert (_state(robot).stop, _state(robot).cleared_stop_id) == (None, third.stop_id)
    assert RobotStop.objects.filter(cleared_by=manager).count() == 3


def test_clearing_again_tells_the_robot_again(robot: Robot, manager: Any) -> None:
    """Given two stops cleared while the robot was away, the one that it still reports can be cleared once more."""
    first, second = _stop(), _stop()
    for stop in (first, second):
        stop_register(robot_id=robot.id, stop=stop)
        stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=manager)
    revision = _state(robot).revision
    stop_clear(robot_id=robot.id, stop_id=first.stop_id, user=manager)
    assert (_state(robot).cleared_stop_id, _state(robot).revision) == (first.stop_id, revision + 1)


def test_holder_clears_others_do_not(robot: Robot, django_user_model: Any) -> None:
    ann, ben = (django_user_model.objects.create_user(name) for name in ("ann", "ben"))
    stop = _stop()
    stop_register(robot_id=robot.id, stop=stop, user=ann)
    with pytest.raises(ClearForbidden):  # nobody drives, so nobody but a manager
        stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=ann)
    lease_grant(robot_id=robot.id, source=Source.PERSON, operator="ben", user=ben)
    with pytest.raises(ClearForbidden):
        stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=ann)
    assert _state(robot).stop == stop
    stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=ben)
    assert _state(robot).stop is None


def test_one_id_may_stop_several_robots(robot: Robot, manager: Any) -> None:
    other, stop = builders.enrol().robot, _stop()
    for stopped in (robot, other):
        stop_register(robot_id=stopped.id, stop=stop, user=manager)
    stop_clear(robot_id=robot.id, stop_id=stop.stop_id, user=manager)
    assert (_state(robot).stop, _state(other).stop) == (None, stop)


def test_nonsense_is_refused_and_nothing_is_written(robot: Robot, manager: Any) -> None:
    with pytest.raises(InvalidRequest):
        stop_register(robot_id=robot.id, stop=_stop(stop_id="no id"))
    with pytest.raises(NotFound):
        stop_register(robot_id=uuid.uuid4(), stop=_stop())
    with pytest.raises(NotFound):
        stop_clear(robot_id=robot.id, stop_id=str(uuid.uuid4()), user=manager)
    assert RobotStop.objects.count() == 0


@pytest.mark.parametrize("at_ns", [-(2**62), 2**62, 0])
def test_robot_s_clock_and_texts_may_be_anything(robot: Robot, at_ns: int) -> None:
    row = stop_register(robot_id=robot.id, stop=_stop(by="a\x00" * 500, reason="\x00", at_ns=at_ns))
    assert (len(row.by), row.reason) == (200, "")
    assert _state(robot).stop is not None


def test_card_shows_what_was_asked_until_the_robot_says_it(robot: Robot) -> None:
    stop = _stop()
    stop_register(robot_id=robot.id, stop=stop)
    card = robot_cards(robot_ids=[str(robot.id)])[0]
    assert card.stop is not None
    assert (card.stop.stop_id, card.stop.by, card.stop.at_ms, card.stop.is_confirmed) == (
        stop.stop_id,
        "ann",
        10**12,
        False,
    )


def test_stop_that_was_cleared_at_the_robot_is_closed_with_those_before_it(robot: Robot, manager: Any) -> None:
    """One that the robot never confirmed is still on its way, and stays."""
    Robot.objects.update(link_session="now")
    first, second, later = _stop(), _stop(), _stop()
    stop_register(robot_id=robot.id, stop=first, user=manager)
    stop_confirm(robot_id=robot.id, stop=second)
    stop_register(robot_id=robot.id, stop=later, user=manager)
    assert stops_cleared_at_robot(robot_id=robot.id, session_id="before") == 0, "an older connection says nothing"
    assert stops_cleared_at_robot(robot_id=robot.id, session_id="now") == 2
    assert stops_cleared_at_robot(robot_id=robot.id, session_id="now") == 0
    state = _state(robot)
    assert (state.stop, state.cleared_stop_id) == (later, second.stop_id)
    assert RobotStop.objects.filter(cleared_at__isnull=False, cleared_by__isnull=True).count() == 2
