"""Live pictures of the running scene for people, drawn by a process of their own.

The control thread leaves the state of each step here (`put`: a few small copies, no lock and no waiting). The filming
thread sends it to `film_process.py`, which poses its own copy of the simulation and draws it into shared memory. A
thread would not do: MuJoCo makes an OpenGL context in 0.56 s without letting go of Python's lock, in which the control
loop would stand.
"""

from __future__ import annotations

import mmap
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import mujoco
import numpy as np

from fleet.daemon.backoff import Backoff
from fleet.daemon.drivers.base import DriverError
from fleet.daemon.drivers.metaworld.backend import Backend
from fleet.protocol.messages import CameraInfo

Array = np.ndarray[Any, Any]

OVERVIEW, SIDE = "overview", "side"
VIEWS = (CameraInfo(name=OVERVIEW, width=640, height=480), CameraInfo(name=SIDE, width=480, height=360))
MEMORY_BYTES = max(view.width * view.height * 3 for view in VIEWS)
MODULE = "fleet.daemon.drivers.metaworld.film_process"
ROOT = Path(__file__).resolve().parents[4]
START_S = 20.0  # for the first picture of a task: imports, an OpenGL context, shaders
DRAW_S = 5.0
END_S = 2.0


class Load(msgspec.Struct, frozen=True, tag=True):
    """Make ready for a task: `path` holds its compiled model. Answered by b"" or the reason why not."""

    task: str
    path: str
    backend: Backend


class Draw(msgspec.Struct, frozen=True, tag=True):
    """Draw a view of this moment into the shared memory; float64 arrays as bytes. Answered as Load.

    `body_pos` and `body_quat` belong to the model, but Meta-World moves shelves, boxes and drawers by them.
    """

    task: str
    view: str
    qpos: bytes
    mocap_pos: bytes
    mocap_quat: bytes
    body_pos: bytes
    body_quat: bytes


Request = Load | Draw
encoder = msgspec.msgpack.Encoder()
decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)


@dataclass(frozen=True)
class _Pose:
    """One moment of a task's simulation. `state`: qpos, mocap_pos, mocap_quat, body_pos, body_quat as bytes."""

    task: str
    model: Any
    backend: Backend
    state: tuple[bytes, ...]


class SceneFilmer:
    """`put` and `clear` belong to the control thread, `film` and `end` to the filming thread."""

    def __init__(self) -> None:
        self._pose: _Pose | None = None  # replaced as a whole: Python makes that one step
        self._process: _FilmProcess | None = None
        self._loaded: set[str] = set()
        self._backoff = Backoff(min_s=1.0, max_s=30.0, rng=random.Random())
        self._next_start_s = 0.0

    def put(self, task: str, model: Any, data: Any, backend: Backend) -> None:
        """Leave the present state for the next picture."""
        arrays = (data.qpos, data.mocap_pos, data.mocap_quat, model.body_pos, model.body_quat)
        self._pose = _Pose(task, model, backend, tuple(array.tobytes() for array in arrays))

    def clear(self) -> None:
        """There is nothing to film any more."""
        self._pose = None

    def film(self, view: str) -> tuple[Array, float]:
        """See `base.Filmed.film`. The picture is valid until the next call."""
        size = next((item for item in VIEWS if item.name == view), None)
        if size is None or self._pose is None:
            raise DriverError(f"there is nothing to see in view '{view}'", view=view)
        process = self._ready(self._pose)
        try:
            pose = self._pose  # it may have taken seconds to get here
            if pose is None or pose.task not in self._loaded:
                raise DriverError("the scene changed", view=view)
            captured_s = time.monotonic()
            process.ask(Draw(pose.task, view, *pose.state), timeout_s=DRAW_S)
        except OSError as error:
            self.end()
            raise DriverError(f"the filming process failed: {error}") from None
        self._backoff.reset()
        self._next_start_s = 0.0  # filming that ended after it worked may begin again at once
        return process.picture(size), captured_s

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
        self._process = None
        self._loaded.clear()

    def _ready(self, pose: _Pose) -> _FilmProcess:
        """Return a process that knows the pose's task, started if there is none. Raises: DriverError."""
        try:
            if self._process is None:
                if time.monotonic() < self._next_start_s:
                    raise DriverError("the filming process failed a moment ago")
                self._next_start_s = time.monotonic() + self._backoff.next_s()
                self._process = _FilmProcess()
            if pose.task not in self._loaded:
                self._process.load(pose)
                self._loaded.add(pose.task)
            return self._process
        except OSError as error:
            self.end()
            raise DriverError(f"the filming process cannot be started: {error}") from None


class _FilmProcess:
    """The other process as its owner sees it. It ends when the socket does. Raises: OSError, TimeoutError among it."""

    def __init__(self) -> None:
        self._memory_fd = os.memfd_create("sop-film")
        os.ftruncate(self._memory_fd, MEMORY_BYTES)
        self._memory = mmap.mmap(self._memory_fd, MEMORY_BYTES)
        ours, theirs = socket.socketpair()
        paths = os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH", "")) if path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno()), str(self._memory_fd)],
                pass_fds=(theirs.fileno(), self._memory_fd),
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": paths, "MUJOCO_GL": "off"},
            )
        self._connection = Connection(ours.detach())

    def load(self, pose: _Pose) -> None:
        with tempfile.NamedTemporaryFile(suffix=".mjb") as file:
            mujoco.mj_saveModel(pose.model, file.name)
            self.ask(Load(pose.task, file.name, pose.backend), timeout_s=START_S)

    def ask(self, request: Request, *, timeout_s: float) -> None:
        try:
            self._connection.send_bytes(encoder.encode(request))
            if not self._connection.poll(timeout_s):
                raise TimeoutError(f"no answer within {timeout_s:.0f} s")
            problem = self._connection.recv_bytes()
        except EOFError:
            raise ConnectionError("it ended") from None
        if problem:
            raise OSError(problem.decode())

    def picture(self, size: CameraInfo) -> Array:
        pixels = np.frombuffer(self._memory, np.uint8, count=size.width * size.height * 3)
        return pixels.reshape(size.height, size.width, 3)

    def close(self) -> None:
        self._connection.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._memory_fd)
