"""Everything else the server sends to a robot, and all of it as one union."""

from __future__ import annotations

import msgspec

from fleet.protocol.messages.common import Count, Fault, Message, Name, OrderKind, Part, RowId, Sdp, StopInfo, Text
from fleet.protocol.messages.desired_state import DesiredState, LeaseInfo
from fleet.protocol.messages.episodes import EpisodeRefused, EpisodeRegistered, UploadGrant
from fleet.protocol.messages.logs import LogsWanted


class IceServer(Part, frozen=True, kw_only=True):
    """One STUN or TURN server, as RTCIceServer; TURN credentials are valid for a limited time."""

    urls: tuple[Text, ...]
    username: Text = ""
    credential: Text = ""


class Welcome(Message, frozen=True, tag="welcome", kw_only=True):
    """Answer to Hello: the session's timers and the full state."""

    protocol: int
    session_id: str
    heartbeat_s: float
    clock_ns: int
    state: DesiredState


class HeartbeatAck(Message, frozen=True, tag="heartbeat_ack", kw_only=True):
    """Echo of the robot's clock, for round-trip time and clock offset."""

    clock_ns: int
    server_clock_ns: int


class StateChanged(Message, frozen=True, tag="state_changed", kw_only=True):
    state: DesiredState


class LeaseReply(Message, frozen=True, tag="lease_reply", kw_only=True):
    request_id: str
    lease: LeaseInfo | None
    code: str = ""  # when refused
    message: Text = ""


class PeerOffer(Message, frozen=True, tag="peer_offer", kw_only=True):
    """A signed-in person's browser wants the video. A second offer with the same `peer_id` replaces that peer.

    `views`: names for the offer's video transceivers, in order. `connection`: compared with the lease's, to drive.
    """

    peer_id: RowId
    connection: RowId
    user: Text
    views: tuple[Name, ...]
    sdp: Sdp
    ice_servers: tuple[IceServer, ...]


class PeerClose(Message, frozen=True, tag="peer_close", kw_only=True):
    """The person left, or may not watch any more."""

    peer_id: RowId
    reason: Text


class StopRobot(Message, frozen=True, tag="stop_robot", kw_only=True):
    """Stop now. The state that follows says the same."""

    stop: StopInfo


class EpisodeOrder(Message, frozen=True, tag="episode_order", kw_only=True):
    """Of the holder of lease `epoch`, about the episode that they saw. Answered by OrderDone."""

    order_id: RowId
    epoch: Count
    kind: OrderKind
    episode_id: RowId
    by: Text
    reason: Text = ""


ServerMessage = (
    Welcome
    | HeartbeatAck
    | StateChanged
    | UploadGrant
    | EpisodeRegistered
    | EpisodeRefused
    | LeaseReply
    | PeerOffer
    | PeerClose
    | StopRobot
    | EpisodeOrder
    | LogsWanted
    | Fault
)


class ServerFrame(msgspec.Struct, frozen=True, array_like=True):
    seq: Count
    body: ServerMessage
