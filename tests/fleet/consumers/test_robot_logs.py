"""Robots' logs through the server: a robot's socket at one end, HTTP at the other."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec
import pytest
from django.test import Client

from fleet import live
from fleet.models import AuditEntry
from fleet.permissions import Role
from fleet.protocol import messages as m
from fleet.protocol.errors import MalformedFrame
from fleet.services.enrolment import Enrolled
from fleet.services.person import person_roles_set
from fleet.services.robot_admin import robot_retire
from tests.fleet import builders
from tests.fleet.consumers.peers import RobotPeer, robot_peer

JSON = "application/json"


@pytest.fixture
def patient(server: str, settings: Any) -> str:
    """A server that hears no heartbeat for seconds and waits: these tests send one only."""
    settings.SOP_HEARTBEAT_S = 10.0
    return server


@pytest.fixture
def manager(transactional_db: None, django_user_model: Any) -> Client:
    return _client(django_user_model, Role.MANAGER)


def _client(model: Any, role: Role) -> Client:
    user = model.objects.create_user(role.value)
    person_roles_set(user=user, roles=[role])
    client = Client()
    client.force_login(user)
    return client


def _line(text: str, *, level: str = "warning", at_ns: int = 10**18) -> m.LogLine:
    return m.LogLine(at_ns=at_ns, level=level, logger="fleet.daemon.link", text=text)


def _path(enrolled: Enrolled) -> str:
    return f"/api/v1/robots/{enrolled.robot.id}/logs"


def _until(client: Client, path: str, wanted: Any) -> Any:
    deadline = time.monotonic() + 30
    while not wanted(found := client.get(path).json()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def _joined(peer: RobotPeer, enrolled: Enrolled) -> None:
    """Welcomed, and its heartbeat kept: the acknowledgement goes out before that."""
    peer.expect(m.Welcome, timeout_s=30)
    peer.beat()
    deadline = time.monotonic() + 30
    while live.statuses_get([enrolled.robot.id])[0] is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


KNOWS = builders.hello(capabilities=(m.LOGS_CAPABILITY,))


def test_a_robot_is_asked_for_its_warnings_and_then_for_all(patient: str, manager: Client) -> None:
    enrolled = builders.enrol("arm")
    path = _path(enrolled)
    with robot_peer(patient, enrolled.robot.id, enrolled.key, KNOWS) as peer:
        _joined(peer, enrolled)
        first = peer.expect(m.LogsWanted, timeout_s=30)
        assert first.request_id == ""
        peer.send(m.RobotLogs(lines=(_line("link down"),), dropped=3))
        found = _until(manager, path, lambda body: body["lines"])
        assert [line["text"] for line in found["lines"]] == [
            "link down", "3 more warnings or errors came too fast to be sent",
        ]  # fmt: skip
        assert (found["is_online"], found["can_send"], found["answered"]) == (True, True, None)
        asked = manager.post(path, {"limit": 50}, JSON)
        assert asked.status_code == 202
        question = peer.expect(m.LogsWanted, timeout_s=30)
        assert (question.request_id, question.limit) == (asked.json()["question"], 50)
        both = (_line("link down"), _line("all is well", level="info", at_ns=10**18 + 10**9))
        peer.send(m.RobotLogs(request_id=question.request_id, lines=both))
        found = _until(manager, path, lambda body: body["answered"] == question.request_id)
        assert found["lines"][0]["text"] == "all is well", "the newest first, each once"
        assert sum(line["text"] == "link down" for line in found["lines"]) == 1
    assert AuditEntry.objects.get(action="robot.read_logs").object_name == "arm"


def test_lines_that_nobody_asked_for_are_not_kept(patient: str, manager: Client) -> None:
    enrolled = builders.enrol()
    with robot_peer(patient, enrolled.robot.id, enrolled.key, KNOWS) as peer:
        _joined(peer, enrolled)
        peer.send(m.RobotLogs(request_id=str(uuid.uuid4()), lines=(_line("forged"),)))
        peer.send(m.RobotLogs(lines=(_line("by itself"),)))
        peer.send(m.RobotLogs(lines=(_line("too soon after it"),)))
        found = _until(manager, _path(enrolled), lambda body: body["lines"])
        assert [line["text"] for line in found["lines"]] == ["by itself"]


def test_a_daemon_that_does_not_know_the_message_is_never_sent_it(patient: str, manager: Client) -> None:
    enrolled = builders.enrol()
    with robot_peer(patient, enrolled.robot.id, enrolled.key) as peer:
        _joined(peer, enrolled)
        answer = manager.post(_path(enrolled), {}, JSON)
        assert (answer.status_code, answer.json()["code"]) == (409, "logs_unknown")
        peer.send(m.Resync(last_seq=0))
        assert isinstance(peer.expect((m.StateChanged, m.LogsWanted), timeout_s=30), m.StateChanged)  # type: ignore[arg-type]
        assert manager.get(_path(enrolled)).json()["can_send"] is False


def test_robots_that_are_away_or_retired_are_not_asked(manager: Client) -> None:
    enrolled = builders.enrol()
    answer = manager.post(_path(enrolled), {}, JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "robot_offline")
    live.logs_add(enrolled.robot.id, [_line("its last word")])
    body = manager.get(_path(enrolled)).json()
    assert (body["is_online"], [line["text"] for line in body["lines"]]) == (False, ["its last word"])
    robot_retire(robot_id=enrolled.robot.id)
    assert manager.post(_path(enrolled), {}, JSON).json()["code"] == "robot_retired"
    assert manager.get(f"/api/v1/robots/{uuid.uuid4()}/logs").status_code == 404
    assert manager.post(_path(enrolled), {"limit": 501}, JSON).status_code == 400


def test_questions_are_limited_and_for_managers_alone(
    patient: str, manager: Client, settings: Any, django_user_model: Any
) -> None:
    settings.SOP_LOGS_PER_MIN = 1
    enrolled = builders.enrol()
    operator = _client(django_user_model, Role.OPERATOR)
    assert [operator.get(_path(enrolled)).status_code, operator.post(_path(enrolled), {}, JSON).status_code] == [
        403,
        403,
    ]
    with robot_peer(patient, enrolled.robot.id, enrolled.key, KNOWS) as peer:
        _joined(peer, enrolled)
        assert manager.post(_path(enrolled), {}, JSON).status_code == 202
        again = manager.post(_path(enrolled), {}, JSON)
        assert (again.status_code, again.json()["code"]) == (429, "rate_limited")
        assert int(again["Retry-After"]) >= 1


def test_two_who_ask_at_once_get_the_same_answer(patient: str, manager: Client, django_user_model: Any) -> None:
    """The robot hears one question, and both read its answer; the next question is a new one."""
    enrolled, other = builders.enrol(), _client(django_user_model, Role.ADMIN)
    path = _path(enrolled)
    with robot_peer(patient, enrolled.robot.id, enrolled.key, KNOWS) as peer:
        _joined(peer, enrolled)
        peer.expect(m.LogsWanted, timeout_s=30)
        asked = [client.post(path, {}, JSON).json()["question"] for client in (manager, other)]
        live.connection().delete(f"sop:robot:{enrolled.robot.id}:logs:newest")  # as after two seconds
        later = manager.post(path, {}, JSON).json()["question"]
        assert (len(set(asked)), later in asked) == (1, False)
        heard = [peer.expect(m.LogsWanted, timeout_s=30).request_id for _ in range(2)]
        assert heard == [asked[0], later]
        peer.send(m.RobotLogs(request_id=asked[0], lines=(_line("for both"),)))
        for client in (manager, other):
            found = _until(client, path, lambda body: body["answered"] == asked[0])
            assert [line["text"] for line in found["lines"]] == ["for both"]
    assert AuditEntry.objects.filter(action="robot.read_logs").count() == 3


def test_a_question_is_waited_for_though_another_was_asked_since() -> None:
    robot_id, first = uuid.uuid4(), str(uuid.uuid4())
    assert live.logs_question_put(robot_id, first) == first
    live.connection().delete(f"sop:robot:{robot_id}:logs:newest")
    second = str(uuid.uuid4())
    assert live.logs_question_put(robot_id, second) == second
    assert live.logs_answer_put(robot_id, first, [_line("late")])
    assert not live.logs_answer_put(robot_id, first, [_line("again")]), "an answer counts once"
    assert live.logs_answer_put(robot_id, second, [_line("newer")])
    assert live.logs_answer_get(robot_id)[0] == second


def test_what_is_kept_is_bounded() -> None:
    robot_id = uuid.uuid4()
    for start in range(0, 1200, 400):
        live.logs_add(robot_id, [_line(f"line {start + n}") for n in range(400)])
    kept = live.logs_get(robot_id)
    assert (len(kept), kept[-1].text) == (m.MAX_LOG_LINES, "line 1199")


def test_more_lines_or_longer_ones_are_no_frame() -> None:
    from fleet.protocol.codec import MAX_ROBOT_FRAME_BYTES, decode_robot_frame, encode_robot_frame

    largest = m.RobotLogs(lines=(_line("x" * m.MAX_LOG_TEXT),) * m.MAX_LOG_LINES)
    data = encode_robot_frame(m.RobotFrame(1, largest))
    assert len(data) < MAX_ROBOT_FRAME_BYTES
    decode_robot_frame(data)
    for wrong in (
        msgspec.structs.replace(largest, lines=largest.lines + largest.lines[:1]),
        m.RobotLogs(lines=(_line("x" * (m.MAX_LOG_TEXT + 1)),)),
    ):
        with pytest.raises(MalformedFrame):
            decode_robot_frame(encode_robot_frame(m.RobotFrame(1, wrong)))
