"""A robot's log, in both directions."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fleet.protocol.messages.common import Count, Message, Part, RowId

MAX_LOG_LINES = 500  # of one message: with the texts' length below, a frame stays under its limit
MAX_LOG_TEXT = 1000  # bytes, as the daemon cuts it
LOGS_CAPABILITY = "logs"


class LogLine(Part, frozen=True, kw_only=True):
    """One line of a daemon's log, by the robot's clock; secrets are left out before it goes anywhere."""

    at_ns: int
    level: Annotated[str, msgspec.Meta(max_length=16)]  # debug, info, warning, error or critical
    logger: Annotated[str, msgspec.Meta(max_length=100)]
    text: Annotated[str, msgspec.Meta(max_length=MAX_LOG_TEXT)]


class RobotLogs(Message, frozen=True, tag="robot_logs", kw_only=True):
    """Lines of the robot's log, the oldest first: an answer to LogsWanted, or warnings and errors as they come.

    Sent only on connections whose server said LogsWanted. `request_id`: of the question, "" for what comes by itself.
    `dropped`: lines that did not fit since the last such message.
    """

    request_id: RowId = ""
    lines: Annotated[tuple[LogLine, ...], msgspec.Meta(max_length=MAX_LOG_LINES)]
    dropped: Count = 0


class LogsWanted(Message, frozen=True, tag="logs_wanted", kw_only=True):
    """Answer with the last `limit` lines, and from now on send warnings and errors as they come.

    Only to daemons that named the capability "logs" in Hello: others do not know the message. With a `request_id` lines
    of every level are asked for, without one warnings and worse.
    """

    request_id: RowId = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LOG_LINES)]
