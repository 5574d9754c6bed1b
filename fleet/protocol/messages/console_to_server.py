"""What consoles send: what they watch, and requests, each of which gets one ConsoleReply."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fleet.protocol.messages.common import Count, Message, Name, OrderKind, RequestId, Resync, RowId, Sdp, Text


class WatchRun(Message, frozen=True, tag="watch_run", kw_only=True):
    """Send RunRows of this run from now on, and of no other; None: of none. Each connection begins with none."""

    run_id: Annotated[str, msgspec.Meta(max_length=36)] | None


class ConsolePing(Message, frozen=True, tag="ping", kw_only=True):
    clock_ms: int


class ConsoleAcquire(Message, frozen=True, tag="acquire", kw_only=True):
    """Drive a robot that no person drives; the scripted supervisor gives way."""

    request_id: RequestId
    robot_id: RowId
    reason: Text = ""


class ConsoleTake(Message, frozen=True, tag="take", kw_only=True):
    """Take from the person who drives under `from_epoch`, as confirmed; refused if that is no longer the holder."""

    request_id: RequestId
    robot_id: RowId
    from_epoch: Count
    reason: Text = ""


class ConsoleRenew(Message, frozen=True, tag="renew", kw_only=True):
    """Keep the lease that this connection holds."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count


class ConsoleRelease(Message, frozen=True, tag="release", kw_only=True):
    """Hand the robot back to its policy."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count
    reason: Text = ""


class ConsoleAsk(Message, frozen=True, tag="ask", kw_only=True):
    """Ask the holder of lease `epoch` for it."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count


class ConsoleTransfer(Message, frozen=True, tag="transfer", kw_only=True):
    """Let `to_user` take the lease that this connection holds. It stays here until they do."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count
    to_user: Text


class ConsoleStop(Message, frozen=True, tag="stop", kw_only=True):
    """Stop the robot. Anyone signed in may. The same `stop_id` goes over the data channel, if there is one."""

    request_id: RequestId
    robot_id: RowId
    stop_id: RowId
    reason: Text = ""


class ConsoleClear(Message, frozen=True, tag="clear", kw_only=True):
    """Clear this stop. The holder of the lease or an admin may; the robot stays still and disarmed."""

    request_id: RequestId
    robot_id: RowId
    stop_id: RowId


class ConsolePeerOffer(Message, frozen=True, tag="peer_offer", kw_only=True):
    """Pass this offer on to the robot. The reply says whether it was; a ConsolePeerAnswer follows within seconds."""

    request_id: RequestId
    robot_id: RowId
    peer_id: RowId
    views: tuple[Name, ...]
    sdp: Sdp


class ConsolePeerClose(Message, frozen=True, tag="peer_close", kw_only=True):
    request_id: RequestId
    robot_id: RowId
    peer_id: RowId


class ConsoleOrder(Message, frozen=True, tag="order", kw_only=True):
    """What the holder of lease `epoch` wants of the running episode. Replied when the robot has answered."""

    request_id: RequestId
    robot_id: RowId
    epoch: Count
    kind: OrderKind
    episode_id: RowId
    reason: Text = ""


ConsoleRequest = (
    ConsoleAcquire
    | ConsoleTake
    | ConsoleRenew
    | ConsoleRelease
    | ConsoleAsk
    | ConsoleTransfer
    | ConsoleStop
    | ConsoleClear
    | ConsolePeerOffer
    | ConsolePeerClose
    | ConsoleOrder
)
ConsoleClientMessage = ConsolePing | Resync | WatchRun | ConsoleRequest


class ConsoleClientFrame(msgspec.Struct, frozen=True, array_like=True):
    seq: Count
    body: ConsoleClientMessage
