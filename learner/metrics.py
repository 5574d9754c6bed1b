"""What a stretch of training measured: the trainer collects it, `tasks.py` stores it, `python -m learner` prints it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from learner.data.replay import BufferSize, Draw
from learner.data.sampler import Ratio


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
    algorithm: dict[str, float]  # the algorithm's own figures

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


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
        algorithm: Mapping[str, float],
    ) -> Summary:
        """Return the means since the last call and begin anew. An empty stretch gives zeros."""
        steps, elapsed = self._steps, max(1e-9, self._clock() - self._since)
        self._steps, self._since = [], self._clock()
        count = max(1, len(steps))
        per_source: dict[str, list[float]] = {}
        for metrics in steps:
            for draw, loss in metrics.losses.items():
                per_source.setdefault(f"{draw.task}/{'online' if draw.is_online else 'offline'}", []).append(loss)
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
            algorithm=dict(algorithm),
        )
