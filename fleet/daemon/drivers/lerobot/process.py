"""The host process as the driver sees it: started, asked with a deadline, ended. Used from the control thread, but for
`film`, which has a socket and a lock of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleet.daemon.drivers.base import DriverError
from fleet.daemon.drivers.lerobot import wire

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[4]
MODULE = "fleet.daemon.drivers.lerobot.host"
END_S = 3.0  # for the robot to disconnect, before its process is killed


class RobotError(DriverError):
    """What the robot's process said, or that it says nothing; the code is its own.

    lerobot_missing, robot_config, robot_differs: the configuration. device_missing, not_calibrated: at connecting.
    device_lost, camera_frozen, robot_failed: while it worked. robot_silent, robot_lost: the process itself.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class HostProcess:
    """Construct to start; `close` ends it, whatever it does."""

    def __init__(self, python: str, plugin_path: Sequence[str]) -> None:
        """Raises: RobotError if there is no such interpreter."""
        self._control, control = socket.socketpair()
        self._film, film = socket.socketpair()
        self._filming = threading.Lock()
        path = os.pathsep.join([str(ROOT), *plugin_path])
        try:
            self._process = subprocess.Popen(
                [python, "-m", MODULE, str(control.fileno()), str(film.fileno())],
                pass_fds=(control.fileno(), film.fileno()),
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,  # a calibration that asks questions fails at once
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl+C ends the daemon, which then disconnects the robot
            )
        except OSError as error:
            self._control.close()
            self._film.close()
            raise RobotError("lerobot_missing", f"'{python}' cannot be started: {error}") from None
        finally:
            control.close()
            film.close()

    def ask(self, op: str, *, timeout_s: float, **values: Any) -> tuple[dict[str, Any], bytearray]:
        """Return the answer. Raises: RobotError; after robot_silent and robot_lost nothing else is answered."""
        return self._exchange(self._control, {"op": op, **values}, timeout_s)

    def film(self, name: str, *, timeout_s: float) -> tuple[dict[str, Any], bytearray]:
        """Return the newest picture of a camera. Raises: RobotError."""
        with self._filming:
            return self._exchange(self._film, {"op": "film", "name": name}, timeout_s)

    def check(self) -> None:
        """Raises: RobotError robot_lost if the process ended; asks it nothing."""
        status = self._process.poll()
        if status is not None:
            raise RobotError("robot_lost", f"the robot's process ended with {status}")

    def close(self) -> None:
        """Have the robot disconnected and end the process; kills it if it does not end in time."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            logger.warning("the robot's process does not end: killed")
            self._process.kill()
            self._process.wait()
        self._control.close()
        with self._filming:
            self._film.close()

    def _exchange(
        self, link: socket.socket, request: dict[str, Any], timeout_s: float
    ) -> tuple[dict[str, Any], bytearray]:
        try:
            link.settimeout(timeout_s)
            wire.send(link, request)
            answer, payload = wire.receive(link, timeout_s=timeout_s)
        except TimeoutError:
            self._give_up(link)
            raise RobotError("robot_silent", f"no answer to '{request['op']}' within {timeout_s:g} s") from None
        except (wire.Closed, wire.Garbled, OSError) as error:
            self._give_up(link)
            status = self._process.poll()
            how = "is running" if status is None else f"ended with {status}"
            raise RobotError("robot_lost", f"the robot's process {how}: {error}") from None
        if "error" in answer:
            raise RobotError(str(answer["error"]), str(answer.get("message", ""))[:1500])
        return answer, payload

    def _give_up(self, link: socket.socket) -> None:
        """A late answer must not be taken for the next one's."""
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
