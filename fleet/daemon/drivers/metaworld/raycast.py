"""A camera without OpenGL: one ray a pixel with `mj_multiRay`, colours of the geoms, light from the depth's normals.

The fallback of `camera.py` on machines without EGL and OSMesa. No textures (their mean colour), no shadows, no arm.
"""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np

from fleet.daemon.drivers.metaworld.tasks import View

Array = np.ndarray[Any, Any]

_FIELD_OF_VIEW_DEG = 45.0  # MuJoCo's free camera
_FAR_M = 10.0
_AMBIENT = 0.45


class RayCaster:
    """Renders one model; geoms of groups 3, 4 and `hidden_group` are left out."""

    def __init__(self, model: Any, *, hidden_group: int) -> None:
        self._model = model
        self._groups = np.ones(6, np.uint8)
        self._groups[[3, 4, hidden_group]] = 0
        self._colours = np.vstack([_geom_colours(model), np.zeros(3)])  # the last is the background

    def render(self, data: Any, width: int, height: int, view: View) -> Array:
        """Return uint8 [height, width, 3] RGB."""
        eye, rays = _rays(width, height, view)
        count = width * height
        geoms, distances = np.full(count, -1, np.int32), np.full(count, -1.0)
        mujoco.mj_multiRay(
            self._model, data, eye, rays.reshape(-1), self._groups, 1, -1, geoms, distances, count, _FAR_M
        )
        light = _light(rays.reshape(height, width, 3), distances.reshape(height, width))
        colours = self._colours[geoms].reshape(height, width, 3) * light[..., None]
        return np.clip(colours * 255.0, 0, 255).astype(np.uint8)


def _rays(width: int, height: int, view: View) -> tuple[Array, Array]:
    """Return the camera's position [3] and unit directions [height * width, 3], row by row from the top."""
    azimuth, elevation = math.radians(view.azimuth), math.radians(view.elevation)
    forward = np.array(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
    up = np.cross(right, forward)
    half = math.tan(math.radians(_FIELD_OF_VIEW_DEG) / 2)
    across = ((np.arange(width) + 0.5) / width * 2 - 1) * half * width / height
    down = (1 - (np.arange(height) + 0.5) / height * 2) * half
    rays = forward + across[None, :, None] * right + down[:, None, None] * up
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    return np.asarray(view.lookat) - view.distance * forward, rays.reshape(-1, 3)


def _light(rays: Array, distances: Array) -> Array:
    """Return brightness in [0, 1] per pixel: surfaces that face the camera are bright."""
    points = rays * np.where(distances < 0, _FAR_M, distances)[..., None]
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-9)
    brightness: Array = _AMBIENT + (1 - _AMBIENT) * np.abs((normals * rays).sum(axis=2))
    return brightness


def _geom_colours(model: Any) -> Array:
    """Return RGB in [0, 1] of every geom, [ngeom, 3]: its material times its texture's mean, else its own."""
    colours: Array = np.array(model.geom_rgba[:, :3], np.float64)
    for geom, material in enumerate(model.geom_matid):
        if material >= 0:
            colours[geom] = model.mat_rgba[material, :3] * _texture_mean(model, material)
    return colours


def _texture_mean(model: Any, material: int) -> Array:
    textures = [int(index) for index in np.ravel(model.mat_texid[material]) if index >= 0]
    if not textures:
        return np.ones(3)
    start = int(model.tex_adr[textures[0]])
    channels = int(model.tex_nchannel[textures[0]])
    size = int(model.tex_height[textures[0]] * model.tex_width[textures[0]]) * channels
    mean: Array = model.tex_data[start : start + size].reshape(-1, channels)[:, :3].mean(axis=0) / 255.0
    return mean
