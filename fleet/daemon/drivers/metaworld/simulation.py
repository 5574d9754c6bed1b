"""One Meta-World environment, made deterministic: start from a seed, step, privileged state for experts and labels.

Owned by the driver, one a task, built at first use and kept. What comes out of here is privileged (object and goal
positions): only the driver decides what a policy may see.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

os.environ.setdefault("MUJOCO_GL", "off")  # else `import mujoco` loads GLFW, which warns without a display
import mujoco
from metaworld.env_dict import ENV_CLS_MAP

from fleet.daemon.drivers.base import DriverError
from fleet.daemon.drivers.metaworld.randomise import Starts, draw_start
from fleet.daemon.drivers.metaworld.tasks import TASKS

Array = np.ndarray[Any, Any]

PROPRIO_DIM = 4  # hand x, y, z in metres and gripper opening in [0, 1]
MAX_REWARD = 10.0  # Meta-World's v2 rewards lie in [0, 10]


class Simulation:
    """A task's environment. `steps` counts control steps since the reset; time stands still between them."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.steps = 0
        self.reward = 0.0
        self.vector: Array = np.empty(0)
        self._env: Any = ENV_CLS_MAP[f"{task}-v3"]()
        self._env._partially_observable = False
        self._env._set_task_called = True
        self._env._freeze_rand_vec = True
        self._env.max_path_length = sys.maxsize  # the daemon limits episodes; Meta-World would raise at 500
        # Cached while the goal was hidden, when it clips the goal to zero: computed anew by the next step.
        self._env.__dict__.pop("sawyer_observation_space", None)
        self.state: Array = np.zeros(39)

    @property
    def model(self) -> Any:
        return self._env.model

    @property
    def data(self) -> Any:
        return self._env.data

    def reset(self, *, seed: int, starts: Starts) -> None:
        """Put the scene at the start that `seed` gives. Raises: DriverError."""
        space = self._env._random_reset_space
        self.vector = draw_start(
            task=self.task,
            seed=seed,
            low=space.low,
            high=space.high,
            starts=starts,
            min_distance_m=TASKS[self.task].min_distance_m,
        )
        self._env._last_rand_vec = self.vector
        if hasattr(self._env, "_target_to_obj_init"):
            self._env._target_to_obj_init = None  # bin-picking keeps the first episode's, and so its rewards
        self._env._did_see_sim_exception = False
        self.state, _ = self._env.reset()
        self.steps = 0
        self.reward = 0.0

    def step(self, action: Array) -> bool:
        """Advance one control step (5 physics steps) with float32 [4] in [-1, 1]; return whether the task is done.

        Raises: DriverError when the physics diverged.
        """
        self.state, reward, _, _, info = self._env.step(np.clip(action, -1.0, 1.0).astype(np.float32))
        if not np.isfinite(self.state).all() or not np.isfinite(float(reward)):
            raise DriverError("the simulation diverged", task=self.task)
        self.steps += 1
        self.reward = float(reward)
        return bool(info["success"])

    @property
    def proprioception(self) -> Array:
        """Hand xyz in metres and gripper opening, float32 [4]: all of the state that is not privileged."""
        return self.state[:PROPRIO_DIM].astype(np.float32)

    @property
    def progress(self) -> float:
        """The environment's reward as progress in [0, 1]. Privileged."""
        return min(max(self.reward / MAX_REWARD, 0.0), 1.0)

    @property
    def labels(self) -> Array:
        """Object, goal and fingertip positions, float32 [9] in metres. Privileged: encoder pre-training only."""
        points = (self.state[4:7], self.state[-3:], self._env.tcp_center)
        return np.concatenate(points).astype(np.float32)

    def move_object(self, position: Array) -> None:
        """Put the object (a free body) elsewhere, metres [3]; for tests and scene randomisation."""
        self._env._set_obj_xyz(np.asarray(position, np.float64))
        mujoco.mj_forward(self._env.model, self._env.data)
        self.state = np.asarray(self._env._get_obs(), np.float64)

    def close(self) -> None:
        self._env.close()
