"""RECAP's value function fitted once, before any run: SOP's "trained offline and frozen".

Used by `python -m learner value`. The run then names the file (`value.file`) and has values from its first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fleet.protocol.errors import InvalidEpisode
from learner.algorithms.recap.calibration import figures, reliability
from learner.algorithms.recap.config import RecapConfig
from learner.algorithms.recap.fitted import FittedValue, fit, scored_episodes
from learner.algorithms.recap.sidecar import acting_steps, make_sidecar
from learner.data.replay import Replay

Array = np.ndarray[Any, Any]


def fit_offline(
    replay: Replay, config: RecapConfig, *, held_out: float, seed: int
) -> tuple[FittedValue, dict[str, Any]]:
    """Fit to a replay's scored episodes and report on a share of them (0..1, drawn by `seed`) that was kept out.

    Returns the value function and the report: episodes fitted to, and of the held-out ones their count, `figures`,
    `reliability` and the figures by task (None if none was held out). The value function is the one reported on: it
    never saw the held-out episodes. Raises: InvalidEpisode if no episode is left to fit; as `fit`.
    """
    numbers = np.random.default_rng(seed).permutation(scored_episodes(replay)).tolist()
    tested = sorted(numbers[: round(held_out * len(numbers))])
    fitted_to = sorted(set(numbers) - set(tested))
    fitted = fit(replay, fitted_to, config, torch.Generator().manual_seed(seed))
    if fitted is None:
        raise InvalidEpisode("there is no readable episode with a known end to fit to")
    return fitted, {"fitted_episodes": len(fitted_to), "held_out": _report(replay, tested, fitted, config)}


def _report(replay: Replay, numbers: Sequence[int], fitted: FittedValue, config: RecapConfig) -> dict[str, Any] | None:
    by_task: dict[str, list[tuple[Array, Array]]] = {}
    for number in numbers:
        scores = _scores(replay, number, fitted, config)
        if scores is not None:
            by_task.setdefault(replay.episode(number).manifest.task_slug, []).append(scores)
    if not by_task:
        return None
    value_N, return_N = _joined([scores for parts in by_task.values() for scores in parts])
    return {
        "episodes": sum(len(parts) for parts in by_task.values()),
        "frames": len(value_N),
        **figures(value_N, return_N),
        "reliability": reliability(value_N, return_N),
        "tasks": {task: {"episodes": len(parts), **figures(*_joined(parts))} for task, parts in by_task.items()},
    }


def _scores(replay: Replay, number: int, fitted: FittedValue, config: RecapConfig) -> tuple[Array, Array] | None:
    """Return value and return of the acting frames; None of an unreadable episode or a task that was not fitted."""
    episode, payload = replay.episode(number), replay.payload(number)
    longest = fitted.longest.get(episode.manifest.task_slug)
    if payload is None or longest is None:
        return None
    sidecar = make_sidecar(episode, payload, fitted.network, longest=longest, config=config)
    is_acting_T = acting_steps(episode)
    return sidecar.value_T[is_acting_T], sidecar.return_T[is_acting_T]


def _joined(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    return np.concatenate([value_N for value_N, _ in parts]), np.concatenate([return_N for _, return_N in parts])
