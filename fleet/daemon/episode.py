"""One episode in memory: what it is, its steps while it runs, and the closed recording that recorder.py writes.

Bounded by the control loop (max_steps plus max_hold_steps). Arrays appear in the shape of protocol.recording only
when the episode closes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fleet.daemon.drivers.base import StepFeedback
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.calibration import Calibration
from fleet.protocol.messages import DriverInfo
from fleet.protocol.policy import Observation
from fleet.protocol.recording import Origin, Outcome, OutcomeSource, Segment, human_steps_of, segments_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class EpisodeSpec:
    """What to run. `task_id` and `robot_id` are None offline, `policy_version_id` where no version drives."""

    episode_id: str
    origin: Origin
    task_id: str | None
    task_slug: str
    instruction: str
    driver_task: str
    max_steps: int
    seed: int
    policy_version_id: str | None
    robot_id: str | None
    robot_name: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One control step. Actions float32 [A]; `proposed` None if the policy had no usable answer."""

    monotonic_s: float
    captured_ns: int
    observation: Observation
    action: Array
    asked: Array
    proposed: Array | None
    feedback: StepFeedback
    mode: Mode
    source: Source
    lease_epoch: int
    operator: str
    reason: str
    inference_ms: float


@dataclass(frozen=True, kw_only=True)
class EpisodeRecording:
    """A closed episode, not yet on disk. `arrays`: STEP_COLUMNS; `frames`: camera -> uint8 [H, W, 3], one a step."""

    spec: EpisodeSpec
    info: DriverInfo
    control_rate_hz: float
    started_ns: int
    ended_ns: int
    outcome: Outcome
    outcome_reason: str
    outcome_source: OutcomeSource
    environment_outcome: Outcome | None
    calibration: Calibration | None
    arrays: dict[str, Array]
    frames: dict[str, list[Array]]
    segments: tuple[Segment, ...]

    @property
    def steps(self) -> int:
        return len(self.arrays["frame_index"])

    @property
    def human_steps(self) -> int:
        return human_steps_of(self.segments)

    @property
    def is_success(self) -> bool:
        return self.outcome is Outcome.SUCCESS


class EpisodeBuffer:
    """Collects the steps of the open episode."""

    def __init__(self, spec: EpisodeSpec, *, info: DriverInfo, control_rate_hz: float, started_ns: int) -> None:
        self._spec = spec
        self._info = info
        self._control_rate_hz = control_rate_hz
        self._started_ns = started_ns
        self._steps: list[Step] = []
        self._frames: dict[str, list[Array]] = {camera.name: [] for camera in info.cameras}

    def __len__(self) -> int:
        return len(self._steps)

    def append(self, step: Step) -> None:
        """Take one step; pictures are copied, because a driver may reuse its buffers."""
        self._steps.append(step)
        for name, frames in self._frames.items():
            frames.append(step.observation.images[name].copy())

    def newest_observation(self) -> Observation:
        """Return what the newest step saw, in arrays that nobody changes any more."""
        images = {name: frames[-1] for name, frames in self._frames.items()}
        return Observation(images=images, state=self._steps[-1].observation.state.copy())

    def close(
        self,
        outcome: Outcome,
        reason: str,
        *,
        ended_ns: int,
        source: OutcomeSource = OutcomeSource.ENVIRONMENT,
        environment_outcome: Outcome | None = None,
        calibration: Calibration | None = None,
    ) -> EpisodeRecording:
        """Return the recording; the buffer must hold at least one step. The last three: see EpisodeManifest."""
        arrays = self._arrays()
        return EpisodeRecording(
            spec=self._spec,
            info=self._info,
            control_rate_hz=self._control_rate_hz,
            started_ns=self._started_ns,
            ended_ns=max(ended_ns, self._started_ns),
            outcome=outcome,
            outcome_reason=_storable(reason),
            outcome_source=source,
            environment_outcome=environment_outcome,
            calibration=calibration,
            arrays=arrays,
            frames=self._frames,
            segments=self._segments(arrays),
        )

    def _arrays(self) -> dict[str, Array]:
        steps = self._steps
        zeros = np.zeros(len(self._info.action_names), np.float32)
        begin_s = np.array([step.monotonic_s for step in steps], np.float64)
        # A wall clock may be set back during an episode; the contract wants times that never run backwards.
        captured_ns = np.maximum.accumulate(np.array([step.captured_ns for step in steps], np.int64))
        proposed = [step.proposed for step in steps]
        return {
            "frame_index": np.arange(len(steps), dtype=np.int32),
            "timestamp_s": begin_s - begin_s[0],
            "captured_ns": captured_ns,
            "observation.state": np.stack([step.observation.state for step in steps]).astype(np.float32),
            "action": np.stack([step.action for step in steps]).astype(np.float32),
            "action.asked": np.stack([step.asked for step in steps]).astype(np.float32),
            "action.proposed": np.stack([zeros if row is None else row for row in proposed]).astype(np.float32),
            "proposed": np.array([row is not None for row in proposed], np.bool_),
            "reward": np.array([step.feedback.reward for step in steps], np.float32),
            "success": np.array([step.feedback.success for step in steps], np.bool_),
            "mode": np.array([MODE_CODES[step.mode] for step in steps], np.int8),
            "source": np.array([SOURCE_CODES[step.source] for step in steps], np.int8),
            "lease_epoch": np.array([step.lease_epoch for step in steps], np.int32),
            "inference_ms": np.array([step.inference_ms for step in steps], np.float32),
            "period_ms": np.diff(begin_s, prepend=begin_s[0]).astype(np.float32) * np.float32(1e3),
        }

    def _segments(self, arrays: dict[str, Array]) -> tuple[Segment, ...]:
        found = segments_of(arrays["mode"], arrays["source"], arrays["lease_epoch"])
        firsts = [self._steps[segment.start] for segment in found]
        return tuple(
            msgspec.structs.replace(segment, operator=_storable(first.operator), reason=_storable(first.reason))
            for segment, first in zip(found, firsts, strict=True)
        )


def _storable(text: str) -> str:
    """Return what a person wrote without zero characters: no database holds them, and the episode would be refused."""
    return text.replace("\x00", "")
