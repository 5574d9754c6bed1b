"""Draws live pictures for `filming.py`, which starts it: `python -m ...film_process SOCKET_FD MEMORY_FD`.

One copy of each task's simulation, posed as asked, never stepped. Shadows are left out: they cost 23 of 38 ms a picture
(640x480, EGL on a CPU), and the second view shows what they would. It ends with the socket.
"""

from __future__ import annotations

import contextlib
import mmap
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

import mujoco
import numpy as np

from fleet.daemon.drivers.metaworld.backend import Backend
from fleet.daemon.drivers.metaworld.camera import PEOPLE_DISTANCE, OpenGlCamera, RayCamera
from fleet.daemon.drivers.metaworld.filming import MEMORY_BYTES, OVERVIEW, VIEWS, Draw, Load, Request, decoder
from fleet.daemon.drivers.metaworld.tasks import TASKS, View

Array = np.ndarray[Any, Any]

SIDE_AZIMUTH, SIDE_ELEVATION = 160.0, -15.0  # degrees: from the arm's right and low, to see how high the hand is
RAYS_EVERY = 4  # pixels: a ray for each would take 0.4 s


class Stage:
    """One task's scene: the control process's compiled model, and a state of its own."""

    def __init__(self, order: Load) -> None:
        self._task = order.task
        self._model: Any = mujoco.MjModel.from_binary_path(order.path)
        self._data = mujoco.MjData(self._model)
        is_gl = order.backend is not Backend.RAYCAST
        self._gl = OpenGlCamera(self._model, order.backend) if is_gl else None
        self._rays = None if is_gl else RayCamera(self._model)

    def draw(self, order: Draw) -> Array:
        """Return uint8 [height, width, 3] RGB of the view's size."""
        data, model = self._data, self._model
        for target, values in (
            (data.qpos, order.qpos),
            (data.mocap_pos, order.mocap_pos),
            (data.mocap_quat, order.mocap_quat),
            (model.body_pos, order.body_pos),
            (model.body_quat, order.body_quat),
        ):
            target[:] = np.frombuffer(values).reshape(target.shape)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        size = next(item for item in VIEWS if item.name == order.view)
        camera = _camera(self._task, order.view)
        if self._gl is not None:
            return self._gl.render(data, size.width, size.height, camera, has_arm=True, has_shadows=False)
        assert self._rays is not None
        coarse = self._rays.render(data, size.width // RAYS_EVERY, size.height // RAYS_EVERY, camera)
        return coarse.repeat(RAYS_EVERY, axis=0).repeat(RAYS_EVERY, axis=1)

    def close(self) -> None:
        if self._gl is not None:
            self._gl.close()


def _camera(task: str, view: str) -> View:
    near = TASKS[task].view
    azimuth, elevation = (near.azimuth, near.elevation) if view == OVERVIEW else (SIDE_AZIMUTH, SIDE_ELEVATION)
    distance = near.distance * PEOPLE_DISTANCE
    return View(lookat=near.lookat, distance=distance, azimuth=azimuth, elevation=elevation)


def serve(connection: Connection, memory: mmap.mmap) -> None:
    """Answer requests until the other side is gone."""
    stages: dict[str, Stage] = {}

    def follow(request: Request) -> None:
        if isinstance(request, Load):
            stages[request.task] = Stage(request)
            return
        pixels = stages[request.task].draw(request)
        np.frombuffer(memory, np.uint8, count=pixels.size)[:] = pixels.reshape(-1)

    try:
        while True:
            problem = b""
            try:
                follow(decoder.decode(connection.recv_bytes()))
            except (EOFError, ConnectionError):
                return
            except Exception as error:  # told to the driver, which raises DriverError
                problem = f"{type(error).__name__}: {error}".encode()
            connection.send_bytes(problem)
    finally:
        for stage in stages.values():
            stage.close()


def main(arguments: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to handle; its end is this one's
    socket_fd, memory_fd = (int(argument) for argument in arguments)
    with contextlib.suppress(ConnectionError):
        serve(Connection(socket_fd), mmap.mmap(memory_fd, MEMORY_BYTES))


if __name__ == "__main__":
    main(sys.argv[1:])
