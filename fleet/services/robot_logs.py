"""Robots' logs: what daemons send is kept in Redis for a while, and asked for by managers and admins.

No row holds them: they are for looking at what is wrong now. A line is the robot's word, its secrets left out by it.
"""

from __future__ import annotations

import logging
import uuid

from django.conf import settings
from django.db import transaction

from fleet import live
from fleet.errors import LogsUnknown, RateLimited, RobotOffline, RobotRetired
from fleet.events import ask_robot_logs
from fleet.models import Robot
from fleet.protocol.messages import LOGS_CAPABILITY, LogLine, RobotLogs
from fleet.rate_limit import rate_limit_take
from fleet.services.audit import audit_record
from fleet.services.text import storable

logger = logging.getLogger(__name__)


def robot_logs_heard(*, robot_id: str, logs: RobotLogs) -> None:
    """Keep what a robot sent: an answer in the place of the one before, if it was asked for; else beside the others."""
    lines = [_plain(line) for line in logs.lines]
    if logs.dropped:
        text = f"{logs.dropped} more warnings or errors came too fast to be sent"
        at_ns = lines[-1].at_ns if lines else 0
        lines.append(LogLine(at_ns=at_ns, level="warning", logger="sop", text=text))
    if not logs.request_id:
        live.logs_add(robot_id, lines)
    elif not live.logs_answer_put(robot_id, logs.request_id, lines):
        logger.info("log lines that nobody asked for", extra={"event": {"robot": robot_id}})


def robot_logs_ask(*, robot: Robot, limit: int) -> str:
    """Have the robot send its last lines of every level; return the question's id, by which the answer is known.

    Who asks within two seconds of another shares that question and its answer.
    Raises: RobotRetired, RobotOffline, LogsUnknown for a daemon that is too old, RateLimited.
    """
    if robot.retired_at is not None:
        raise RobotRetired(f"{robot.name} is retired")
    if live.statuses_get([robot.id])[0] is None:
        raise RobotOffline(f"{robot.name} is not connected; its newest warnings are those from before")
    if LOGS_CAPABILITY not in robot.capabilities:
        raise LogsUnknown(f"{robot.name}'s daemon does not send its log yet; update it")
    taken = rate_limit_take(who=f"logs:{robot.id}", per_minute=settings.SOP_LOGS_PER_MIN)
    if taken is not None and not taken.is_allowed:
        raise RateLimited(f"{robot.name}'s log was read a moment ago", wait_s=taken.wait_s)
    own = str(uuid.uuid4())
    request_id = live.logs_question_put(robot.id, own)
    with transaction.atomic():
        audit_record(action="robot.read_logs", subject=robot, after={"lines": limit})
        if request_id == own:
            ask_robot_logs(robot.id, request_id=request_id, limit=limit)
    return request_id


def _plain(line: LogLine) -> LogLine:
    """A robot may send anything; what could turn the reader's terminal or page is left out."""
    text = "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in line.text)
    return LogLine(at_ns=line.at_ns, level=storable(line.level), logger=storable(line.logger), text=text)
