"""The adaptive sampler: which task and which buffer each row of a batch comes from.

Source: SOP, arXiv:2601.03044, equation 3 (paper.md section 2).

    task m ~ Uniform(1/M)
    w_on   = exp(alpha l_on) / (exp(alpha l_on) + exp(l_off)) = sigmoid(alpha l_on - l_off), clipped

with l_on, l_off the means of the last W losses of (m, source). Departures: 1. losses are the mean over a step's rows
of that (task, source), one entry a step; 2. `loss_scale` multiplies both means; 3. the upper clip ramps with the
task's online frames; 4. an empty online buffer gives 0, an empty offline one 1, a window without losses takes the
other's mean. Every quantity is kept in `Ratio` for the metrics.

For comparison there are a fixed share, and uniform sampling over all frames (tasks then in proportion to their frames).
"""

from __future__ import annotations

import array
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from learner.config import SamplerConfig
from learner.data.replay import BufferSize, Draw


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How the online share of one task came about. Losses None while their window is empty."""

    task: str
    loss_online: float | None
    loss_offline: float | None
    raw: float
    cap: float
    clipped: float
    online_frames: int
    offline_frames: int


class AdaptiveSampler:
    """Holds the loss windows. `draw` reads them, `record` feeds them."""

    def __init__(self, config: SamplerConfig) -> None:
        self._config = config
        # Arrays, oldest loss first: the step before has emptied the processor's cache, and floats lie far apart in it.
        self._windows: dict[Draw, array.array[float]] = {}

    def ratio(self, task: str, size: BufferSize) -> Ratio:
        """Return the online share of `task` and what it was made of."""
        online, offline = self._mean(Draw(task, True)), self._mean(Draw(task, False))
        raw = self._raw(online, offline)
        cap = self._cap(size.online)
        clipped = self._share(raw, cap, size)
        if size.online == 0:
            clipped = 0.0
        elif size.offline == 0:
            clipped = 1.0
        return Ratio(
            task=task,
            loss_online=online,
            loss_offline=offline,
            raw=raw,
            cap=cap,
            clipped=clipped,
            online_frames=size.online,
            offline_frames=size.offline,
        )

    def draw(self, sizes: Mapping[str, BufferSize], rows: int, rng: np.random.Generator) -> list[Draw]:
        """Return one draw a row. Raises: ValueError if there is no task with frames."""
        tasks = sorted(sizes)
        if not tasks:
            raise ValueError("all buffers are empty")
        shares = [self.ratio(task, sizes[task]).clipped for task in tasks]
        if self._config.strategy == "uniform":
            frames = np.array([sizes[task].online + sizes[task].offline for task in tasks], dtype=np.float64)
            picked = rng.choice(len(tasks), size=rows, p=frames / frames.sum())
        else:
            picked = rng.integers(0, len(tasks), size=rows)
        uniform = rng.random(rows)
        choices = [(Draw(task, False), Draw(task, True)) for task in tasks]
        is_online = uniform < np.array(shares)[picked]
        return [choices[k][online] for k, online in zip(picked.tolist(), is_online.tolist(), strict=True)]

    def record(self, losses: Mapping[Draw, float]) -> None:
        """Append one step's mean loss of every (task, source) that was drawn; others stay as they are."""
        for draw, loss in losses.items():
            window = self._windows.setdefault(draw, array.array("d"))
            window.append(loss)
            if len(window) > self._config.window:
                del window[0]

    def state(self) -> list[list[Any]]:
        """Return the windows as JSON values; floats survive JSON exactly."""
        return [[draw.task, draw.is_online, list(window)] for draw, window in sorted(self._windows.items(), key=_key)]

    def load_state(self, state: list[list[Any]]) -> None:
        """Replace the windows by what `state()` returned."""
        kept = slice(-self._config.window, None)
        self._windows = {Draw(task, is_online): array.array("d", losses[kept]) for task, is_online, losses in state}

    def _share(self, raw: float, cap: float, size: BufferSize) -> float:
        config = self._config
        if config.strategy == "fixed":
            return config.fixed_share
        if config.strategy == "uniform":
            return size.online / max(1, size.online + size.offline)
        return min(max(raw, config.floor), cap)

    def _mean(self, draw: Draw) -> float | None:
        window = self._windows.get(draw)
        return sum(window) / len(window) if window else None

    def _raw(self, online: float | None, offline: float | None) -> float:
        known = [loss for loss in (online, offline) if loss is not None]
        fallback = known[0] if known else 0.0
        loss_on = (online if online is not None else fallback) * self._config.loss_scale
        loss_off = (offline if offline is not None else fallback) * self._config.loss_scale
        # Bounded before exp: beyond 60 the sigmoid is 0 or 1 to the last bit anyway.
        difference = max(-60.0, min(60.0, self._config.alpha * loss_on - loss_off))
        return 1.0 / (1.0 + math.exp(-difference))

    def _cap(self, online_frames: int) -> float:
        config = self._config
        progress = min(1.0, online_frames / config.cap_ramp_frames) if config.cap_ramp_frames else 1.0
        return config.cap_start + (config.cap_end - config.cap_start) * progress


def _key(item: tuple[Draw, Any]) -> tuple[str, bool]:
    return item[0].task, item[0].is_online
