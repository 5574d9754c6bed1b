"""The contract of a robot driver. One package per kind of robot beside this file; `registry.py` names them.

A driver is synchronous and is called from the control thread alone (`snapshot` too), in this order:

    driver.connect()
    observation = driver.reset(task, seed=7)
    while ...:
        feedback = driver.apply(action)           # takes effect at once, returns after one control step
        observation = driver.observe()
    driver.hold()                                 # stand still; called whenever nobody drives
    driver.close()

Raises: DriverError from any method when the hardware or simulator fails; the daemon reports it and holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from fleet.protocol.calibration import Calibration, calibration_of
from fleet.protocol.errors import InvalidManifest, SopError
from fleet.protocol.messages import DriverInfo
from fleet.protocol.policy import Observation

Array = np.ndarray[Any, Any]


class DriverError(SopError):
    code = "driver_error"


class StepFeedback(msgspec.Struct, frozen=True):
    """What came of one action. `success`: the task is done (latched by the caller); `reward`: 0 where there is none."""

    reward: float
    success: bool


class Driver(Protocol):
    """A robot. Actions are float32 [A] in [-1, 1]; their meaning and units are the driver's, named in `info`."""

    @property
    def info(self) -> DriverInfo:
        """Known before `connect`: names, dimensions, cameras, tasks it can run."""

    def connect(self) -> None: ...

    def close(self) -> None:
        """Release the hardware; safe to call twice."""

    def reset(self, task: str, *, seed: int) -> Observation:
        """Bring the scene to the start of `task`; equal seeds give equal starts where the robot can.

        Whoever stops the robot meanwhile is heard when this returns.
        """

    def observe(self) -> Observation:
        """Return what the policy may see now. Never object state."""

    def apply(self, action: Array) -> StepFeedback:
        """Execute one action for one control step."""

    def hold(self) -> None:
        """Stand still until the next `apply`."""

    def snapshot(self, width: int, height: int) -> Array:
        """Return a picture for people, uint8 [height, width, 3] RGB."""


@runtime_checkable
class Calibrated(Protocol):
    """A driver that knows what the robot was calibrated to. Recorded with every episode, as it is at its start."""

    @property
    def calibration(self) -> Mapping[str, Any]:
        """Whatever tells one calibration from another, as JSON can hold it, 16 KiB at most; units in the names."""


@runtime_checkable
class Resting(Protocol):
    """A driver with axes that keep their value (`DriverInfo.kept_axes`), wherever an episode finds them."""

    @property
    def resting_action(self) -> Array:
        """The action that changes nothing now, float32 [A] in [-1, 1]; known after `reset`."""


@runtime_checkable
class StopAware(Protocol):
    """A driver whose `reset` moves a real robot: it asks, and ends its movement at once when somebody stopped it."""

    def watch_stop(self, is_stopped: Callable[[], bool]) -> None:
        """Take what `reset` asks between its movements; called once, before `connect`."""


def resting_of(driver: Driver) -> Array | None:
    """Return the action that changes nothing now; None from a driver for which that is zero on every axis."""
    return driver.resting_action if isinstance(driver, Resting) else None


def declared_calibration(driver: Driver) -> Calibration | None:
    """Return what the driver declares, None if it declares nothing. Raises: DriverError if it cannot be recorded."""
    if not isinstance(driver, Calibrated):
        return None
    try:
        return calibration_of(driver.calibration)
    except InvalidManifest as error:
        raise DriverError(error.message) from None


@runtime_checkable
class Filmed(Protocol):
    """A driver with live video for people; `info.views` names the views, the main one first.

    Both methods are called from one filming thread, never from the control thread and while that works: an
    implementation takes what it needs of the robot's state under a short lock, and never makes `apply` wait.
    """

    def film(self, view: str) -> tuple[Array, float]:
        """Return a picture, uint8 [height, width, 3] RGB of the view's size, and its capture in monotonic seconds.

        The picture is valid until the next call.

        Raises: DriverError while there is nothing to see (before the first reset, after `close`).
        """

    def end_filming(self) -> None:
        """Free what filming holds, as nobody watches; the next `film` takes it anew."""


@runtime_checkable
class Advisor(Protocol):
    """An expert that a simulated robot carries for the scripted supervisor and for demonstrations.

    It may use the simulator's privileged state. A real robot has none: then nobody plays the human.
    """

    def begin(self, task: str) -> None:
        """Forget the previous episode."""

    def takeover(self) -> None:
        """The expert starts to drive now, from whatever state the scene is in (it may need to back off first)."""

    def action(self) -> Array:
        """Return the expert's action for the present state, float32 [A] in [-1, 1]. Callable while not driving."""

    def progress(self) -> float:
        """Return task progress in [0, 1] from the simulator, for the gate's "no progress" rule."""


@runtime_checkable
class Advised(Protocol):
    """A driver with an expert on board."""

    @property
    def advisor(self) -> Advisor: ...
