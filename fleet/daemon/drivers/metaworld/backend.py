"""How pictures are made on this machine: EGL, else OSMesa, else ray casting on the CPU without any OpenGL.

Asked once when the driver connects. Candidates are tried in a child process, because a broken OpenGL library may abort
the process and PyOpenGL cannot change its mind after its first import.
"""

from __future__ import annotations

import enum
import logging
import os
import subprocess
import sys

from fleet.daemon.drivers.base import DriverError

logger = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 30.0
_PROBE = "from mujoco.{name} import GLContext; c = GLContext(8, 8); c.make_current(); c.free()"
INSTALL_HINT = "for faster pictures: apt-get install libegl1 libgl1-mesa-dri (EGL) or libosmesa6 (OSMesa)"


class Backend(enum.StrEnum):
    EGL = "egl"
    OSMESA = "osmesa"
    RAYCAST = "raycast"


def choose_backend(wanted: str) -> Backend:
    """Return the backend to use: the one asked for, or with "auto" the best that works; says which in the log.

    Raises: DriverError if `wanted` is unknown or does not work here.
    """
    if wanted != "auto":
        if wanted not in tuple(Backend):
            raise DriverError(f"renderer '{wanted}' is unknown; there are auto, {', '.join(Backend)}")
        if not works(Backend(wanted)):
            raise DriverError(f"renderer '{wanted}' does not work on this machine; {INSTALL_HINT}")
        return Backend(wanted)
    for backend in (Backend.EGL, Backend.OSMESA):
        if works(backend):
            logger.info("pictures by %s", backend.value)
            return backend
    logger.warning("pictures by ray casting on the CPU, no OpenGL was found; %s", INSTALL_HINT)
    return Backend.RAYCAST


def works(backend: Backend) -> bool:
    """Whether a picture can be made that way here."""
    if backend is Backend.RAYCAST:
        return True
    environment = {key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"}
    environment["MUJOCO_GL"] = "off"
    command = [sys.executable, "-c", _PROBE.format(name=backend.value)]
    try:
        result = subprocess.run(command, env=environment, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
