"""What a stretch of training measured, and the names under which it is known everywhere.

The trainer collects steps (`Meter`), `loop.py` flattens their summary (`flatten`); `tasks.py` stores the numbers,
`python -m learner` prints them and `tensorboard.py` writes them for TensorBoard.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from learner.data.replay import BufferSize, Draw
from learner.data.sampler import Ratio


def source_name(*, is_online: bool) -> str:
    """Return the name of one of a task's two buffers."""
    return "online" if is_online else "offline"


class StepMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One gradient step. `losses`: mean loss of the rows of each (task, source) drawn; `data_s`: spent sampling."""

    step: int
    loss: float
    gradient_norm: float
    losses: dict[Draw, float]
    data_s: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the steps since the last summary. `data_wait`: share of the time spent getting batches."""

    step: int
    steps: int
    loss: float
    gradient_norm: float
    steps_per_s: float
    data_wait: float
    losses: dict[str, float]  # "task/online", "task/offline"
    ratios: tuple[Ratio, ...]
    sizes: dict[str, BufferSize]
    classes: dict[str, int]
    data: dict[str, float]  # `Replay.metrics`
    algorithm: dict[str, float]  # the algorithm's own figures

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


@dataclass
class Versions:
    """What a run has published: how many versions, the last one's step, and when (seconds of `clock`)."""

    count: int = 0
    step: int | None = None
    at_s: float = -math.inf
    clock: Callable[[], float] = time.monotonic

    def add(self, step: int) -> None:
        self.count, self.step, self.at_s = self.count + 1, step, self.clock()

    @property
    def age_s(self) -> float:
        """Seconds since the last one, infinite before the first of this process."""
        return self.clock() - self.at_s


def flatten(summary: Summary, versions: Versions) -> dict[str, float]:
    """Return a summary as numbers by name. `<source>` is online or offline.

    loss, gradient_norm, steps_per_s, data_wait; loss/<task>/<source>; the sampler's share/<task>/{raw,cap,clipped} and
    window/<task>/<source> (mean loss); frames/<task>/<source> and frames/class/<class>; data/... as `Replay.metrics`
    names them (episodes that left, samples per insert, cache); the algorithm's own;
    versions/{published,step,age_s} and versions/steps_behind, by how much the newest version is older than the weights.
    What is not known yet is left out.
    """
    values: dict[str, float | None] = {
        "loss": summary.loss,
        "gradient_norm": summary.gradient_norm,
        "steps_per_s": summary.steps_per_s,
        "data_wait": summary.data_wait,
    }
    values |= {f"loss/{name}": loss for name, loss in summary.losses.items()}
    values |= {f"frames/class/{name}": float(count) for name, count in summary.classes.items()}
    for ratio in summary.ratios:
        values |= {
            f"share/{ratio.task}/raw": ratio.raw,
            f"share/{ratio.task}/clipped": ratio.clipped,
            f"share/{ratio.task}/cap": ratio.cap,
            f"window/{ratio.task}/online": ratio.loss_online,
            f"window/{ratio.task}/offline": ratio.loss_offline,
            f"frames/{ratio.task}/online": float(ratio.online_frames),
            f"frames/{ratio.task}/offline": float(ratio.offline_frames),
        }
    values |= {f"data/{name}": value for name, value in summary.data.items()}
    values |= summary.algorithm
    values["versions/published"] = float(versions.count)
    if versions.step is not None:
        values["versions/step"] = float(versions.step)
        values["versions/steps_behind"] = float(summary.step - versions.step)
        values["versions/age_s"] = versions.age_s
    return {name: value for name, value in values.items() if value is not None}


class Meter:
    """Collects steps; `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps: list[StepMetrics] = []
        self._since = clock()

    def add(self, metrics: StepMetrics) -> None:
        self._steps.append(metrics)

    def summary(
        self,
        *,
        step: int,
        ratios: tuple[Ratio, ...],
        sizes: Mapping[str, BufferSize],
        classes: Mapping[str, int],
        data: Mapping[str, float],
        algorithm: Mapping[str, float],
    ) -> Summary:
        """Return the means since the last call and begin anew. An empty stretch gives zeros."""
        steps, elapsed = self._steps, max(1e-9, self._clock() - self._since)
        self._steps, self._since = [], self._clock()
        count = max(1, len(steps))
        per_source: dict[str, list[float]] = {}
        for metrics in steps:
            for draw, loss in metrics.losses.items():
                per_source.setdefault(f"{draw.task}/{source_name(is_online=draw.is_online)}", []).append(loss)
        return Summary(
            step=step,
            steps=len(steps),
            loss=sum(metrics.loss for metrics in steps) / count,
            gradient_norm=sum(metrics.gradient_norm for metrics in steps) / count,
            steps_per_s=len(steps) / elapsed,
            data_wait=sum(metrics.data_s for metrics in steps) / elapsed,
            losses={name: sum(values) / len(values) for name, values in sorted(per_source.items())},
            ratios=ratios,
            sizes=dict(sizes),
            classes=dict(classes),
            data=dict(data),
            algorithm=dict(algorithm),
        )
