"""The protocol before this one, as its own bytes: golden_v2/ is what its robots and servers wrote; it never changes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleet.protocol import codec, compat, messages
from fleet.protocol.errors import UnsupportedProtocol
from fleet.protocol.messages import PROTOCOL_VERSION, Hello, ServerFrame, Welcome
from fleet.protocol.session import RobotSession, ServerSession
from tests.fleet.protocol import samples

OLD = compat.OLDEST_ROBOT
FROZEN = Path(__file__).parent / f"golden_v{OLD}"
FROM_ROBOTS = sorted(path.name for path in FROZEN.glob("robot-*.msgpack"))
TO_ROBOTS = {type(message).__name__: (index, message) for index, message in enumerate(samples.SERVER_MESSAGES)}


def test_there_is_a_corpus_of_the_protocol_before() -> None:
    assert len(FROM_ROBOTS) >= 14 and len(list(FROZEN.glob("server-*.msgpack"))) >= 13
    assert msgspec.msgpack.decode((FROZEN / "robot-Hello.msgpack").read_bytes())[1]["protocol"] == OLD


@pytest.mark.parametrize("name", FROM_ROBOTS)
def test_what_an_older_robot_wrote_is_read_and_means_the_same(name: str) -> None:
    """What came later is absent from it, and so from what this side would write of it."""
    data = (FROZEN / name).read_bytes()
    assert codec.encode_robot_frame(codec.decode_robot_frame(data)) == data


@pytest.mark.parametrize("name", sorted(TO_ROBOTS))
def test_what_an_older_robot_gets_are_the_bytes_of_its_own_time(name: str) -> None:
    """A difference is a field that an old robot refuses, with the whole message: name it in compat.FIELDS_SINCE. Of a
    message that it does not know at all nothing is sent: name that in compat.MESSAGES_SINCE."""
    index, message = TO_ROBOTS[name]
    if isinstance(message, Welcome):
        message = msgspec.structs.replace(message, protocol=OLD)
    sent = compat.for_robot(message, OLD)
    path = FROZEN / f"server-{name}.msgpack"
    if sent is None:
        assert not path.exists()
    else:
        frozen = msgspec.msgpack.decode(path.read_bytes())
        assert codec.encode_server_frame(ServerFrame(index + 1, sent)) == msgspec.msgpack.encode([index + 1, frozen[1]])


def test_nothing_is_taken_from_a_robot_of_today() -> None:
    for message in samples.SERVER_MESSAGES:
        assert compat.for_robot(message, PROTOCOL_VERSION) is message


def test_the_tables_name_what_is_there_and_may_be_absent() -> None:
    for kind, fields in compat.FIELDS_SINCE.items():
        for name, since in fields.items():
            found = next(field for field in msgspec.structs.fields(kind) if field.name == name)
            assert found.default is msgspec.UNSET and since == PROTOCOL_VERSION, name
    assert set(compat.MESSAGES_SINCE.values()) <= {PROTOCOL_VERSION}


def _greet(protocol: int) -> ServerSession:
    hello = next(message for message in samples.ROBOT_MESSAGES if isinstance(message, Hello))
    server = ServerSession(now=0.0, heartbeat_s=2.0)
    frame = messages.RobotFrame(1, msgspec.structs.replace(hello, protocol=protocol))
    server.receive(codec.encode_robot_frame(frame), now=0.0)
    return server


def test_a_session_speaks_as_its_robot_does() -> None:
    """Welcome names the robot's own number, without which it would leave."""
    server = _greet(OLD)
    assert server.protocol == OLD
    server.send(Welcome(protocol=server.protocol, session_id="s", heartbeat_s=2.0, clock_ns=1, state=samples.STATE))
    [_, body] = msgspec.msgpack.decode(server.drain()[0])
    assert body["protocol"] == OLD and "traceparent" not in body["state"]["policy"]
    today = _greet(PROTOCOL_VERSION)
    today.send(Welcome(protocol=today.protocol, session_id="s", heartbeat_s=2.0, clock_ns=1, state=samples.STATE))
    assert msgspec.msgpack.decode(today.drain()[0])[1]["state"]["policy"]["traceparent"] == samples.TRACEPARENT


@pytest.mark.parametrize("protocol", [OLD - 1, PROTOCOL_VERSION + 1])
def test_others_are_told_what_is_spoken(protocol: int) -> None:
    with pytest.raises(UnsupportedProtocol, match=f"speaks protocol {OLD} to {PROTOCOL_VERSION}, the peer {protocol}"):
        _greet(protocol)


def test_a_robot_speaks_its_own_number_alone() -> None:
    """An older server is not what it can work with: the server is upgraded first."""
    hello = next(message for message in samples.ROBOT_MESSAGES if isinstance(message, Hello))
    session = RobotSession(hello, now=0.0)
    session.drain()
    with pytest.raises(UnsupportedProtocol):
        session.receive((FROZEN / "server-Welcome.msgpack").read_bytes(), now=0.0)
