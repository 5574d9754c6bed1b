"""Which frames a buffer holds: runs of consecutive frames in growing columns. Used by `replay.py`.

The frames of a run share all that sampling asks of them besides their step: episode, class, and the step where their
gate changes. So the columns grow with the episodes, not with their frames (25 bytes a run, one to five runs an
episode), adding an episode costs microseconds, and drawing a frame is a binary search. Left out: payloads.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from learner.data.index import IndexedEpisode
from learner.data.masks import FrameRule, carrying_frames

Array = np.ndarray[Any, Any]

PICK = np.dtype(
    [
        ("episode", np.int32),  # number in the replay
        ("step", np.int32),
        ("gate_end", np.int32),  # first step after the segment that it lies in
        ("kind", np.int8),  # FrameClass
        ("frames", np.int32),
    ]
)
"""A run of `frames` frames from `step` on; as a drawn frame, one of such a run."""


def carrying_runs(number: int, episode: IndexedEpisode, rule: FrameRule) -> Array:
    """Return the runs of frames of episode `number` that carry loss under `rule`, in the order of their steps."""
    frames_N = carrying_frames(episode.classes_T, rule)
    kinds_N, gate_ends_N = episode.classes_T[frames_N], episode.run_end_T[frames_N]
    is_new_N = np.ones(len(frames_N), dtype=bool)
    is_new_N[1:] = (np.diff(frames_N) != 1) | (np.diff(kinds_N) != 0) | (np.diff(gate_ends_N) != 0)
    first_R = np.flatnonzero(is_new_N)
    runs_R = np.empty(len(first_R), dtype=PICK)
    runs_R["episode"] = number
    runs_R["step"], runs_R["gate_end"], runs_R["kind"] = frames_N[first_R], gate_ends_N[first_R], kinds_N[first_R]
    runs_R["frames"] = np.diff(np.append(first_R, len(frames_N)))
    return runs_R


class FrameBuffer:
    """The frames of one (task, source), in the order in which their episodes were added."""

    def __init__(self) -> None:
        self._runs = np.empty(16, dtype=PICK)  # "step" less the frames before the run: plus a frame's row, its step
        self._ends = np.empty(16, dtype=np.int64)  # frames up to the end of each run
        self._count = 0

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self._ends[self._count - 1]) if self._count else 0

    def extend(self, runs_R: Array) -> None:
        """Append the runs of an episode (`carrying_runs`)."""
        wanted = self._count + len(runs_R)
        if wanted > len(self._runs):
            capacity = max(wanted, 2 * len(self._runs))
            self._runs, self._ends = np.resize(self._runs, capacity), np.resize(self._ends, capacity)
        frames = len(self)
        ends_R = frames + np.cumsum(runs_R["frames"])
        self._runs[self._count : wanted] = runs_R
        self._runs[self._count : wanted]["step"] -= ends_R - runs_R["frames"]
        self._ends[self._count : wanted] = ends_R
        self._count = wanted

    def remove(self, episodes: Collection[int]) -> None:
        """Take out the frames of some episodes; the others keep their order."""
        present_R = self._runs[: self._count].copy()
        present_R["step"] += self._ends[: self._count] - present_R["frames"]
        kept_R = present_R[~np.isin(present_R["episode"], list(episodes))]
        self._count = 0
        self.extend(kept_R)

    def pick(self, uniform_B: Array) -> Array:
        """Return the frames at `uniform_B` in [0, 1) of the buffer, PICK [B]. Raises: IndexError if it is empty."""
        row_B = (uniform_B * len(self)).astype(np.int64)  # below the length: the product never rounds up to it
        picks_B = self._runs[: self._count][self._ends[: self._count].searchsorted(row_B, side="right")]
        picks_B["step"] += row_B
        return picks_B
