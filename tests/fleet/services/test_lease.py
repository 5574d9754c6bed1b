"""Leases: one driver at a time, a person before the scripted supervisor, newer epochs before older."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from fleet import events
from fleet.daemon.command_gate import CommandGate, HeldLease
from fleet.daemon.config import TeleopConfig
from fleet.daemon.operator_clock import OperatorClock
from fleet.errors import InvalidRequest, LeaseHeld, NotFound, TakeForbidden
from fleet.models import Lease, Robot
from fleet.protocol.authority import Source
from fleet.protocol.errors import LeaseFenced
from fleet.protocol.teleop import ClockEcho, Drive
from fleet.selectors.lease import lease_info
from fleet.selectors.robot import desired_state
from fleet.services.lease import lease_ask, lease_grant, lease_offer, lease_release, lease_renew, leases_expire
from fleet.tasks import reap
from tests.fleet import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def robot() -> Robot:
    return builders.enrol().robot


def _scripted(robot: Robot) -> Lease:
    return lease_grant(robot_id=robot.id, source=Source.SCRIPTED, operator="scripted supervisor")


def _person(robot: Robot, user: Any, **more: Any) -> Lease:
    return lease_grant(robot_id=robot.id, source=Source.PERSON, operator=user.username, user=user, **more)


def _in_force(robot: Robot) -> int | None:
    lease = desired_state(robot_id=str(robot.id)).lease
    return lease.epoch if lease else None


def test_grant_gives_a_new_epoch_and_changes_the_desired_state(robot: Robot) -> None:
    before = desired_state(robot_id=str(robot.id))
    lease = _scripted(robot)
    after = desired_state(robot_id=str(robot.id))
    assert (before.lease, after.revision > before.revision) == (None, True)
    assert after.lease is not None and after.lease.epoch == lease.epoch == 1


def test_only_who_hands_back_in_time_is_said_to_have(robot: Robot, django_user_model: Any) -> None:
    """The robot lets its policy go on by this word alone."""
    ann = django_user_model.objects.create_user("ann")

    def handed_back() -> int:
        return desired_state(robot_id=str(robot.id)).handed_back_epoch

    lease = _person(robot, ann)
    assert handed_back() == 0
    lease_release(robot_id=robot.id, epoch=lease.epoch, reason="done")
    assert handed_back() == lease.epoch
    _scripted(robot)
    assert handed_back() == lease.epoch, "the supervisor's leases say nothing of a person's"
    late = _person(robot, ann)
    assert handed_back() == 0
    Lease.objects.filter(pk=late.pk).update(expires_at=late.granted_at + timedelta(microseconds=1))
    leases_expire()
    assert desired_state(robot_id=str(robot.id)).lease is None and handed_back() == 0


def test_person_outranks_the_scripted_supervisor(robot: Robot, django_user_model: Any) -> None:
    first = _scripted(robot)
    taken = _person(robot, django_user_model.objects.create_user("ann"))
    first.refresh_from_db()
    assert (taken.epoch, first.end_reason) == (2, "replaced by person: ann")
    with pytest.raises(LeaseFenced):
        lease_renew(robot_id=robot.id, epoch=1)
    with pytest.raises(LeaseHeld):
        _scripted(robot)
    assert _in_force(robot) == 2


def test_between_two_people_the_first_keeps_it(robot: Robot, django_user_model: Any) -> None:
    ann, ben = (django_user_model.objects.create_user(name) for name in ("ann", "ben"))
    _person(robot, ann)
    with pytest.raises(LeaseHeld):
        _person(robot, ben)
    with pytest.raises(LeaseHeld):
        _person(robot, ann)  # a second tab of the same person


def test_release_frees_the_robot_and_an_old_epoch_changes_nothing(robot: Robot) -> None:
    _scripted(robot)
    second = _scripted(robot)
    lease_release(robot_id=robot.id, epoch=1, reason="late")
    assert _in_force(robot) == second.epoch
    lease_release(robot_id=robot.id, epoch=2, reason="done")
    lease_release(robot_id=robot.id, epoch=2, reason="again")
    assert _in_force(robot) is None
    assert Lease.objects.get(epoch=2).end_reason == "done"


def test_expired_lease_is_over_before_and_after_the_reaper(robot: Robot) -> None:
    _scripted(robot)
    past = timezone.now() - timedelta(seconds=1)
    Lease.objects.update(granted_at=past - timedelta(seconds=5), expires_at=past)
    assert _in_force(robot) is None
    with pytest.raises(LeaseFenced):
        lease_renew(robot_id=robot.id, epoch=1)
    revision = desired_state(robot_id=str(robot.id)).revision
    reap()
    assert Lease.objects.get().end_reason == "expired"
    assert desired_state(robot_id=str(robot.id)).revision == revision + 1
    assert leases_expire() == 0


def test_lease_of_a_clock_that_was_ahead_ends(robot: Robot) -> None:
    """The server's wall clock is set back by an hour: nobody keeps a robot for that hour."""
    _scripted(robot)
    Lease.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    assert leases_expire() == 1
    assert Lease.objects.get().end_reason == "expired"


def test_expired_lease_of_a_person_does_not_stop_the_scripted_one(robot: Robot, django_user_model: Any) -> None:
    _person(robot, django_user_model.objects.create_user("ann"))
    past = timezone.now() - timedelta(seconds=1)
    Lease.objects.update(granted_at=past - timedelta(seconds=5), expires_at=past)
    assert _scripted(robot).epoch == 2


def test_renewal_extends(robot: Robot) -> None:
    before = _scripted(robot).expires_at
    assert lease_renew(robot_id=robot.id, epoch=1).expires_at > before


def test_unknown_robot() -> None:
    with pytest.raises(NotFound):
        lease_grant(robot_id="0" * 32, source=Source.SCRIPTED, operator="x")


def test_the_holding_connection_may_acquire_again_and_no_other(robot: Robot, django_user_model: Any) -> None:
    """As after a stop: the robot drives again only under a new epoch."""
    ann, ben = (django_user_model.objects.create_user(name) for name in ("ann", "ben"))
    _person(robot, ann, connection="tab 1")
    assert _person(robot, ann, connection="tab 1").epoch == 2
    for user, tab in ((ann, "tab 2"), (ann, ""), (ben, "tab 3")):
        with pytest.raises(LeaseHeld):
            _person(robot, user, connection=tab)
    with pytest.raises(LeaseHeld):
        _scripted(robot)
    assert _in_force(robot) == 2
    info = desired_state(robot_id=str(robot.id)).lease
    assert info is not None and info.connection == "tab 1"


def test_offered_lease_is_taken_by_that_user_alone(robot: Robot, django_user_model: Any) -> None:
    ann, ben, cem = (django_user_model.objects.create_user(name) for name in ("ann", "ben", "cem"))
    _person(robot, ann, connection="tab 1")
    with pytest.raises(TakeForbidden):
        _person(robot, ben, connection="tab 2", from_epoch=1)
    lease_offer(robot_id=robot.id, epoch=1, connection="tab 1", to_user=ben)
    assert _in_force(robot) == 1
    with pytest.raises(TakeForbidden):
        _person(robot, cem, connection="tab 3", from_epoch=1)
    assert _person(robot, ben, connection="tab 2", from_epoch=1).epoch == 2
    with pytest.raises(TakeForbidden):  # the offer was for one lease
        _person(robot, ann, connection="tab 1", from_epoch=2)
    assert lease_renew(robot_id=robot.id, epoch=2, connection="tab 2").operator == "ben"


def test_only_the_holder_offers_and_only_a_person_is_asked(robot: Robot, django_user_model: Any) -> None:
    ann, ben = (django_user_model.objects.create_user(name) for name in ("ann", "ben"))
    _scripted(robot)
    with pytest.raises(InvalidRequest):
        lease_ask(robot_id=robot.id, epoch=1, by="ben")
    _person(robot, ann, connection="tab 1")
    for epoch, tab in ((1, "tab 1"), (2, "tab 2")):
        with pytest.raises(LeaseFenced):
            lease_offer(robot_id=robot.id, epoch=epoch, connection=tab, to_user=ben)
    with pytest.raises(LeaseFenced):
        lease_ask(robot_id=robot.id, epoch=1, by="ben")
    assert Lease.objects.filter(offered_to__isnull=False).count() == 0


@pytest.mark.django_db(transaction=True)
def test_racing_people_get_one_lease(django_user_model: Any) -> None:
    """Given eight people who take over at the same moment, exactly one of them drives."""
    robot = builders.enrol().robot
    users = [django_user_model.objects.create_user(f"user{index}") for index in range(8)]
    start, results = threading.Barrier(8), []

    def work(user: Any) -> None:
        try:
            start.wait(timeout=10)
            results.append(_person(robot, user).epoch)
        except LeaseHeld as error:
            results.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(map(str, results)) == ["1", *["lease_held"] * 7]
    assert Lease.objects.filter(released_at__isnull=True).count() == 1


RACES = 1000


class RobotSide:
    """The gates of both operators' browsers on the robot, and who moved it in each race."""

    def __init__(self) -> None:
        self.clock = OperatorClock(window=1)
        probe = self.clock.probe(now_s=0.0)
        self.clock.answer(ClockEcho(probe=probe.probe, clock_ms=0.0), now_s=0.0)
        self.gates = [self._gate(index) for index in range(2)]
        self.moved: list[list[int]] = []

    @staticmethod
    def _gate(index: int) -> CommandGate:
        config = TeleopConfig(rate_hz=1e6, rate_burst=10**6)
        return CommandGate(config, kept=(False,), timeout_s=1.0, connection=f"tab {index}")

    def race(self, lease: Lease) -> None:
        """Both command under every epoch that they may believe in; keep who was let through."""
        info = lease_info(lease)
        held = HeldLease(info.epoch, info.connection)
        now_s = float(lease.epoch)
        through = set()
        for index, gate in enumerate(self.gates):
            for step, epoch in enumerate((lease.epoch - 1, lease.epoch, lease.epoch + 1)):
                sent = 3 * lease.epoch + step
                drive = Drive(epoch=epoch, seq=sent, sent_ms=1e3 * now_s, axes=(0.0,), video_age_ms=0.0)
                if gate.decide(drive, lease=held, clock=self.clock, now_s=now_s) is not None:
                    through.add(index)
        self.moved.append(sorted(through))


@pytest.mark.django_db(transaction=True)
def test_two_operators_race_a_thousand_times(django_user_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two operators who take over at the same moment, each time exactly one gets the lease, epochs only grow, and
    the robot lets nobody's commands through but theirs.

    Each has a thread and a database connection of their own. Hints are left out: 3,000 of them test Redis.
    """
    monkeypatch.setattr(events, "_send", lambda group, message: None)
    robot = builders.enrol().robot
    users = [django_user_model.objects.create_user(name) for name in ("ann", "ben")]
    start = threading.Barrier(2)
    got: list[list[int]] = [[], []]
    side = RobotSide()

    def work(index: int) -> None:
        try:
            for _ in range(RACES):
                start.wait(timeout=20)
                with contextlib.suppress(LeaseHeld):
                    got[index].append(_person(robot, users[index], connection=f"tab {index}").epoch)
                if start.wait(timeout=20) == 0:
                    epoch = max(map(max, filter(None, got)))
                    side.race(Lease.objects.get(robot=robot, released_at__isnull=True))
                    lease_release(robot_id=robot.id, epoch=epoch, reason="next race")
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(got[0] + got[1]) == list(range(1, RACES + 1))
    assert Lease.objects.filter(robot=robot, end_reason="next race").count() == RACES
    assert all(min(len(won), RACES - len(won)) > 0 for won in got), "one operator never won: nobody raced"
    winners = dict(sorted((epoch, index) for index, won in enumerate(got) for epoch in won))
    assert side.moved == [[winner] for winner in winners.values()]
