"""What the other modules are made of, and what both links have in common."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

PROTOCOL_VERSION = 3  # what came with it: compat.py

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Count = Annotated[int, msgspec.Meta(ge=0)]
RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
RowId = Annotated[str, msgspec.Meta(max_length=36)]  # a UUID; checked where it is used
Sdp = Annotated[str, msgspec.Meta(max_length=48 * 1024)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value inside messages."""


class Message(Part, frozen=True, tag_field="type"):
    """Base of everything that is sent on its own."""


class StopInfo(Part, frozen=True, kw_only=True):
    """A stop. It latches; clearing names its `stop_id`, so that a later stop is not cleared with it."""

    stop_id: RowId
    by: Text
    reason: Text = ""
    at_ns: int  # clock of whoever made it


class HelpReason(enum.StrEnum):
    """Why a robot asks for a person."""

    NO_PROGRESS = "no_progress"
    UNCERTAIN = "uncertain"  # the policy's samples disagree
    CONSTRAINT = "constraint"  # a limit was hit again and again
    PAUSED = "paused"  # it stands still and only a person resumes it


class OrderKind(enum.StrEnum):
    """What an operator wants of the running episode. SUCCESS and FAILURE end it with the operator's label."""

    SUCCESS = "success"
    FAILURE = "failure"
    RESTART = "restart"  # end as aborted; the same task again, with a new scene
    END = "end"  # end as aborted; the next task as drawn


class Resync(Message, frozen=True, tag="resync", kw_only=True):
    """A gap in the sequence was seen: send the whole state again."""

    last_seq: Count


class Fault(Message, frozen=True, tag="fault", kw_only=True):
    """The peer did something wrong. With `is_fatal` the link closes after it."""

    code: Name
    message: Text
    is_fatal: bool
