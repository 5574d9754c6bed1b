"""A robot's log, as far as it is known here."""

from __future__ import annotations

from dataclasses import dataclass

from fleet import live
from fleet.models import Robot
from fleet.protocol.messages import LOGS_CAPABILITY

NS_A_MS = 1_000_000


@dataclass(frozen=True)
class ShownLine:
    """`at_ms`: by the robot's clock, Unix milliseconds."""

    at_ms: int
    level: str
    logger: str
    text: str


@dataclass(frozen=True)
class RobotLog:
    """`lines`: the newest first. `answered`: the question that was answered last, None before the first."""

    is_online: bool
    can_send: bool
    answered: str | None
    lines: list[ShownLine]


def robot_logs(*, robot: Robot) -> RobotLog:
    """Return the lines that the robot sent by itself together with its last answer, each once."""
    answered, answer = live.logs_answer_get(robot.id)
    lines = dict.fromkeys([*live.logs_get(robot.id), *answer])
    shown = [
        ShownLine(line.at_ns // NS_A_MS, line.level, line.logger, line.text)
        for line in sorted(lines, key=lambda line: line.at_ns, reverse=True)
    ]
    is_online = live.statuses_get([robot.id])[0] is not None
    return RobotLog(is_online, LOGS_CAPABILITY in robot.capabilities, answered, shown)
