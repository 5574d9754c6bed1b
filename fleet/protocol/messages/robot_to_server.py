"""Everything else a robot sends, and all of it as one union."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from fleet.protocol.messages.common import Count, Message, Name, Resync, RowId, Sdp, Text
from fleet.protocol.messages.episodes import EpisodeReady, UploadRequest
from fleet.protocol.messages.logs import RobotLogs
from fleet.protocol.messages.robot_status import DriverInfo, RobotStatus


class Hello(Message, frozen=True, tag="hello", kw_only=True):
    """First message of a robot. Credentials travel in the HTTP upgrade, not here."""

    protocol: int
    daemon_version: Text
    boot_id: Text  # new for every daemon process
    clock_ns: int
    driver: DriverInfo
    architectures: tuple[str, ...]  # policy architectures this daemon can host
    capabilities: tuple[str, ...]
    policy_version_id: str | None


class Heartbeat(Message, frozen=True, tag="heartbeat", kw_only=True):
    clock_ns: int
    status: RobotStatus


class Thumbnail(Message, frozen=True, tag="thumbnail", kw_only=True):
    """A JPEG for the fleet page, at most one a second. Latest wins everywhere."""

    camera: Name
    captured_ns: int
    jpeg: Annotated[bytes, msgspec.Meta(max_length=64 * 1024)]


class PolicyApplied(Message, frozen=True, tag="policy_applied", kw_only=True):
    """The version is loaded and drives from the next episode on. `fetched_bytes` excludes blobs already held."""

    version_id: str
    fetched_ns: int
    applied_ns: int
    fetched_bytes: Count


class PolicyRefused(Message, frozen=True, tag="policy_refused", kw_only=True):
    version_id: str
    code: Name
    message: Text


class ShadowState(enum.StrEnum):
    """How far a robot is with what it shall shadow."""

    FETCHING = "fetching"
    RUNNING = "running"  # loaded; it proposes from the next episode on
    REFUSED = "refused"  # with a code
    ENDED = "ended"  # enough episodes, or late enough


class ShadowReport(Message, frozen=True, tag="shadow_report", kw_only=True):
    """The newest counts; sent at each change and on each connection, only to a server whose state had ShadowWish."""

    shadow_id: RowId
    state: ShadowState
    episodes: Count = 0  # with proposals, on this robot
    code: Annotated[str, msgspec.Meta(max_length=100)] = ""
    message: Text = ""


class LeaseRequest(Message, frozen=True, tag="lease_request", kw_only=True):
    """The scripted supervisor asks to take over. Answered by LeaseReply with the same `request_id`."""

    request_id: str
    reason: Text


class LeaseRenew(Message, frozen=True, tag="lease_renew", kw_only=True):
    epoch: Count


class LeaseRelease(Message, frozen=True, tag="lease_release", kw_only=True):
    epoch: Count
    reason: Text


class PeerAnswer(Message, frozen=True, tag="peer_answer", kw_only=True):
    """Answer to PeerOffer. `sdp`: with all candidates (no trickle); "" with a `code` when refused."""

    peer_id: RowId
    sdp: Sdp = ""
    code: str = ""
    message: Text = ""


class OrderDone(Message, frozen=True, tag="order_done", kw_only=True):
    """Answer to EpisodeOrder. `code` is "" if it was done."""

    order_id: RowId
    code: str = ""
    message: Text = ""


class Goodbye(Message, frozen=True, tag="goodbye", kw_only=True):
    reason: Text


RobotMessage = (
    Hello
    | Heartbeat
    | Thumbnail
    | UploadRequest
    | EpisodeReady
    | PolicyApplied
    | PolicyRefused
    | ShadowReport
    | LeaseRequest
    | LeaseRenew
    | LeaseRelease
    | Resync
    | PeerAnswer
    | OrderDone
    | RobotLogs
    | Goodbye
)


class RobotFrame(msgspec.Struct, frozen=True, array_like=True):
    """[seq, body]: `seq` counts 1, 2, 3, ... in each direction of each connection."""

    seq: Count
    body: RobotMessage
