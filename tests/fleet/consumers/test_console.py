"""The fleet page's socket over a real uvicorn."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fleet.consumers import auth, console, hub
from fleet.models import Robot, TrainingRun
from fleet.protocol import messages as m
from fleet.services.alert_rule import RuleChange, alert_rule_create
from fleet.services.alert_watch import alerts_evaluate
from fleet.services.policy import policy_version_publish
from fleet.services.training import run_metrics_record
from tests.fleet import builders
from tests.fleet.consumers.peers import ConsolePeer, console_peer, joined_robot


@pytest.fixture
def cookie(transactional_db: None, django_user_model: Any) -> str:
    """The session cookie of a signed-in user."""
    client = Client()
    client.force_login(django_user_model.objects.create_user("ann"))
    return f"sessionid={client.cookies['sessionid'].value}"


def _card(peer: ConsolePeer, wanted: Callable[[m.RobotCard], bool]) -> m.RobotCard:
    """Wait for a card like this in the next changes."""
    while True:
        for card in peer.expect(m.RobotsChanged).robots:
            if wanted(card):
                return card


def _close_code(peer: ConsolePeer) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            peer.socket.recv(timeout=5)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


def test_begins_with_a_snapshot_then_sends_changes(server: str, cookie: str) -> None:
    enrolled, task = builders.enrol("arm"), builders.task()
    builders.running_run(name="demo")
    with console_peer(server, cookie) as page:
        snapshot = page.expect(m.ConsoleSnapshot)
        assert [(card.name, card.is_online, card.activity) for card in snapshot.robots] == [("arm", False, "offline")]
        assert snapshot.run is not None and (snapshot.run.name, snapshot.run.state) == ("demo", "running")
        with joined_robot(server, enrolled) as robot:
            robot.beat(task_id=str(task.id), step=4)
            card = _card(page, lambda card: card.is_online)
            assert (card.step, card.mode) == (4, "autonomous")
        assert not _card(page, lambda card: not card.is_online).is_online


def test_silent_robot_turns_offline_by_itself(server: str, cookie: str) -> None:
    with console_peer(server, cookie) as page, joined_robot(server, builders.enrol()) as robot:
        robot.beat()
        assert _card(page, lambda card: card.is_online).name
        assert not _card(page, lambda card: not card.is_online).is_online


def test_every_page_gets_the_same_and_resync_brings_a_snapshot(server: str, cookie: str) -> None:
    with ExitStack() as exits:
        pages = [exits.enter_context(console_peer(server, cookie)) for _ in range(3)]
        for page in pages:
            page.expect(m.ConsoleSnapshot)
        robot = builders.enrol("late").robot
        for page in pages:
            assert _card(page, lambda card: True).name == "late"
        pages[0].socket.send('[1,{"type":"resync","last_seq":2}]')
        assert [card.name for card in pages[0].expect(m.ConsoleSnapshot).robots] == ["late"]
        Robot.objects.filter(id=robot.id).delete()
        for page in pages:
            assert page.expect(m.RobotRemoved).robot_id == str(robot.id)


def test_publishing_tells_pages_to_read_charts_again(server: str, cookie: str) -> None:
    run = builders.running_run()
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        manifest, blobs = builders.policy(run.id)
        policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)
        changed = page.expect(m.RunChanged)
        assert changed.run is not None and changed.run.newest_version == 0
        page.expect(m.MetricsChanged)


def test_an_alert_tells_pages_to_read_alerts_again(server: str, cookie: str) -> None:
    robot = builders.enrol().robot
    Robot.objects.filter(id=robot.id).update(last_seen_at=timezone.now() - timedelta(hours=1))
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        alert_rule_create(kind="offline", change=RuleChange(name="offline"))
        page.expect(m.AlertsChanged)
        alerts_evaluate()
        page.expect(m.AlertsChanged)


def _report(run: TrainingRun, *steps: int) -> None:
    run_metrics_record(run_id=str(run.id), epoch=1, rows=[(step, {"loss": step / 100}) for step in steps])


def test_watching_a_run_brings_its_rows_to_watchers_alone(server: str, cookie: str) -> None:
    """At once the row to follow, then every new one, the same for all who watch; nothing of other runs."""
    run, other = builders.running_run(), builders.running_run()
    _report(run, 100)
    with ExitStack() as exits:
        first, second, stranger = (exits.enter_context(console_peer(server, cookie)) for _ in range(3))
        for page in (first, second):
            page.watch(str(run.id))
            begin = page.expect(m.RunRows)
            assert (begin.run_id, begin.after_step, begin.rows) == (str(run.id), 100, ())
        _report(other, 7)
        _report(run, 200, 300)
        for page in (first, second):
            rows = page.expect(m.RunRows)
            assert (rows.after_step, [(row.step, row.values) for row in rows.rows]) == (
                100,
                [(200, {"loss": 2.0}), (300, {"loss": 3.0})],
            )
        first.watch(str(other.id))
        assert (begin := first.expect(m.RunRows)).run_id == str(other.id) and begin.after_step == 7
        _report(run, 400)
        assert [row.step for row in second.expect(m.RunRows).rows] == [400]
        _report(other, 8)
        assert [row.step for row in first.expect(m.RunRows).rows] == [8]
        builders.enrol("end")
        while (message := stranger.expect(m.Message)) and not isinstance(message, m.RobotsChanged):
            assert not isinstance(message, m.RunRows)


def test_nothing_is_heard_of_a_run_that_is_not_there(server: str, cookie: str) -> None:
    """Nor of any after watching none; the link stays."""
    run = builders.running_run()
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        for run_id in ("00000000-0000-0000-0000-000000000000", "no id", None):
            page.watch(run_id)
        _report(run, 100)
        page.watch(str(run.id))
        assert page.expect(m.RunRows).after_step == 100


def test_watching_a_run_fails_alone_without_the_database(
    server: str, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    real = console.access_training_run_by_id
    monkeypatch.setattr(console, "access_training_run_by_id", away)
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        page.watch(str(uuid.uuid4()))
        page.send(m.Resync(last_seq=0))
        page.expect(m.ConsoleSnapshot)
        monkeypatch.setattr(console, "access_training_run_by_id", real)
        run = builders.running_run()
        page.watch(str(run.id))
        assert page.expect(m.RunRows).run_id == str(run.id)


async def test_stops_of_a_page_that_reads_nothing_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for their turn to be answered, so the connection is not read on."""
    consumer, never = console.ConsoleConsumer(), asyncio.Event()
    consumer._is_over, consumer._slot, consumer._stopping = False, hub.Slot(), set()
    monkeypatch.setattr(consumer, "_answer", lambda request: never.wait())
    stop = b'[1,{"type":"stop","request_id":"r","robot_id":"r","stop_id":"s"}]'.decode()
    reading = [asyncio.create_task(consumer.receive(stop)) for _ in range(100)]
    await asyncio.sleep(0)
    assert (len(consumer._stopping), sum(task.done() for task in reading)) == (64, 64)
    never.set()
    await asyncio.gather(*reading)


def test_slow_watcher_loses_frames_but_sees_the_gap() -> None:
    """A slot holds a bounded number of frames; what comes after the loss names a row that the page does not have."""
    slot = hub.Slot()
    for step in range(hub.FRAMES_WAITING + 1):
        hub.Hub._put_rows(slot, b"%d" % step)
    assert slot.rows == [b"%d" % hub.FRAMES_WAITING]


@pytest.mark.parametrize("value", ["", "sessionid=forged"])
def test_signed_out_browser_is_refused(server: str, value: str) -> None:
    with console_peer(server, value) as page:
        assert page.expect(m.Fault).code == "unauthorised"
        assert _close_code(page) == 4401


def test_foreign_origin_is_refused_before_the_socket_opens(server: str, cookie: str) -> None:
    with pytest.raises(InvalidStatus) as caught, console_peer(server, cookie, origin="https://evil.example"):
        pass
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("frame", ["{}", "[1,{}]", '[1,{"type":"ping","clock_ms":1,"extra":2}]', b"[1]", "x" * 5000])
def test_bad_frame_ends_the_link_with_a_code(server: str, cookie: str, frame: str | bytes) -> None:
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        page.socket.send(frame)
        assert page.expect(m.Fault).code in ("malformed_frame", "frame_too_large")
        assert _close_code(page) == 4400
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)


SESSION_ENDS = {
    "disabled user": lambda users: users.objects.update(is_active=False),
    "new password": lambda users: users.objects.update(password="md5$salt$other"),
    "deleted": lambda users: Session.objects.all().delete(),
    "expired": lambda users: Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1)),
}


@pytest.mark.parametrize("way", SESSION_ENDS)
def test_socket_ends_after_its_session(
    server: str, cookie: str, monkeypatch: pytest.MonkeyPatch, django_user_model: Any, way: str
) -> None:
    monkeypatch.setattr(console, "RECHECK_S", 0.1)
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        SESSION_ENDS[way](django_user_model)
        assert page.expect(m.Fault).code == "unauthorised"
        assert _close_code(page) == 4401


def test_a_page_that_keeps_talking_is_looked_at_all_the_same(
    server: str, cookie: str, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
) -> None:
    """A peer is closed without a look at the session, so that request says nothing of it."""
    monkeypatch.setattr(console, "RECHECK_S", 0.3)
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        django_user_model.objects.update(is_active=False)
        with pytest.raises(ConnectionClosed):
            for _ in range(40):
                page.send(m.ConsolePeerClose(request_id="r", robot_id="", peer_id=str(uuid.uuid4())))
                time.sleep(0.05)
        assert _close_code(page) == 4401


def test_failed_check_of_the_session_is_repeated(
    server: str, cookie: str, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
) -> None:
    monkeypatch.setattr(console, "RECHECK_S", 0.1)
    real, failures = auth.is_session_alive, [OperationalError("the database is away")] * 2

    def check(session_key: str | None, user_id: int) -> bool:
        if failures:
            raise failures.pop()
        return real(session_key, user_id)

    monkeypatch.setattr(auth, "is_session_alive", check)
    with console_peer(server, cookie) as page:
        page.expect(m.ConsoleSnapshot)
        django_user_model.objects.update(is_active=False)
        assert page.expect(m.Fault).code == "unauthorised"
        assert _close_code(page) == 4401
    assert not failures


def test_nonsense_from_one_robot_does_not_break_the_page(server: str, cookie: str) -> None:
    with (
        console_peer(server, cookie) as page,
        joined_robot(server, builders.enrol("odd")) as odd,
        joined_robot(server, builders.enrol("sane")) as sane,
    ):
        control = m.ControlStats(rate_hz=float("nan"), overruns=0, worst_period_ms=float("inf"))
        odd.beat(task_id="no uuid", policy_version_id="\x00", episode_id="?", step=2**62, control=control)
        sane.beat(step=5)
        assert _card(page, lambda card: card.name == "sane" and card.is_online).step == 5
        page.socket.send('[1,{"type":"resync","last_seq":2}]')
        cards = {card.name: card for card in page.expect(m.ConsoleSnapshot).robots}
        assert (cards["odd"].task, cards["odd"].policy_number, cards["odd"].is_online) == ("", None, True)
        assert cards["odd"].control_rate_hz == 0.0
