"""The help queue live: a robot asks over its socket, every browser sees it, a person takes the robot."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.test import Client

from fleet.consumers import help_watch
from fleet.models import HelpRequest
from fleet.protocol import messages as m
from fleet.protocol.authority import Source
from fleet.services.help import HelpNote, help_ranking_set
from fleet.services.lease import lease_grant, lease_release
from tests.fleet import builders
from tests.fleet.consumers.peers import ConsolePeer, console_peer, joined_robot

ASKS = m.HelpSignal(reason=m.HelpReason.UNCERTAIN, score=0.6, detail="the samples differ", since_ns=1)


@pytest.fixture
def user(transactional_db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def cookie(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


def _queue(
    page: ConsolePeer,
    wanted: Callable[[m.HelpQueue], object] = lambda queue: True,
    beat: Callable[[], None] = lambda: None,
) -> m.HelpQueue:
    """Return the next queue like this; the robot's heartbeats go on meanwhile."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        beat()
        with suppress(TimeoutError):
            queue = page.expect(m.HelpQueue, timeout_s=0.1)
            if wanted(queue):
                return queue
    raise AssertionError("the queue never came to this")


def test_asking_shows_on_every_page_and_a_takeover_serves_it(
    server: str, cookie: str, user: Any, settings: Any
) -> None:
    settings.SOP_HEARTBEAT_S = 5.0  # this robot is silent while pages are read, on a busy machine for seconds
    enrolled, task = builders.enrol("arm"), builders.task()
    with console_peer(server, cookie) as page, console_peer(server, cookie) as other:
        assert _queue(page).requests == _queue(other).requests == ()
        with joined_robot(server, enrolled) as robot:

            def asks() -> None:
                robot.beat(help=ASKS, task_id=str(task.id))

            def is_silent() -> None:
                robot.beat(task_id=str(task.id))

            cards = [_queue(one, lambda queue: queue.requests, asks).requests[0] for one in (page, other)]
            assert cards[0] == cards[1]
            assert (cards[0].robot, cards[0].reason, cards[0].task) == ("arm", "uncertain", "box-close")
            lease = lease_grant(robot_id=enrolled.robot.id, source=Source.PERSON, operator="ann", user=user)
            served = _queue(page, lambda queue: queue.requests and queue.requests[0].operator, is_silent).requests[0]
            assert (served.operator, served.request_id) == ("ann", cards[0].request_id)
            assert served.claimed_ms is not None and served.claimed_ms >= served.opened_ms
            lease_release(robot_id=enrolled.robot.id, epoch=lease.epoch, reason="done")
            assert _queue(page, lambda queue: not queue.requests, is_silent).total == 0
            anew = _queue(page, lambda queue: queue.requests, asks).requests[0]
            assert anew.request_id != cards[0].request_id


def test_a_page_that_comes_later_gets_the_queue_with_its_snapshot(server: str, cookie: str, user: Any) -> None:
    with joined_robot(server, builders.enrol()) as robot, console_peer(server, cookie) as page:

        def asks() -> None:
            robot.beat(help=ASKS)

        _queue(page, lambda queue: queue.requests, asks)
        with console_peer(server, cookie) as late:
            late.expect(m.ConsoleSnapshot)
            assert _queue(late, beat=asks).total == 1
        help_ranking_set(ranking=m.HelpRanking.FIFO, over=m.HelpRanking.CUR, user=user)
        assert _queue(page, beat=asks).ranking == "fifo"


def test_a_robot_that_asks_for_nothing_leaves_no_row(server: str, user: Any) -> None:
    with joined_robot(server, builders.enrol()) as robot:
        for _ in range(5):
            robot.beat()
            robot.expect(m.HeartbeatAck)
    assert not HelpRequest.objects.exists()


async def test_a_lease_that_changes_while_the_rows_are_read_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before the change is out of date: the next heartbeat looks again, the one after does not."""
    watch, looks = help_watch.HelpWatch(), 0

    def seen(**_: object) -> HelpNote:
        nonlocal looks
        looks += 1
        if looks == 1:
            watch.forget()
        return HelpNote(checked_s=time.monotonic(), pinned_until_s=math.inf)

    monkeypatch.setattr(help_watch, "help_seen", seen)
    for expected in (1, 2, 2):
        await watch.heard("robot", builders.status(help=ASKS))
        assert looks == expected
