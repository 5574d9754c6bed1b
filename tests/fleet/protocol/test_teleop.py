"""Messages of the peer connection: they survive the wire, and bad input gives typed errors and nothing else."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.protocol import teleop
from fleet.protocol.errors import FrameTooLarge, MalformedFrame, ProtocolError
from tests.fleet.protocol import samples

DRIVE = teleop.Drive(epoch=3, seq=1, sent_ms=1234.5, axes=(0.5, 0.0, -1.0, 1.0), video_age_ms=40.0)


@pytest.mark.parametrize(
    "message",
    [DRIVE, teleop.ClockEcho(probe=1, clock_ms=2.0), teleop.PeerStop(stop_id=samples.STOP_ID)],
    ids=lambda message: type(message).__name__,
)
def test_what_a_browser_sends_is_read(message: teleop.PeerClientMessage) -> None:
    assert teleop.decode_peer_message(msgspec.json.encode(message).decode()) == message


@pytest.mark.parametrize(
    "change",
    [{"epoch": -1}, {"axes": [0.0] * 65}, {"axes": ["1"]}, {"sent_ms": None}, {"type": "feedback"}, {"unknown": 1}],
    ids=str,
)
def test_a_malformed_command_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedFrame):
        teleop.decode_peer_message(json.dumps(msgspec.to_builtins(DRIVE) | change))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    text = msgspec.json.encode(DRIVE).decode().replace("1234.5", number)
    with pytest.raises(MalformedFrame):
        teleop.decode_peer_message(text)


def test_a_message_has_a_largest_size() -> None:
    with pytest.raises(FrameTooLarge):
        teleop.decode_peer_message(" " * (teleop.MAX_PEER_MESSAGE_BYTES + 1))


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_protocol_errors(data: bytes) -> None:
    try:
        teleop.decode_peer_message(data)
    except ProtocolError:
        return
