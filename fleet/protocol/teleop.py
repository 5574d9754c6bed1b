"""What an operator's browser and a robot say to each other over their peer connection. The server sees none of it.

JSON, one message a data-channel message, on two channels: "drive" is unordered and never retransmits, so what is late
is lost instead; "control" is ordered and reliable, and repeats what must arrive (a stop goes on both). Clocks ending
in `_ms` are monotonic milliseconds of whoever sent the message, the browser's or the robot's, and never comparable
without the offset that the robot measures by ClockProbe. A browser can only ask: `daemon/command_gate.py` decides.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fleet.protocol.authority import Mode, Source
from fleet.protocol.errors import UNPARSABLE, FrameTooLarge, MalformedFrame
from fleet.protocol.messages import Count, Message, Name, RowId, StopInfo, Text

DRIVE_CHANNEL = "drive"
CONTROL_CHANNEL = "control"
MAX_PEER_MESSAGE_BYTES = 4 * 1024

Axes = Annotated[tuple[float, ...], msgspec.Meta(max_length=64)]

# --- Browser -> robot ------------------------------------------------------------------------------------------------


class Drive(Message, frozen=True, tag="drive", kw_only=True):
    """An operator's command, 30 to 50 times a second while they hold the lease, moving or not.

    `seq` counts 1, 2, 3, ... in each peer. `sent_ms`: when the input was read. `axes`: float [A] in [-1, 1], the
    driver's action order, dead zone and speed level applied; kept axes hold their value. `video_age_ms`: how long ago
    the newest frame of the main view was decoded.
    """

    epoch: Count
    seq: Count
    sent_ms: float
    axes: Axes
    video_age_ms: float


class ClockEcho(Message, frozen=True, tag="clock_echo", kw_only=True):
    """Answer to ClockProbe, at once. `clock_ms`: the browser's clock now, the one of `sent_ms`."""

    probe: Count
    clock_ms: float


class PeerStop(Message, frozen=True, tag="stop", kw_only=True):
    """Stop the robot: anyone who watches may. The same `stop_id` goes over the websocket."""

    stop_id: RowId
    reason: Text = ""


PeerClientMessage = Drive | ClockEcho | PeerStop

# --- Robot -> browser ------------------------------------------------------------------------------------------------


class ClockProbe(Message, frozen=True, tag="clock_probe", kw_only=True):
    probe: Count


class FrameTimes(Message, frozen=True, tag="frame_times", kw_only=True):
    """One video frame that was sent. `rtp`: its RTP timestamp as the browser sees it; times by the robot's clock."""

    view: Name
    rtp: Count
    captured_ms: float
    encoded_ms: float
    size_bytes: Count
    is_key: bool


class Feedback(Message, frozen=True, tag="feedback", kw_only=True):
    """The robot at one control step.

    `limits`: why `applied` is less than `asked`: "delay", "video", "rate", "workspace", "slew". `offset_ms`: browser
    clock minus robot clock, and `rtt_ms`, as the robot measured them for this peer; None until it has. `refused`:
    code -> commands of this peer refused so far, without those of a lease that the robot had not heard of yet.
    `proposed`: what the policy would do now. `steps_left`: until the episode's time is over; standing still counts in
    `step` and takes none of them. Actions are float [A].
    """

    step_ms: float
    mode: Mode
    source: Source
    operator: Text
    epoch: Count
    is_driver: bool  # this peer's console holds the lease
    is_armed: bool  # neutral input was seen since the lease was taken; commands move the robot
    asked: Axes
    applied: Axes
    proposed: Axes | None
    limits: tuple[Name, ...]
    speed_cap: float
    command_age_ms: float | None
    offset_ms: float | None
    rtt_ms: float | None
    refused: dict[str, int]
    last_refusal: str
    state: Annotated[tuple[float, ...], msgspec.Meta(max_length=256)]
    episode_id: str | None
    step: Count
    max_steps: Count
    steps_left: Count | None = None
    stop: StopInfo | None
    detail: Text


PeerRobotMessage = ClockProbe | FrameTimes | Feedback

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PeerClientMessage)


def encode_peer_message(message: PeerRobotMessage) -> str:
    return _encoder.encode(message).decode()


def decode_peer_message(text: str | bytes) -> PeerClientMessage:
    """Parse what a browser sent over a data channel. Raises: FrameTooLarge, MalformedFrame."""
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MAX_PEER_MESSAGE_BYTES:
        raise FrameTooLarge(f"message of {len(data)} bytes", size=len(data), limit=MAX_PEER_MESSAGE_BYTES)
    try:
        message: PeerClientMessage = _decoder.decode(data)
    except UNPARSABLE as error:
        raise MalformedFrame(f"message does not parse: {str(error)[:200]}") from None
    return message
