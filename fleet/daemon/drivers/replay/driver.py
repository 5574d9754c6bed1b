"""A recording as a robot: what it saw is observed again, at its rate; actions are checked, logged, and move nothing.

For integrators without hardware, and for tests of everything above a driver. One `apply` is one control step of the
recording. At its end the recording begins anew, or the episode succeeds if `loop` is off and the recording did.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np

from fleet.daemon.drivers.base import DriverError, StepFeedback
from fleet.daemon.drivers.replay.dataset import is_dataset, read_dataset
from fleet.daemon.drivers.replay.pictures import Pictures
from fleet.daemon.drivers.replay.recordings import Collection, Columns, Recording, read_episodes
from fleet.protocol.messages import DriverInfo
from fleet.protocol.policy import Observation

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

VERSION = "1"
LOG_FILES = 3  # kept beside the one being written
NAMED = 100  # recordings that the calibration names


class ActionRefused(DriverError):
    """An action that a real robot's driver would not carry out."""

    code = "action_refused"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `create_driver("replay", {...})` takes.

    folder: one recorded episode, a folder of them, or a LeRobot dataset v3.0. is_looped: begin anew at the end;
    without it the last step stays, and its success counts. max_change: refuse actions that differ by more from the one
    before on any axis. log: a file for every action, one JSON object a line, renamed at `log_bytes`.
    kept_axes: actions that keep their value when nobody moves them.
    """

    folder: str
    is_looped: bool = True
    max_change: float = 2.0
    log: str = ""
    log_bytes: int = 16 * 1024**2
    kept_axes: tuple[str, ...] = ("gripper",)


def create(options: dict[str, Any]) -> ReplayDriver:
    """Build the driver. Raises: DriverError for an option it does not take; RecordingBroken."""
    try:
        return ReplayDriver(msgspec.convert(options, Options, strict=False))
    except msgspec.ValidationError as error:
        raise DriverError(f"replay options: {error}") from None


class ReplayDriver:
    """Follows `base.Driver`, `base.Filmed` and `base.Calibrated`."""

    def __init__(self, options: Options) -> None:
        """Raises: DriverError for options out of range; RecordingBroken."""
        if options.max_change <= 0 or options.log_bytes < 4096:
            raise DriverError("replay options: max_change must be positive and log_bytes at least 4096")
        self.options = options
        folder = Path(options.folder).expanduser()
        self._collection: Collection = read_dataset(folder) if is_dataset(folder) else read_episodes(folder)
        known = self._collection
        self.info = DriverInfo(
            name="replay",
            version=VERSION,
            control_rate_hz=known.rate_hz,
            action_names=known.action_names,
            proprio_names=known.proprio_names,
            cameras=known.cameras,
            tasks=known.tasks,
            views=known.cameras,
            kept_axes=tuple(name for name in known.action_names if name in options.kept_axes),
        )
        self._log: RotatingFileHandler | None = None
        self._is_connected = False
        self._recording: Recording | None = None
        self._columns: Columns | None = None
        self._pictures: dict[str, Pictures] = {}
        self._frame = 0
        self._previous = np.zeros(len(known.action_names), np.float32)
        self._shown: dict[str, Array] = {}
        self._showing = threading.Lock()

    @property
    def calibration(self) -> dict[str, Any]:
        """Says in every episode that it is a replay, and of what."""
        names = [recording.name for recording in self._collection.recordings]
        return {"replay_of": names[:NAMED], "replay_count": len(names)}

    def connect(self) -> None:
        """Open the log. Raises: DriverError if it cannot be written."""
        if self._is_connected:
            return
        if self.options.log:
            path = Path(self.options.log).expanduser()
            try:
                self._log = RotatingFileHandler(path, maxBytes=self.options.log_bytes, backupCount=LOG_FILES)
            except OSError as error:
                raise DriverError(f"the log of actions cannot be written: {error}") from None
        self._is_connected = True

    def close(self) -> None:
        self._forget()
        if self._log is not None:
            self._log.close()
        self._log = None
        self._is_connected = False

    def reset(self, task: str, *, seed: int) -> Observation:
        """Begin a recording of `task`, chosen by `seed`. Raises: DriverError; RecordingBroken."""
        if not self._is_connected:
            raise DriverError("the driver is not connected")
        choice = [recording for recording in self._collection.recordings if recording.task == task]
        if not choice:
            raise DriverError(f"task '{task}' is unknown; there are {', '.join(self.info.tasks)}", task=task)
        self._forget()
        recording = choice[seed % len(choice)]
        self._columns = recording.load()
        rate_hz = self._collection.rate_hz
        self._pictures = {
            camera.name: Pictures(recording.videos[camera.name], camera, rate_hz=rate_hz)
            for camera in self.info.cameras
        }
        self._recording = recording
        logger.info("plays %s (%s), %d steps", recording.name, task, recording.steps)
        return self.observe()

    def observe(self) -> Observation:
        columns = self._playing
        images = {name: pictures.at(self._frame) for name, pictures in self._pictures.items()}
        with self._showing:
            self._shown = images
        return Observation(images=images, state=columns.state[self._frame])

    def apply(self, action: Array) -> StepFeedback:
        """Check and log an action, and go one step on. Raises: ActionRefused before anything changed."""
        columns = self._playing
        self._check(action)
        self._write(action, columns)
        self._previous = action.copy()
        at, last = self._frame, len(columns.state) - 1
        feedback = StepFeedback(
            reward=float(columns.reward[at]), success=not self.options.is_looped and bool(columns.success[at])
        )
        self._frame = at + 1 if at < last else (0 if self.options.is_looped else last)
        return feedback

    def hold(self) -> None:
        """The recording stands still. Before the first episode its first picture is put up for people."""
        if self._recording is None and self._is_connected:
            self.reset(self.info.tasks[0], seed=0)

    def snapshot(self, width: int, height: int) -> Array:
        images = self.observe().images
        if not images:
            raise DriverError("the recording has no camera")
        picture = av.VideoFrame.from_ndarray(images[self.info.cameras[0].name], format="rgb24")
        resized: Array = picture.reformat(width=width, height=height).to_ndarray(format="rgb24")
        return resized

    # --- base.Filmed: called from the filming thread --------------------------------------------------------------

    def film(self, view: str) -> tuple[Array, float]:
        """The picture that is shown now. Its time is now: a recording that stands still is no frozen camera."""
        with self._showing:
            picture = self._shown.get(view)
        if picture is None:
            raise DriverError(f"view '{view}' shows nothing yet")
        return picture, time.monotonic()

    def end_filming(self) -> None:
        """Filming holds nothing of its own."""

    @property
    def _playing(self) -> Columns:
        if self._columns is None:
            raise DriverError("the driver was not reset yet")
        return self._columns

    def _forget(self) -> None:
        for pictures in self._pictures.values():
            pictures.close()
        self._pictures = {}
        with self._showing:
            self._shown = {}
        self._recording = self._columns = None
        self._frame = 0
        self._previous = np.zeros_like(self._previous)

    def _check(self, action: Array) -> None:
        names = self.info.action_names
        if action.shape != (len(names),) or action.dtype != np.float32:
            raise ActionRefused(f"an action is float32[{len(names)}], this is {action.dtype}{list(action.shape)}")
        if not np.isfinite(action).all() or float(np.abs(action).max()) > 1.0:
            raise ActionRefused(f"actions lie in [-1, 1], this is {action.tolist()}")
        change = np.abs(action - self._previous)
        axis = int(change.argmax())
        if float(change[axis]) > self.options.max_change + 1e-6:
            text = f"'{names[axis]}' changes by {change[axis]:.3f} in a step; {self.options.max_change:g} are allowed"
            raise ActionRefused(text, axis=names[axis])

    def _write(self, action: Array, columns: Columns) -> None:
        if self._log is None or self._recording is None:
            return
        values = {
            "at_ns": time.time_ns(),
            "recording": self._recording.name,
            "step": self._frame,
            "action": [round(float(value), 6) for value in action],
            "recorded": [round(float(value), 6) for value in columns.action[self._frame]],
        }
        self._log.emit(logging.LogRecord("replay", logging.INFO, "", 0, json.dumps(values), None, None))
