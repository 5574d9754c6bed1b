"""Door: a few robots at a time, in their order; who would wait for too long is sent away."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fleet.consumers import door as doors
from fleet.consumers import links
from fleet.consumers.door import Door, DoorBusy, Turn
from fleet.protocol import messages as m
from fleet.services.enrolment import Enrolled
from tests.fleet import builders
from tests.fleet.consumers.peers import RobotPeer


async def test_turns_come_in_order_and_each_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "GREETING_S", 60.0)
    door, came = Door(at_once=2, most_wait_s=60.0), []

    async def robot(number: int) -> Turn:
        turn = await door.turn()
        came.append(number)
        return turn

    robots = [asyncio.create_task(robot(number)) for number in range(4)]
    first, _ = [await robots[number] for number in range(2)]
    await asyncio.sleep(0.01)
    assert came == [0, 1]
    first.over()
    first.over()  # must not let two in
    await robots[2]
    await asyncio.sleep(0.01)
    assert came == [0, 1, 2]
    robots[3].cancel()


async def test_who_waits_for_too_long_is_told_and_costs_no_turn() -> None:
    door = Door(at_once=1, most_wait_s=0.05)
    turn = await door.turn()
    with pytest.raises(DoorBusy):
        await door.turn()
    turn.over()
    (await door.turn()).over()


async def test_a_robot_that_says_nothing_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "GREETING_S", 0.05)
    door = Door(at_once=1, most_wait_s=10.0)
    await door.turn()
    (await door.turn()).over()


@pytest.mark.django_db(transaction=True)
def test_a_full_door_answers_503_and_every_greeting_ends_its_own_turn(
    server: str, enrolled: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "GREETING_S", 1.0)
    monkeypatch.setattr(links, "Door", lambda: Door(at_once=1, most_wait_s=0.3))
    with ExitStack() as exits:
        exits.enter_context(_dialled(server, enrolled, enrolled.key))  # says nothing
        with pytest.raises(InvalidStatus) as refused:
            _dialled(server, enrolled, enrolled.key)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "5"
        monkeypatch.setattr(doors, "GREETING_S", 60.0)
        greeted = RobotPeer(exits.enter_context(_dialled_again(server, enrolled)), builders.hello())
        greeted.expect(m.Welcome)
        for key in (enrolled.key, "wrong", enrolled.key, "wrong", enrolled.key):
            peer = RobotPeer(exits.enter_context(_dialled(server, enrolled, key)), builders.hello())
            if key == "wrong":
                assert peer.closed_with() == ("unauthorised", 4401)
            else:
                peer.expect(m.Welcome)


def _dialled(server: str, enrolled: Enrolled, key: str) -> ClientConnection:
    headers = {"Authorization": f"Bearer {enrolled.robot.id}.{key}"}
    return connect(f"ws://{server}/ws/robot", additional_headers=headers)


def _dialled_again(server: str, enrolled: Enrolled) -> ClientConnection:
    """Dial as a daemon does: 503 is tried again."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return _dialled(server, enrolled, enrolled.key)
        except InvalidStatus as error:
            assert error.response.status_code == 503 and time.monotonic() < deadline
