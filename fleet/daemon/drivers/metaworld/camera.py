"""Pictures of one task's scene: small and fast for the policy, prettier for people.

`TaskCamera` is called by the driver from the control thread; `film_process.py` uses the renderers alone. MuJoCo's
defaults cost 100-380 ms a frame on a CPU; without multisampling, shadows, reflections, skybox and the high-polygon arm
it is 2-6 ms (design/learning.md). Goal markers (sites) are never drawn: the policy must not see what a real camera
would not.
"""

from __future__ import annotations

import importlib
from typing import Any

import mujoco
import numpy as np

from fleet.daemon.drivers.base import DriverError
from fleet.daemon.drivers.metaworld.backend import Backend
from fleet.daemon.drivers.metaworld.raycast import RayCaster
from fleet.daemon.drivers.metaworld.tasks import TaskSpec, View

Array = np.ndarray[Any, Any]

POLICY_SIZE = 128  # pixels a side; the network averages to 64
MAX_WIDTH, MAX_HEIGHT = 640, 480
SHADOW_MAP_PX = 512
ARM_GROUP = 5  # geom group that the policy camera leaves out; 0-2 are drawn, 3-4 are collision shapes
_PLAIN = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_SKYBOX,
    mujoco.mjtRndFlag.mjRND_HAZE,
)
PEOPLE_DISTANCE = 1.15  # people see a little more of the scene than the policy
# Sawyer's links above the hand: 67 thousand faces, and they hide the objects.
_ARM_BODIES = frozenset(
    ["right_arm_base_link", "head", "torso", "pedestal", "controller_box", "pedestal_feet", "screen", "right_hand"]
    + [f"right_l{index}" for index in range(7)]
)


class TaskCamera:
    """The cameras of one task. Close it before the process ends, else EGL complains while being torn down."""

    def __init__(self, model: Any, spec: TaskSpec, backend: Backend) -> None:
        self._view = spec.view
        _prepare(model, spec)
        self._gl = OpenGlCamera(model, backend) if backend is not Backend.RAYCAST else None
        self._rays = RayCamera(model) if backend is Backend.RAYCAST else None

    def policy_image(self, data: Any) -> Array:
        """Return what the policy sees, uint8 [128, 128, 3] RGB: few meshes, no shadows."""
        return self._render(data, POLICY_SIZE, POLICY_SIZE, self._view, is_pretty=False)

    def snapshot(self, data: Any, width: int, height: int) -> Array:
        """Return a picture for people with the whole arm and shadows, uint8 [height, width, 3] RGB.

        Raises: DriverError if it is larger than 640x480.
        """
        if not (0 < width <= MAX_WIDTH and 0 < height <= MAX_HEIGHT):
            raise DriverError(f"snapshots are at most {MAX_WIDTH}x{MAX_HEIGHT}", width=width, height=height)
        view = View(
            lookat=self._view.lookat,
            distance=self._view.distance * PEOPLE_DISTANCE,
            azimuth=self._view.azimuth,
            elevation=self._view.elevation,
        )
        return self._render(data, width, height, view, is_pretty=True)

    def _render(self, data: Any, width: int, height: int, view: View, *, is_pretty: bool) -> Array:
        if self._gl is not None:
            return self._gl.render(data, width, height, view, has_arm=is_pretty, has_shadows=is_pretty)
        assert self._rays is not None
        return self._rays.render(data, width, height, view)

    def close(self) -> None:
        if self._gl is not None:
            self._gl.close()
            self._gl = None


class OpenGlCamera:
    """One offscreen OpenGL context with the model's meshes in it; EGL and OSMesa alike. Belongs to one thread."""

    def __init__(self, model: Any, backend: Backend) -> None:
        self._model = model
        self._context = importlib.import_module(f"mujoco.{backend.value}").GLContext(MAX_WIDTH, MAX_HEIGHT)
        self._context.make_current()
        self._mjr = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._mjr)
        self._scene = mujoco.MjvScene(model, maxgeom=500)

    def render(self, data: Any, width: int, height: int, view: View, *, has_arm: bool, has_shadows: bool) -> Array:
        """Return uint8 [height, width, 3] RGB."""
        options = mujoco.MjvOption()
        options.sitegroup[:] = 0
        options.geomgroup[ARM_GROUP] = int(has_arm)
        for flag in _PLAIN:
            self._scene.flags[flag] = int(has_shadows and flag is mujoco.mjtRndFlag.mjRND_SHADOW)
        self._context.make_current()
        mujoco.mjv_updateScene(
            self._model, data, options, None, _free_camera(view), mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(viewport, self._scene, self._mjr)
        pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, viewport, self._mjr)
        return np.ascontiguousarray(pixels[::-1])

    def close(self) -> None:
        self._context.make_current()
        self._mjr.free()
        self._context.free()


class RayCamera(RayCaster):
    """The same without OpenGL: no arm, no shadows."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, hidden_group=ARM_GROUP)


def _free_camera(view: View) -> Any:
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.lookat[:] = view.lookat
    camera.distance, camera.azimuth, camera.elevation = view.distance, view.azimuth, view.elevation
    return camera


def _prepare(model: Any, spec: TaskSpec) -> None:
    """Change what concerns pictures only: quality, groups of the arm's meshes, colours. Physics stays untouched."""
    model.vis.quality.offsamples = 0
    model.vis.quality.shadowsize = SHADOW_MAP_PX
    model.vis.global_.offwidth, model.vis.global_.offheight = MAX_WIDTH, MAX_HEIGHT
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        if body in _ARM_BODIES and model.geom_group[geom] < 3:
            model.geom_group[geom] = ARM_GROUP
        if body in spec.paint and model.geom(geom).name != "BoxHandleGeom":
            model.geom_matid[geom] = -1
            model.geom_rgba[geom] = (*spec.paint[body], 1.0)
