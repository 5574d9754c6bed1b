"""What a robot's daemon says of its log: asked for warnings when it joins, kept in Redis, bounded in rate and size."""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet.consumers.auth import off_loop
from fleet.protocol.messages import LOGS_CAPABILITY, Hello, LogsWanted, RobotLogs
from fleet.services.robot_logs import robot_logs_heard

FIRST_LINES = 100  # warnings and worse that a joining robot sends
PERIOD_S = 0.5  # a daemon sends one message a second; what comes faster is dropped, answers apart


class RobotLogDesk:
    """Lives with the connection."""

    def __init__(self, send: Callable[[LogsWanted], None]) -> None:
        self._send = send
        self._due_s = 0.0

    def welcome(self, hello: Hello) -> None:
        """Ask a daemon that knows the question; any other would take it for a broken frame."""
        if LOGS_CAPABILITY in hello.capabilities:
            self._send(LogsWanted(limit=FIRST_LINES))

    async def heard(self, robot_id: str, logs: RobotLogs) -> None:
        """Keep the lines. An answer counts only if it was asked for, so it cannot flood either."""
        now_s = time.monotonic()
        if not logs.request_id:
            if now_s < self._due_s:
                return
            self._due_s = now_s + PERIOD_S
        await off_loop(robot_logs_heard, robot_id=robot_id, logs=logs)
