"""Heartbeats of many robots at once: each gets its own answer, and none waits for a row that others hold."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from fleet import live
from fleet.errors import LinkReplaced, NotFound
from fleet.models import Robot, RobotStateInterval
from fleet.protocol import messages as m
from fleet.protocol.authority import Mode
from fleet.protocol.errors import Unauthorised
from fleet.services import robot_seen
from fleet.services.enrolment import Enrolled
from fleet.services.help import help_seen
from fleet.services.robot import robot_key_revoke
from fleet.services.robot_seen import Beat, Seen, robots_gone, robots_seen
from fleet.services.robot_state import State, robot_state_note
from fleet.services.stop import stop_confirm, stops_cleared_at_robot
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _beat(enrolled: Enrolled, *, is_row_due: bool = True, **status: Any) -> Beat:
    """Of a connection that counts."""
    Robot.objects.filter(id=enrolled.robot.id).update(link_session=f"of-{enrolled.robot.id}"[:36])
    session = Robot.objects.get(id=enrolled.robot.id).link_session
    return Beat(str(enrolled.robot.id), session, builders.status(**status), enrolled.key if is_row_due else None)


def test_each_is_kept_and_answered_by_itself() -> None:
    good, other, revoked, replaced = (builders.enrol() for _ in range(4))
    Robot.objects.filter(id=other.robot.id).update(state_revision=7)
    beats = [_beat(good, step=1), _beat(other, step=2), _beat(revoked), _beat(replaced)]
    robot_key_revoke(key_id=revoked.robot.keys.get().id)
    Robot.objects.filter(id=replaced.robot.id).update(link_session="newer")
    seen = robots_seen(beats=beats)
    assert seen[:2] == [Seen(1, is_quiet=True), Seen(7, is_quiet=True)]
    assert [type(answer) for answer in seen[2:]] == [Unauthorised, LinkReplaced]
    statuses = live.statuses_get([beat.robot_id for beat in beats])
    assert [status and status.status.step for status in statuses] == [1, 2, None, None]
    assert Robot.objects.filter(last_seen_at__isnull=False).count() == 2


def test_consoles_are_told_who_does_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    new, same, other = (builders.enrol() for _ in range(3))
    ids = [str(one.robot.id) for one in (new, same, other)]
    control = m.ControlStats(rate_hz=9.5, overruns=3, worst_period_ms=140.0)
    robots_seen(beats=[_beat(same, step=1), _beat(other, step=1)])
    told: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(robot_seen, "hint_beats", lambda robot_ids, *, acting: told.append((robot_ids, acting)))
    robots_seen(beats=[_beat(new), _beat(same, step=2, control=control), _beat(other, step=1, episode_id="another")])
    assert told == [(ids, [ids[0], ids[2]])]


def test_a_robot_that_was_deleted_is_not_found() -> None:
    enrolled, gone = builders.enrol(), builders.enrol()
    beats = [_beat(gone, is_row_due=False), _beat(enrolled, is_row_due=False)]
    gone.robot.delete()
    first, second = robots_seen(beats=beats)
    assert isinstance(first, NotFound) and second == Seen(1)


def test_between_two_rows_that_are_due_nothing_is_written() -> None:
    enrolled = builders.enrol()
    robots_seen(beats=[_beat(enrolled)])
    Robot.objects.update(last_seen_at=None)
    assert robots_seen(beats=[_beat(enrolled, is_row_due=False)]) == [Seen(1)]
    assert Robot.objects.get().last_seen_at is None


def test_states_that_last_and_that_changed_are_noted() -> None:
    lasting, changed, lapsed = (builders.enrol() for _ in range(3))
    now = timezone.now()
    for enrolled, age_s in ((lasting, 10), (changed, 10), (lapsed, 600)):
        at = now - timedelta(seconds=age_s)
        robot_state_note(robot_id=enrolled.robot.id, state=State.WORKING, now=at)
        live.status_put(enrolled.robot.id, "before", builders.status())
    answers = robots_seen(beats=[_beat(lasting), _beat(changed, mode=Mode.PAUSED), _beat(lapsed)])
    assert answers == [Seen(1, is_quiet=True)] * 3
    states = [
        [row.state for row in RobotStateInterval.objects.filter(robot=one.robot)] for one in (lasting, changed, lapsed)
    ]
    assert states == [["working"], ["working", "waiting"], ["working", "offline", "working"]]
    assert RobotStateInterval.objects.get(robot=lasting.robot).seen_at >= now


def test_a_stop_and_a_request_for_help_are_not_quiet() -> None:
    stopped, asking, cleared = (builders.enrol() for _ in range(3))
    for enrolled in (stopped, cleared):
        stop_confirm(robot_id=enrolled.robot.id, stop=m.StopInfo(stop_id=str(uuid.uuid4()), by="ann", at_ns=1))
    stops_cleared_at_robot(robot_id=cleared.robot.id, session_id="")
    signal = m.HelpSignal(reason=m.HelpReason.UNCERTAIN, score=1.0, since_ns=1)
    help_seen(robot_id=str(asking.robot.id), status=builders.status(help=signal), now_s=1.0)
    answers = robots_seen(beats=[_beat(stopped), _beat(asking), _beat(cleared)])
    assert [isinstance(answer, Seen) and answer.is_quiet for answer in answers] == [False, False, True]


def test_who_leaves_is_offline_unless_a_newer_connection_is_there() -> None:
    leaving, replaced = builders.enrol(), builders.enrol()
    beats = [_beat(leaving), _beat(replaced)]
    robots_seen(beats=beats)
    Robot.objects.filter(id=replaced.robot.id).update(link_session="newer")
    live.status_put(replaced.robot.id, "newer", builders.status())
    sessions = [(beat.robot_id, beat.session_id) for beat in beats]
    assert robots_gone(sessions=sessions) == [False, False]
    assert [status and status.session_id for status in live.statuses_get([one for one, _ in sessions])] == [
        None,
        "newer",
    ]
    newest = {row.robot_id: row.state for row in RobotStateInterval.objects.filter(ended_at__isnull=True)}
    assert newest == {leaving.robot.id: "offline", replaced.robot.id: "working"}


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_a_row_that_a_stop_or_a_lease_holds() -> None:
    held, free = builders.enrol(), builders.enrol()
    for enrolled in (held, free):
        robot_state_note(robot_id=enrolled.robot.id, state=State.WORKING)
        live.status_put(enrolled.robot.id, "before", builders.status())
    beats = [_beat(held), _beat(free)]
    is_locked, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Robot.objects.select_for_update().get(id=held.robot.id)
                RobotStateInterval.objects.select_for_update().get(robot=held.robot)
                is_locked.set()
                go_on.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_locked.wait(10)
        answers = robots_seen(beats=beats)  # and it returns at all
    finally:
        go_on.set()
        thread.join()
    assert answers == [Seen(1, is_quiet=True)] * 2
    seen = {row.id: row.last_seen_at is not None for row in Robot.objects.all()}
    assert seen == {held.robot.id: False, free.robot.id: True}
