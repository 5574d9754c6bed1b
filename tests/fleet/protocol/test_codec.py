"""Frames survive the wire, golden files pin its bytes, and bad bytes give typed errors."""

import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.protocol import codec, messages
from fleet.protocol.errors import FrameTooLarge, MalformedFrame, ProtocolError
from tests.fleet.protocol import samples

GOLDEN = Path(__file__).parent / "golden"

KINDS = {
    "robot": (messages.RobotFrame, samples.ROBOT_MESSAGES, codec.encode_robot_frame, codec.decode_robot_frame),
    "server": (messages.ServerFrame, samples.SERVER_MESSAGES, codec.encode_server_frame, codec.decode_server_frame),
    "console_server": (
        messages.ConsoleServerFrame,
        samples.CONSOLE_SERVER_MESSAGES,
        codec.encode_console_frame,
        codec.decode_console_server_frame,
    ),
    "console_client": (
        messages.ConsoleClientFrame,
        samples.CONSOLE_CLIENT_MESSAGES,
        lambda frame: msgspec.json.encode(frame),
        codec.decode_console_client_frame,
    ),
}
CASES = [
    pytest.param(kind, index, id=f"{kind}-{type(message).__name__}")
    for kind, (_, sample, _, _) in KINDS.items()
    for index, message in enumerate(sample)
]


@pytest.mark.parametrize(("kind", "index"), CASES)
def test_frame_survives_the_wire(kind: str, index: int) -> None:
    frame_type, sample, encode, decode = KINDS[kind]
    frame = frame_type(index + 1, sample[index])
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize(("kind", "index"), CASES)
def test_bytes_equal_the_golden_file(kind: str, index: int) -> None:
    """A changed file here is a changed wire format: it needs a new PROTOCOL_VERSION (regenerate: golden/README.md)."""
    frame_type, sample, encode, _ = KINDS[kind]
    data = encode(frame_type(index + 1, sample[index]))
    suffix = "json" if kind.startswith("console") else "msgpack"
    assert data == (GOLDEN / f"{kind}-{type(sample[index]).__name__}.{suffix}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_has_a_sample(kind: str) -> None:
    frame_type, sample, _, _ = KINDS[kind]
    union = typing.get_type_hints(frame_type)["body"]
    shared = {messages.Fault} if kind == "console_server" else set()
    assert {type(message) for message in sample} | shared == set(typing.get_args(union))


@pytest.mark.parametrize(
    "body",
    [
        {"type": "goodbye", "reason": "x", "extra": 1},
        {"type": "no_such_message"},
        {"reason": "no tag"},
        {"type": "goodbye", "reason": 5},
        {"type": "thumbnail", "camera": "front", "captured_ns": 1, "jpeg": b"x" * (64 * 1024 + 1)},
    ],
)
def test_unknown_and_wrong_fields_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(MalformedFrame):
        codec.decode_robot_frame(msgspec.msgpack.encode([1, body]))


def test_oversized_frame_is_refused_before_decoding() -> None:
    with pytest.raises(FrameTooLarge) as caught:
        codec.decode_robot_frame(b"\x00" * (codec.MAX_ROBOT_FRAME_BYTES + 1))
    assert caught.value.code == "frame_too_large"


@given(st.binary(max_size=300))
def test_random_bytes_raise_only_protocol_errors(data: bytes) -> None:
    for _, _, _, decode in KINDS.values():
        try:
            decode(data)
        except ProtocolError:
            continue


@given(st.sampled_from(samples.ROBOT_MESSAGES), st.data())
def test_damaged_frames_raise_only_protocol_errors(message: messages.RobotMessage, data: st.DataObject) -> None:
    frame = bytearray(codec.encode_robot_frame(messages.RobotFrame(1, message)))
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] = data.draw(st.integers(0, 255))
    try:
        codec.decode_robot_frame(bytes(frame))
    except ProtocolError:
        return
