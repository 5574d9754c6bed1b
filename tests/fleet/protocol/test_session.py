"""The link without sockets: greeting, sequence gaps, deadlines, and a bounded coalescing outbox."""

import msgspec
import pytest

from fleet.protocol import codec, messages
from fleet.protocol.errors import (
    MalformedFrame,
    OutboxFull,
    PeerSilent,
    UnexpectedMessage,
    UnsupportedProtocol,
)
from fleet.protocol.messages import (
    Fault,
    Goodbye,
    Heartbeat,
    Hello,
    Resync,
    ServerFrame,
    StateChanged,
    Welcome,
)
from fleet.protocol.session import HELLO_TIMEOUT_S, OUTBOX_LIMIT, Outbox, RobotSession, ServerSession
from tests.fleet.protocol import samples

HELLO = samples.ROBOT_MESSAGES[0]
WELCOME = samples.SERVER_MESSAGES[0]
assert isinstance(HELLO, Hello)
assert isinstance(WELCOME, Welcome)


def greeted() -> tuple[RobotSession, ServerSession]:
    """Return both ends after Hello and Welcome, at time 0."""
    robot, server = RobotSession(HELLO, now=0.0), ServerSession(now=0.0, heartbeat_s=2.0)
    for frame in robot.drain():
        assert server.receive(frame, now=0.0) == [HELLO]
    server.send(WELCOME)
    for frame in server.drain():
        assert robot.receive(frame, now=0.0) == [WELCOME]
    return robot, server


def test_greeting_opens_both_ends() -> None:
    robot, server = greeted()
    robot.send(Goodbye(reason="bye"))
    assert [m for f in robot.drain() for m in server.receive(f, now=1.0)] == [Goodbye(reason="bye")]
    assert robot.heartbeat_s == 2.0


def test_nothing_is_sent_before_the_greeting() -> None:
    robot, server = RobotSession(HELLO, now=0.0), ServerSession(now=0.0, heartbeat_s=2.0)
    with pytest.raises(UnexpectedMessage):
        robot.send(Goodbye(reason=""))
    with pytest.raises(UnexpectedMessage):
        server.send(StateChanged(state=samples.STATE))
    server.send(Fault(code="unauthorised", message="no", is_fatal=True))
    assert len(server.drain()) == 1


def test_first_message_must_be_hello_and_only_the_first() -> None:
    server = ServerSession(now=0.0, heartbeat_s=2.0)
    goodbye = codec.encode_robot_frame(messages.RobotFrame(1, Goodbye(reason="")))
    with pytest.raises(UnexpectedMessage):
        server.receive(goodbye, now=0.0)
    _, server = greeted()
    with pytest.raises(UnexpectedMessage):
        server.receive(codec.encode_robot_frame(messages.RobotFrame(2, HELLO)), now=0.0)


@pytest.mark.parametrize("extra", [{}, {"field_of_the_future": 1}])
def test_newer_peer_is_told_its_version_even_when_its_hello_does_not_parse(extra: dict[str, int]) -> None:
    body = {**msgspec.to_builtins(HELLO), "protocol": 99, **extra}
    server = ServerSession(now=0.0, heartbeat_s=2.0)
    with pytest.raises(UnsupportedProtocol) as caught:
        server.receive(msgspec.msgpack.encode([1, body]), now=0.0)
    assert caught.value.data == {"spoken": messages.PROTOCOL_VERSION, "offered": 99}


def test_unknown_field_of_this_version_is_malformed() -> None:
    body = {**msgspec.to_builtins(HELLO), "surprise": 1}
    with pytest.raises(MalformedFrame):
        ServerSession(now=0.0, heartbeat_s=2.0).receive(msgspec.msgpack.encode([1, body]), now=0.0)


def test_gap_makes_the_robot_ask_for_a_resync() -> None:
    robot, server = greeted()
    frame = codec.encode_server_frame(ServerFrame(5, samples.SERVER_MESSAGES[1]))
    robot.receive(frame, now=0.0)
    sent = [message for data in robot.drain() for message in server.receive(data, now=0.0)]
    assert sent == [Resync(last_seq=5)]


def test_gap_from_the_robot_yields_a_resync_before_the_message() -> None:
    _, server = greeted()
    frame = codec.encode_robot_frame(messages.RobotFrame(9, Goodbye(reason="x")))
    assert server.receive(frame, now=0.0) == [Resync(last_seq=9), Goodbye(reason="x")]


def test_heartbeats_fall_due_at_the_server_s_interval() -> None:
    robot, _ = greeted()
    due = [now for now in (0.0, 1.0, 1.9, 2.0, 2.1, 3.9, 4.1) if robot.is_heartbeat_due(now=now)]
    assert due == [0.0, 2.0, 4.1]


def test_silence_is_noticed_by_both_ends() -> None:
    robot, server = greeted()
    robot.is_heartbeat_due(now=6.9)
    server.check_deadline(now=6.9)
    with pytest.raises(PeerSilent):
        robot.is_heartbeat_due(now=7.1)
    with pytest.raises(PeerSilent):
        server.check_deadline(now=7.1)


def test_greeting_has_a_deadline() -> None:
    robot, server = RobotSession(HELLO, now=0.0), ServerSession(now=0.0, heartbeat_s=60.0)
    assert not robot.is_heartbeat_due(now=HELLO_TIMEOUT_S)
    with pytest.raises(PeerSilent):
        robot.is_heartbeat_due(now=HELLO_TIMEOUT_S + 0.1)
    with pytest.raises(PeerSilent):
        server.check_deadline(now=HELLO_TIMEOUT_S + 0.1)


def test_outbox_keeps_only_the_newest_of_coalesced_kinds() -> None:
    robot, server = greeted()
    beats = [Heartbeat(clock_ns=n, status=samples.STATUS) for n in range(OUTBOX_LIMIT * 2)]
    for beat in beats:
        robot.send(beat)
    sent = [message for data in robot.drain() for message in server.receive(data, now=0.0)]
    assert sent == [beats[-1]]


def test_outbox_is_bounded() -> None:
    outbox: Outbox[messages.RobotMessage] = Outbox(limit=3)
    for number in range(3):
        outbox.put(Goodbye(reason=str(number)))
    with pytest.raises(OutboxFull):
        outbox.put(Goodbye(reason="3"))
    assert [message.reason for message in outbox.take_all()] == ["0", "1", "2"]  # type: ignore[union-attr]
