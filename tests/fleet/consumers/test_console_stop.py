"""Stops over consoles' sockets: to the robot at once, also when the database is away, and cleared by whom it may be."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from fleet.consumers import console, console_stop, help_watch
from fleet.models import Robot, RobotStop
from fleet.protocol import messages as m
from fleet.services.enrolment import Enrolled
from tests.fleet.consumers.peers import ConsolePeer, RobotPeer, console_peer, cookie_of, joined_robot


def _card(page: ConsolePeer, wanted: Callable[[m.RobotCard], bool]) -> m.RobotCard:
    while True:
        for card in page.expect(m.RobotsChanged).robots:
            if wanted(card):
                return card


def _is_soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not (is_true := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_true


def _away(*_: object, **__: object) -> None:
    raise OperationalError("the database is away")


def test_anyone_stops_and_the_robot_hears_it_twice(
    server: str, ben: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    """At once, and with the state that is sent until the robot has it."""
    stop_id = str(uuid.uuid4())
    with console_peer(server, cookie_of(ben)) as page:
        page.expect(m.ConsoleSnapshot)
        assert page.ask(m.ConsoleStop, enrolled.robot.id, stop_id=stop_id.upper(), reason="smoke").code == ""
        stop = online.expect(m.StopRobot).stop
        assert (stop.stop_id, stop.by, stop.reason) == (stop_id, "ben", "smoke")
        assert abs(stop.at_ns - time.time_ns()) < 5e9
        state = online.expect(m.StateChanged).state
        assert state.stop is not None and state.stop.stop_id == stop_id
        card = _card(page, lambda card: card.stop is not None).stop
        assert card is not None and (card.stop_id, card.is_confirmed) == (stop_id, False)
        online.beat(stop=stop)
        card = _card(page, lambda card: card.stop is not None and card.stop.is_confirmed).stop
        assert card is not None and (card.stop_id, card.by) == (stop_id, "ben")
    row = RobotStop.objects.get()
    assert (row.user, row.by, str(row.stop_id)) == (ben, "ben", stop_id)


def test_repeated_stop_is_one_stop(server: str, ann: Any, enrolled: Enrolled, online: RobotPeer) -> None:
    stop_id = str(uuid.uuid4())
    with console_peer(server, cookie_of(ann)) as page:
        for _ in range(3):
            assert page.ask(m.ConsoleStop, enrolled.robot.id, stop_id=stop_id).code == ""
    assert RobotStop.objects.count() == 1


def test_holder_or_manager_clears_by_name(
    server: str, ann: Any, ben: Any, manager: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    robot_id, first, second = enrolled.robot.id, str(uuid.uuid4()), str(uuid.uuid4())
    with (
        console_peer(server, cookie_of(ann)) as holder,
        console_peer(server, cookie_of(ben)) as other,
        console_peer(server, cookie_of(manager)) as admin,
    ):
        assert holder.ask(m.ConsoleAcquire, robot_id).code == ""
        assert other.ask(m.ConsoleStop, robot_id, stop_id=first).code == ""
        assert other.ask(m.ConsoleClear, robot_id, stop_id=first).code == "clear_forbidden"
        assert holder.ask(m.ConsoleClear, robot_id, stop_id=second).code == "not_found"
        assert holder.ask(m.ConsoleClear, robot_id, stop_id="no id").code == "invalid_request"
        assert holder.ask(m.ConsoleRenew, robot_id, epoch=1).code == ""  # the lease outlives the stop
        assert holder.ask(m.ConsoleClear, robot_id, stop_id=first).code == ""
        while (state := online.expect(m.StateChanged).state).cleared_stop_id is None:
            pass
        assert (state.stop, state.cleared_stop_id) == (None, first)
        assert other.ask(m.ConsoleStop, robot_id, stop_id=second).code == ""
        assert admin.ask(m.ConsoleClear, robot_id, stop_id=second).code == ""
    assert [row.cleared_by.username for row in RobotStop.objects.order_by("id") if row.cleared_by] == ["ann", "max"]


def test_stop_that_the_robot_reports_can_be_cleared(
    server: str, manager: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    """As one that came over the data channel alone."""
    stop = m.StopInfo(stop_id=str(uuid.uuid4()), by="cem", reason="", at_ns=time.time_ns())
    with console_peer(server, cookie_of(manager)) as page:
        page.expect(m.ConsoleSnapshot)
        online.beat(stop=stop)
        card = _card(page, lambda card: card.stop is not None).stop
        assert card is not None and (card.by, card.is_confirmed) == ("cem", True)
        while (state := online.expect(m.StateChanged).state).stop is None:
            pass
        assert state.stop.stop_id == stop.stop_id
        assert page.ask(m.ConsoleClear, enrolled.robot.id, stop_id=stop.stop_id).code == ""
        while online.expect(m.StateChanged).state.cleared_stop_id != stop.stop_id:
            pass
        online.beat()
        assert _card(page, lambda card: card.stop is None).is_online
    row = RobotStop.objects.get()
    assert (row.user, row.by, row.cleared_by) == (None, "cem", manager)


def test_stop_that_is_cleared_at_the_robot_leaves_the_card(
    server: str, ann: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    """Also while the robot was away: it had confirmed the stop before."""
    with console_peer(server, cookie_of(ann)) as page:
        page.expect(m.ConsoleSnapshot)
        for _ in range(2):
            page.ask(m.ConsoleStop, enrolled.robot.id, stop_id=str(uuid.uuid4()))
            online.beat(stop=online.expect(m.StopRobot).stop)
            assert _card(page, lambda card: card.stop is not None and card.stop.is_confirmed).is_online
            online.beat()
            assert _card(page, lambda card: card.stop is None).is_online
    with console_peer(server, cookie_of(ann)) as page:
        page.ask(m.ConsoleStop, enrolled.robot.id, stop_id=str(uuid.uuid4()))
        online.beat(stop=online.expect(m.StopRobot).stop)
        assert _is_soon(lambda: not RobotStop.objects.filter(confirmed_at__isnull=True).exists())
        with joined_robot(server, enrolled) as again:
            again.beat()
            while again.expect(m.StateChanged).state.stop is not None:
                pass
    assert RobotStop.objects.filter(cleared_at__isnull=False, cleared_by__isnull=True).count() == 3


def test_robot_that_reports_nonsense_is_told_and_lives(server: str, enrolled: Enrolled, online: RobotPeer) -> None:
    online.beat(stop=m.StopInfo(stop_id="no id", by="", at_ns=2**62))
    fault = online.expect(m.Fault)
    assert (fault.code, fault.is_fatal) == ("invalid_request", False)
    online.beat()
    online.expect(m.HeartbeatAck)
    assert RobotStop.objects.count() == 0


def test_stop_reaches_the_robot_while_its_row_is_locked(
    server: str, ann: Any, enrolled: Enrolled, online: RobotPeer
) -> None:
    """Given a transaction that holds the row, and a request of this page that waits for it, the stop goes past both."""
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Robot.objects.select_for_update().get(pk=enrolled.robot.pk)
            locked.set()
            done.wait(timeout=10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        with console_peer(server, cookie_of(ann)) as page:
            assert locked.wait(timeout=5)
            waiting = page.request(m.ConsoleAcquire, enrolled.robot.id)
            stopping = page.request(m.ConsoleStop, enrolled.robot.id, stop_id=str(uuid.uuid4()))
            assert online.expect(m.StopRobot, timeout_s=2).stop.by == "ann"
            assert not done.is_set() and RobotStop.objects.count() == 0
            done.set()
            assert (page.reply(stopping).code, page.reply(waiting).code) == ("", "")
    finally:
        done.set()
        holder.join(timeout=10)
    assert RobotStop.objects.count() == 1


def test_stop_goes_past_a_question_that_the_database_does_not_answer(
    server: str, ann: Any, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(console, "access_training_run_by_id", lambda user, run_id: answered.wait(timeout=10))
    try:
        with console_peer(server, cookie_of(ann)) as page:
            page.watch(str(uuid.uuid4()))
            page.request(m.ConsoleStop, enrolled.robot.id, stop_id=str(uuid.uuid4()))
            assert online.expect(m.StopRobot, timeout_s=3).stop.by == "ann"
    finally:
        answered.set()


def test_stop_is_noted_although_the_request_for_help_fails(
    enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(help_watch, "help_seen", _away)
    monkeypatch.setattr(help_watch, "help_is_news", lambda **_: True)
    stop = m.StopInfo(stop_id=str(uuid.uuid4()), by="cem", at_ns=time.time_ns())
    online.beat(stop=stop)
    while (state := online.expect(m.StateChanged).state).stop is None:
        pass
    assert state.stop.stop_id == stop.stop_id


def test_stop_works_without_the_database(
    server: str, ann: Any, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The robot stops; the page hears that the row is missing; the robot's report brings it."""
    stop_id = str(uuid.uuid4())
    with console_peer(server, cookie_of(ann)) as page:
        page.expect(m.ConsoleSnapshot)
        monkeypatch.setattr(console_stop, "_check_access", _away)
        monkeypatch.setattr(console_stop, "_register", _away)
        assert page.ask(m.ConsoleStop, enrolled.robot.id, stop_id=stop_id).code == "stop_unrecorded"
    stop = online.expect(m.StopRobot).stop
    assert (stop.stop_id, RobotStop.objects.count()) == (stop_id, 0)
    online.beat(stop=stop)
    while online.expect(m.StateChanged).state.stop is None:
        pass
    assert RobotStop.objects.get().by == "ann"


def test_stop_is_recorded_without_the_channel_layer(
    server: str, ann: Any, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ConnectionError("the layer is away")

    with console_peer(server, cookie_of(ann)) as page:
        monkeypatch.setattr(console_stop, "send_to_robot", fail)
        assert page.ask(m.ConsoleStop, enrolled.robot.id, stop_id=str(uuid.uuid4())).code == ""
    while online.expect(m.StateChanged).state.stop is None:
        pass


@pytest.mark.parametrize("way", ["no robot", "no robot id", "no stop id", "signed out"])
def test_refused_stop_stops_nobody(
    server: str, ann: Any, enrolled: Enrolled, online: RobotPeer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(console_stop, "CHECK_S", 5.0)  # a busy machine may take longer, and then it is not refused
    robot_id: object = {"no robot": uuid.uuid4(), "no robot id": "?"}.get(way, enrolled.robot.id)
    stop_id = "?" if way == "no stop id" else str(uuid.uuid4())
    codes = {"no robot": "not_found", "signed out": "unauthorised"}
    with console_peer(server, cookie_of(ann)) as page:
        page.expect(m.ConsoleSnapshot)
        if way == "signed out":
            type(ann).objects.update(is_active=False)
        assert page.ask(m.ConsoleStop, robot_id, stop_id=stop_id).code == codes.get(way, "invalid_request")
    assert RobotStop.objects.count() == 0
    online.beat()
    while not isinstance(message := online.expect(m.Message), m.HeartbeatAck):
        assert not isinstance(message, m.StopRobot)
