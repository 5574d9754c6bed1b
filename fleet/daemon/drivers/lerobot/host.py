"""The process beside the robot: `python -m fleet.daemon.drivers.lerobot.host CONTROL FILM`, under lerobot's Python.

Holds one LeRobot `Robot` and does what `driver.py` asks over two inherited sockets: CONTROL from the control thread,
FILM from the filming thread, which reads the cameras' newest pictures alone and so never makes control wait. When the
daemon goes, however it ends, CONTROL closes, and the robot is disconnected. Imports nothing of ours but `wire`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import logging
import math
import os
import pkgutil
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fleet.daemon.drivers.lerobot import wire

logger = logging.getLogger("lerobot.host")

Answer = tuple[dict[str, Any], list[Any]]


class Failure(Exception):
    """What is answered to the driver: a code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Host:
    """One robot; every method is an operation. Called from the control thread but for `film`."""

    def __init__(self) -> None:
        self._robot: Any = None
        self._is_connected = False

    def open(self, request: dict[str, Any]) -> Answer:
        """Build the robot; nothing is connected yet. Answers with what it has."""
        try:
            self._robot = _build(request["type"], request["fields"], tuple(request["plugins"]))
            features = self._robot.observation_features
            numbers = [name for name, kind in features.items() if not isinstance(kind, (tuple, list))]
            pictures = {name: list(kind) for name, kind in features.items() if isinstance(kind, (tuple, list))}
            actions = list(self._robot.action_features)
        except Failure:
            raise
        except Exception as error:
            raise Failure("robot_config", f"{type(error).__name__}: {error}") from error
        answer = {"version": _version(), "numbers": numbers, "pictures": pictures, "actions": actions}
        return answer, []

    def connect(self, request: dict[str, Any]) -> Answer:
        """Connect without calibrating: that asks questions on a terminal. Answers with the calibration in force."""
        try:
            self._robot.connect(calibrate=False)
            self._is_connected = True
            is_calibrated = bool(self._robot.is_calibrated)
        except Exception as error:
            self._release()
            raise Failure("device_missing", f"{type(error).__name__}: {error}") from error
        if not is_calibrated:
            self._release()
            name = f"--robot.type={self._robot.name} --robot.id={self._robot.id}"
            raise Failure("not_calibrated", f"calibrate it first: lerobot-calibrate {name} and its port")
        return {"id": self._robot.id, "calibration": _plain(self._robot.calibration)}, []

    def observe(self, request: dict[str, Any]) -> Answer:
        """Answers with every number and picture asked for. `captured_s`: monotonic seconds, null where not known."""
        values = self._robot.get_observation()
        numbers = {name: float(values[name]) for name in request["numbers"]}
        broken = [name for name, value in numbers.items() if not math.isfinite(value)]
        if broken:
            raise Failure("device_lost", f"'{broken[0]}' is no finite number")
        pictures = [_picture(name, values[name]) for name in request["pictures"]]
        described = [
            {"name": name, "shape": list(pixels.shape), "captured_s": self._captured_s(name)}
            for name, pixels in zip(request["pictures"], pictures, strict=True)
        ]
        return {"numbers": numbers, "pictures": described}, pictures

    def act(self, request: dict[str, Any]) -> Answer:
        """Answers with the goals that were really sent."""
        sent = self._robot.send_action(dict(request["goals"]))
        return {"sent": {name: float(value) for name, value in (sent or request["goals"]).items()}}, []

    def film(self, request: dict[str, Any]) -> Answer:
        """The newest picture of one camera, without a word to the motors."""
        name = request["name"]
        camera = self._camera(name)
        if camera is None or not self._is_connected:
            raise Failure("no_picture", f"camera '{name}' shows nothing")
        pixels = _picture(name, camera.read_latest())
        return {"shape": list(pixels.shape), "captured_s": self._captured_s(name)}, [pixels]

    def disconnect(self, request: dict[str, Any]) -> Answer:
        self._release()
        return {}, []

    def _release(self) -> None:
        """Disconnect; a robot that half connected has parts to give back too."""
        self._is_connected = False
        try:
            if self._robot is not None:
                self._robot.disconnect()
        except Exception as error:
            logger.warning("disconnecting: %s: %s", type(error).__name__, error)

    def _camera(self, name: str) -> Any:
        return getattr(self._robot, "cameras", {}).get(name)

    def _captured_s(self, name: str) -> float | None:
        """lerobot's cameras stamp pictures with perf_counter; the monotonic clock is the same in all processes."""
        stamp = getattr(self._camera(name), "latest_timestamp", None)
        return None if stamp is None else stamp - time.perf_counter() + time.monotonic()


def _build(kind: str, fields: dict[str, Any], plugins: tuple[str, ...]) -> Any:
    """Return a robot of lerobot's own types, of an installed plugin, or of a module named in `plugins`."""
    try:
        draccus = importlib.import_module("draccus")
        robots = importlib.import_module("lerobot.robots")
        cameras = importlib.import_module("lerobot.cameras")
    except ImportError as error:
        raise Failure("lerobot_missing", f"{sys.executable} has no lerobot: {error}") from None
    for name in plugins:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise Failure("robot_config", f"the plugin '{name}' cannot be imported: {error}") from None
    missing = {**_register(cameras), **_register(robots)}
    importlib.import_module("lerobot.utils.import_utils").register_third_party_plugins()
    known = robots.RobotConfig.get_known_choices()
    if kind not in known:
        hints = "; ".join(f"{name} is not loaded: {reason}" for name, reason in missing.items())
        raise Failure("robot_config", f"robot type '{kind}' is unknown; there are {', '.join(sorted(known))}. {hints}")
    return robots.make_robot_from_config(draccus.decode(robots.RobotConfig, {"type": kind, **fields}))


def _register(package: Any) -> dict[str, str]:
    """Import a package's packages, which register their types; return those that lack a library."""
    missing = {}
    for found in pkgutil.iter_modules(package.__path__):
        if found.ispkg:
            try:
                importlib.import_module(f"{package.__name__}.{found.name}")
            except ImportError as error:
                missing[found.name] = str(error)
    return missing


def _version() -> str:
    try:
        return importlib.metadata.version("lerobot")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _picture(name: str, pixels: Any) -> Any:
    array = np.ascontiguousarray(pixels)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise Failure("device_lost", f"camera '{name}' gave {array.dtype}{list(array.shape)}, colour is needed")
    return array


def _plain(value: Any) -> Any:
    """Return a calibration as JSON can hold it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def serve(link: socket.socket, operations: dict[str, Callable[[dict[str, Any]], Answer]]) -> None:
    """Answer requests until the other end closes."""
    while True:
        try:
            request, _ = wire.receive(link)
        except wire.Closed:
            return
        answer, payload = _answer(operations, request)
        try:
            wire.send(link, answer, payload)
        except wire.Closed:
            return


def _answer(operations: dict[str, Callable[[dict[str, Any]], Answer]], request: dict[str, Any]) -> Answer:
    try:
        return operations[request["op"]](request)
    except Failure as failure:
        return {"error": failure.code, "message": str(failure)}, []
    except TimeoutError as error:  # lerobot's own limit on the age of a picture
        return {"error": "camera_frozen", "message": str(error)}, []
    except OSError as error:  # also DeviceNotConnectedError
        return {"error": "device_lost", "message": f"{type(error).__name__}: {error}"}, []
    except Exception as error:  # a robot is foreign code: whatever it raises is told, with its trace in the log
        logger.exception("%s failed", request.get("op"))
        return {"error": "robot_failed", "message": f"{type(error).__name__}: {error}"}, []


def main(control_fd: int, film_fd: int) -> None:
    logging.basicConfig(level="INFO", format="lerobot %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr)
    host = Host()
    control, film = socket.socket(fileno=control_fd), socket.socket(fileno=film_fd)
    threading.Thread(target=serve, args=(film, {"film": host.film}), name="film", daemon=True).start()
    operations = {op: getattr(host, op) for op in ("open", "connect", "observe", "act", "disconnect")}
    serve(control, operations)
    host.disconnect({})
    os._exit(0)  # a camera's thread that hangs in its driver must not keep the port


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
