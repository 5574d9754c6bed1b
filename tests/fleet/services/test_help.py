"""Requests for help: opened, ranked, served and closed by what robots and people do, and by nothing else."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet import live
from fleet.models import HelpRequest, Lease, Robot
from fleet.protocol.authority import Source
from fleet.protocol.messages import HelpReason, HelpSignal
from fleet.services.help import HelpNote, help_is_news, help_seen, help_sweep
from fleet.services.lease import lease_grant, lease_offer, lease_release, leases_expire
from fleet.tasks import reap
from tests.fleet import builders

pytestmark = pytest.mark.django_db

START = timezone.now().replace(microsecond=0)


def signal(reason: HelpReason = HelpReason.NO_PROGRESS, score: float = 0.5, detail: str = "stalled") -> HelpSignal:
    return HelpSignal(reason=reason, score=score, detail=detail, since_ns=1)


class Beats:
    """A robot's heartbeats, two seconds apart, as its connection hands them on."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.note: HelpNote | None = None
        self.now_s = 0.0
        self.queries: list[int] = []

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.now_s)

    def hint(self) -> None:
        """A lease began or ended, and the robot's connection heard of it."""
        self.note = None

    def beat(self, said: HelpSignal | None, **status: Any) -> HelpRequest | None:
        """Send one heartbeat; return the robot's unclosed request."""
        with CaptureQueriesContext(connection) as captured:
            if help_is_news(note=self.note, signal=said, now_s=self.now_s):
                found = builders.status(help=said, **status)
                self.note = help_seen(robot_id=str(self.robot.id), status=found, now_s=self.now_s, now=self.now)
        self.queries.append(len([query for query in captured if "SAVEPOINT" not in query["sql"]]))
        self.now_s += 2.0
        return HelpRequest.objects.filter(robot=self.robot, closed_at__isnull=True).first()


@pytest.fixture
def beats(settings: Any) -> Beats:
    settings.SOP_HELP_PIN_S = 5.0
    return Beats(builders.enrol().robot)


def take(robot: Robot, user: Any, **more: Any) -> Lease:
    return lease_grant(robot_id=robot.id, source=Source.PERSON, operator=user.username, user=user, **more)


def test_asking_opens_one_request_with_what_the_robot_did(beats: Beats) -> None:
    task, episode = builders.task(), uuid.uuid4()
    opened = beats.beat(signal(score=0.7), task_id=str(task.id), episode_id=str(episode))
    assert opened is not None
    assert (opened.reason, opened.score, opened.detail, opened.state) == ("no_progress", 0.7, "stalled", "open")
    assert (opened.task, opened.episode_id, opened.opened_at) == (task, episode, START)
    assert beats.beat(signal(score=0.7)) == opened
    assert HelpRequest.objects.count() == 1


def test_heartbeats_without_news_cost_no_query(beats: Beats) -> None:
    """A quiet robot: one look on connecting, then nothing. An asking one: one change, then a look every 10 s."""
    for _ in range(50):
        beats.beat(None)
    assert (beats.queries[0], sum(beats.queries[1:])) == (2, 0)
    beats.queries.clear()
    for _ in range(10):
        beats.beat(signal())
    assert [bool(count) for count in beats.queries] == [True, *[False] * 4, True, *[False] * 4]
    assert beats.queries[5] == 2


@pytest.mark.parametrize(("score", "kept"), [(float("nan"), 0.0), (float("inf"), 0.0), (7.0, 1.0), (-3.0, 0.0)])
def test_whatever_score_a_robot_sends_is_kept_in_range(beats: Beats, score: float, kept: float) -> None:
    opened = beats.beat(signal(score=score), task_id="no uuid", policy_version_id=str(uuid.uuid4()))
    assert opened is not None
    assert (opened.score, opened.task, opened.policy_version) == (kept, None, None)


def test_whatever_text_a_robot_sends_is_kept(beats: Beats) -> None:
    said = HelpSignal(reason=HelpReason.PAUSED, score=1.0, detail="stopped by ben: smo\x00ke", since_ns=0)
    request = beats.beat(said)
    assert request is not None and request.detail == "stopped by ben: smoke"
    beats.now_s += 20.0
    request = beats.beat(HelpSignal(reason=HelpReason.NO_PROGRESS, score=0.5, detail="\x00", since_ns=0))
    assert request is not None and (request.reason, request.detail) == ("no_progress", "")


def test_rank_is_pinned_for_a_while(beats: Beats) -> None:
    """Given a pin of 5 s: reason and score stay what they are for so long, then the newest are taken over at once."""
    beats.beat(signal(score=0.5))
    for _ in range(2):
        pinned = beats.beat(signal(HelpReason.CONSTRAINT, score=0.9))
        assert pinned is not None and (pinned.reason, pinned.score) == ("no_progress", 0.5)
    moved = beats.beat(signal(HelpReason.CONSTRAINT, score=0.9, detail="limits"))
    assert moved is not None
    assert (moved.reason, moved.score, moved.detail) == ("constraint", 0.9, "limits")
    assert (moved.opened_at, moved.ranked_at) == (START, START + timedelta(seconds=6))
    pinned = beats.beat(signal(HelpReason.CONSTRAINT, score=0.5))
    assert pinned is not None and pinned.score == 0.9


def test_little_changes_are_no_news(beats: Beats) -> None:
    beats.beat(signal(score=0.5))
    for _ in range(20):
        still = beats.beat(signal(score=0.58))
        assert still is not None and still.score == 0.5


def test_a_robot_that_asks_no_more_is_withdrawn_once_its_pin_is_over(beats: Beats) -> None:
    opened = beats.beat(signal())
    assert beats.beat(None) == opened == beats.beat(None)
    assert beats.beat(None) is None
    closed = HelpRequest.objects.get()
    assert (closed.state, closed.ending, closed.closed_at) == ("closed", "withdrawn", START + timedelta(seconds=6))
    assert beats.beat(signal()) is not None


def test_a_persons_lease_begins_the_service_and_its_end_ends_it(beats: Beats, ann: Any) -> None:
    opened = beats.beat(signal())
    assert opened is not None
    lease = take(beats.robot, ann)
    opened.refresh_from_db()
    assert (opened.state, opened.lease, opened.operator) == ("served", lease, "ann")
    assert opened.claimed_at == lease.granted_at
    assert beats.beat(None) == opened  # the robot asks no more, because ann drives
    lease_release(robot_id=beats.robot.id, epoch=lease.epoch, reason="done")
    opened.refresh_from_db()
    lease.refresh_from_db()
    assert (opened.state, opened.ending, opened.closed_at) == ("closed", "served", lease.released_at)
    beats.hint()
    assert beats.beat(signal()) not in (None, opened)


def test_the_supervisors_lease_is_no_service(beats: Beats) -> None:
    opened = beats.beat(signal())
    lease = lease_grant(robot_id=beats.robot.id, source=Source.SCRIPTED, operator="scripted supervisor")
    lease_release(robot_id=beats.robot.id, epoch=lease.epoch, reason="done")
    assert opened is not None
    opened.refresh_from_db()
    assert (opened.state, opened.lease) == ("open", None)


def test_service_goes_on_when_another_person_takes_over(beats: Beats, ann: Any, django_user_model: Any) -> None:
    """Handing over is one service: it began with the first and ends with the last."""
    ben = django_user_model.objects.create_user("ben")
    opened = beats.beat(signal())
    assert opened is not None
    first = take(beats.robot, ann, connection="tab")
    lease_offer(robot_id=beats.robot.id, epoch=first.epoch, connection="tab", to_user=ben)
    second = take(beats.robot, ben, from_epoch=first.epoch)
    opened.refresh_from_db()
    assert (opened.state, opened.operator, opened.lease) == ("served", "ben", second)
    assert opened.claimed_at == first.granted_at
    lease_release(robot_id=beats.robot.id, epoch=second.epoch, reason="done")
    opened.refresh_from_db()
    assert opened.ending == "served"


def test_an_expired_lease_ends_the_service(beats: Beats, ann: Any) -> None:
    opened = beats.beat(signal())
    lease = take(beats.robot, ann)
    leases_expire(now=lease.expires_at)
    assert opened is not None
    opened.refresh_from_db()
    assert (opened.state, opened.ending) == ("closed", "served")
    beats.hint()
    assert beats.beat(signal(HelpReason.PAUSED)) is not None


def test_a_lost_hint_delays_asking_anew_by_ten_seconds_at_most(beats: Beats, ann: Any) -> None:
    opened = beats.beat(signal())
    lease = take(beats.robot, ann)
    lease_release(robot_id=beats.robot.id, epoch=lease.epoch, reason="done")
    assert [beats.beat(signal()) for _ in range(4)] == [None] * 4
    assert beats.beat(signal()) not in (None, opened)


def test_help_that_is_there_already_is_not_asked_for(beats: Beats, ann: Any) -> None:
    """A heartbeat from before the takeover opens nothing; if the robot still asks after it, it does."""
    lease = take(beats.robot, ann)
    lease.expires_at = START + timedelta(hours=1)
    lease.save()
    assert beats.beat(signal()) is None
    lease_release(robot_id=beats.robot.id, epoch=lease.epoch, reason="done")
    for _ in range(4):
        assert beats.beat(signal()) is None
    assert beats.beat(signal()) is not None


def test_a_robot_that_leaves_takes_its_request_along(beats: Beats) -> None:
    beats.beat(signal())
    live.status_put(beats.robot.id, "session", builders.status(help=signal()))
    assert help_sweep() == 0
    live.status_clear(beats.robot.id, "session")
    reap()
    closed = HelpRequest.objects.get()
    assert (closed.state, closed.ending) == ("closed", "offline")


def test_the_sweep_closes_what_a_lost_lease_left(beats: Beats, ann: Any) -> None:
    beats.beat(signal())
    lease = take(beats.robot, ann)
    assert help_sweep() == 0
    Lease.objects.filter(id=lease.id).update(released_at=timezone.now())
    assert help_sweep() == 1
    assert HelpRequest.objects.get().ending == "served"
