"""Which online episodes are still learned from, and how often their frames may be drawn. Used by `replay.py`.

Everything here follows from the order of `add`, the configuration and the learner's step, so that buffers rebuilt on
resume are the buffers that were. That is why an episode that could not be read still counts towards the capacity.
Demonstrations and frozen datasets are not asked: they stay.
"""

from __future__ import annotations

import collections
import heapq

import msgspec

from learner.config import DataConfig


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest does not say of its episode.

    `added_s`: when it was indexed, by one clock for all robots; None takes the end by the robot's own clock.
    `policy_step`: learner step of the version that acted, 0 for the base; None if this run has no such version, and
    then its policy has no age. `is_frozen`: of a dataset, which is an offline source whatever its episodes' origin;
    their frames are of the class that they are online.
    """

    added_s: float | None = None
    policy_step: int | None = None
    is_frozen: bool = False


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """An online episode as `Retention` sees it. `frames` that carry loss; `time_s` on one clock."""

    number: int
    task: str
    frames: int
    time_s: float
    policy_step: int | None


class Leaving(msgspec.Struct, frozen=True):
    """An episode that must leave its buffer, and why: "capacity", "age" or "policy_age"."""

    number: int
    reason: str


class Retention:
    """Tells which online episodes leave. The newest of a task stays whatever its size."""

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self._present: dict[str, collections.deque[Arrival]] = {}
        self._frames: collections.Counter[str] = collections.Counter()
        self._by_time: list[tuple[float, int]] = []
        self._by_policy_step: list[tuple[float, int]] = []
        self._newest_s = float("-inf")

    def admit(self, arrival: Arrival) -> list[Leaving]:
        """Take in an episode; return which leave because of it, perhaps itself."""
        leaving = self._over_capacity(arrival) if self._config.capacity_frames is not None else []
        if self._config.max_age_s is not None:
            heapq.heappush(self._by_time, (arrival.time_s, arrival.number))
            self._newest_s = max(self._newest_s, arrival.time_s)
            leaving += _below(self._by_time, self._newest_s - self._config.max_age_s, "age")
        if self._config.max_policy_age_steps is not None and arrival.policy_step is not None:
            heapq.heappush(self._by_policy_step, (arrival.policy_step, arrival.number))
        return leaving

    def advance(self, step: int) -> list[Leaving]:
        """Return which leave when the learner stands at `step`; steps never fall."""
        if self._config.max_policy_age_steps is None:
            return []
        return _below(self._by_policy_step, step - self._config.max_policy_age_steps, "policy_age")

    def _over_capacity(self, arrival: Arrival) -> list[Leaving]:
        assert self._config.capacity_frames is not None
        present = self._present.setdefault(arrival.task, collections.deque())
        present.append(arrival)
        self._frames[arrival.task] += arrival.frames
        leaving = []
        while self._frames[arrival.task] > self._config.capacity_frames and len(present) > 1:
            oldest = present.popleft()
            self._frames[arrival.task] -= oldest.frames
            leaving.append(Leaving(oldest.number, "capacity"))
        return leaving


class SampleToInsert:
    """Counts online frames inserted and online rows drawn, and says when the learner has drawn enough of them.

    Robots cannot be asked to wait, so only the learner is held back: it neither trains for ever on the same few frames
    nor, once frames come, idles. Source: Reverb, arXiv:2102.04736, rate limiter SampleToInsertRatio. Departure:
    inserting is never blocked, so there is no lower bound.
    """

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self.inserted_frames = 0
        self.drawn_rows = 0

    @property
    def ratio(self) -> float:
        """Online rows drawn an online frame inserted, 0 before the first."""
        return self.drawn_rows / self.inserted_frames if self.inserted_frames else 0.0

    @property
    def is_drawn_enough(self) -> bool:
        """Whether the learner should wait for new online frames before it takes another batch."""
        wanted = self._config.samples_per_insert
        if wanted is None or self.inserted_frames < self._config.min_online_frames:
            return False
        return self.drawn_rows >= wanted * self.inserted_frames + self._config.samples_tolerance


def _below(heap: list[tuple[float, int]], bound: float, reason: str) -> list[Leaving]:
    leaving = []
    while heap and heap[0][0] < bound:
        leaving.append(Leaving(heapq.heappop(heap)[1], reason))
    return leaving
