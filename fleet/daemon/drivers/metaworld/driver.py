"""The simulated robot: a Sawyer arm in Meta-World 3.1.1 behind the contract of `drivers/base.py`.

One environment and one camera a task, built at first use and kept (about 60 MB, 140 MB with OpenGL). One `apply` is
one environment step of 1/80 s: at 10 control steps a second people see it in 8-fold slow motion. Slower physics (a
larger frame skip) breaks most of Meta-World's experts (design/learning.md), so it is left out on purpose.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import numpy as np

from fleet.daemon.drivers.base import DriverError, StepFeedback
from fleet.daemon.drivers.metaworld.backend import Backend, choose_backend
from fleet.daemon.drivers.metaworld.camera import POLICY_SIZE, TaskCamera
from fleet.daemon.drivers.metaworld.experts import MetaWorldAdvisor
from fleet.daemon.drivers.metaworld.filming import VIEWS, SceneFilmer
from fleet.daemon.drivers.metaworld.randomise import Starts
from fleet.daemon.drivers.metaworld.simulation import PROPRIO_DIM, Simulation
from fleet.daemon.drivers.metaworld.tasks import TASKS
from fleet.protocol.messages import CameraInfo, DriverInfo
from fleet.protocol.policy import Observation

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

CAMERA = "front"
ACTION_NAMES = ("dx", "dy", "dz", "gripper")  # 1 is 1 cm a step; gripper 1 closes, -1 opens
_AXES = ("hand_x", "hand_y", "hand_z", "gripper")
PROPRIO_NAMES = (*_AXES, *(f"{name}_velocity" for name in _AXES))  # metres, opening in [0, 1]; change a control step


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `create_driver("metaworld", {...})` takes. `renderer`: auto, egl, osmesa or raycast."""

    starts: Starts = Starts.FULL
    renderer: str = "auto"


INFO = DriverInfo(
    name="metaworld",
    version="3.1.1",
    control_rate_hz=10.0,
    action_names=ACTION_NAMES,
    proprio_names=PROPRIO_NAMES,
    cameras=(CameraInfo(name=CAMERA, width=POLICY_SIZE, height=POLICY_SIZE),),
    tasks=tuple(TASKS),
    views=VIEWS,
    kept_axes=("gripper",),
)


def create(options: dict[str, Any]) -> MetaWorldDriver:
    """Build the driver. Raises: DriverError for an option it does not take."""
    try:
        return MetaWorldDriver(msgspec.convert(options, Options, strict=False))
    except msgspec.ValidationError as error:
        raise DriverError(f"metaworld options: {error}") from None


class MetaWorldDriver:
    """A simulated Sawyer arm; follows `base.Driver`, `base.Advised` and `base.Filmed`."""

    info = INFO

    def __init__(self, options: Options | None = None) -> None:
        self.options = options if options is not None else Options()
        self._backend: Backend | None = None
        self._simulations: dict[str, Simulation] = {}
        self._cameras: dict[str, TaskCamera] = {}
        self._current: Simulation | None = None
        self._previous: Array = np.zeros(PROPRIO_DIM, np.float32)
        self._advisor = MetaWorldAdvisor(lambda: self.simulation)
        self._filmer = SceneFilmer()

    @property
    def advisor(self) -> MetaWorldAdvisor:
        return self._advisor

    @property
    def instructions(self) -> dict[str, str]:
        """How a person would word each task."""
        return {name: spec.instruction for name, spec in TASKS.items()}

    @property
    def simulation(self) -> Simulation:
        """The running task's environment (privileged). Raises: DriverError before the first reset."""
        if self._current is None:
            raise DriverError("the driver was not reset yet")
        return self._current

    def connect(self) -> None:
        """Choose how pictures are made. Raises: DriverError if the renderer asked for does not work here."""
        if self._backend is None:
            self._backend = choose_backend(self.options.renderer)

    def close(self) -> None:
        self._filmer.clear()
        for camera in self._cameras.values():
            camera.close()
        for simulation in self._simulations.values():
            simulation.close()
        self._cameras.clear()
        self._simulations.clear()
        self._current = None
        self._backend = None

    def reset(self, task: str, *, seed: int) -> Observation:
        """Start `task` from `seed`. Raises: DriverError for a task it does not have, or before `connect`."""
        if task not in TASKS:
            raise DriverError(f"task '{task}' is unknown; there are {', '.join(TASKS)}", task=task)
        if self._backend is None:
            raise DriverError("the driver is not connected")
        if task not in self._simulations:
            self._simulations[task] = Simulation(task)
            self._cameras[task] = TaskCamera(self._simulations[task].model, TASKS[task], self._backend)
        self._current = self._simulations[task]
        self._current.reset(seed=seed, starts=self.options.starts)
        self._previous = self._current.proprioception
        self._advisor.begin(task)
        self._stage()
        return self.observe()

    def observe(self) -> Observation:
        proprioception = self.simulation.proprioception
        state = np.concatenate([proprioception, proprioception - self._previous])
        image = self._cameras[self.simulation.task].policy_image(self.simulation.data)
        return Observation(images={CAMERA: image}, state=state)

    def apply(self, action: Array) -> StepFeedback:
        self._previous = self.simulation.proprioception
        is_done = self.simulation.step(action)
        self._stage()
        return StepFeedback(reward=self.simulation.reward, success=is_done)

    def hold(self) -> None:
        """Simulated time passes only in `apply`. Before the first episode a scene is put up for people to look at: a
        robot that waits for a person after a restart is taken over by its picture."""
        if self._current is None and self._backend is not None:
            self.reset(INFO.tasks[0], seed=0)

    def snapshot(self, width: int, height: int) -> Array:
        return self._cameras[self.simulation.task].snapshot(self.simulation.data, width, height)

    # --- base.Filmed: called from the filming thread --------------------------------------------------------------

    def film(self, view: str) -> tuple[Array, float]:
        return self._filmer.film(view)

    def end_filming(self) -> None:
        self._filmer.end()

    def _stage(self) -> None:
        assert self._backend is not None
        self._filmer.put(self.simulation.task, self.simulation.model, self.simulation.data, self._backend)
