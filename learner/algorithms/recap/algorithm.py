"""RECAP as the trainer calls it: a value function, the sidecars that follow from it, and a policy told of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from learner.algorithms.base import Algorithm, Columns, LossOutput, ReadFile, read_path
from learner.algorithms.hg_dagger.losses import imitation_loss
from learner.algorithms.recap.advantage import threshold
from learner.algorithms.recap.calibration import figures
from learner.algorithms.recap.config import RecapConfig
from learner.algorithms.recap.fitted import (
    FittedValue,
    decode_value,
    fit,
    identity_of,
    read_tensors,
    scored_episodes,
)
from learner.algorithms.recap.losses import drop_indicators
from learner.algorithms.recap.sidecar import (
    Sidecar,
    acting_steps,
    empty_sidecar,
    indicator_of,
    is_scored,
    make_sidecar,
    rollout_steps,
)
from learner.checkpoint import CheckpointMismatch
from learner.config import ConfigError, from_mapping
from learner.data.index import FrameClass, IndexedEpisode
from learner.data.masks import FrameRule
from learner.data.replay import Replay, Rows
from learner.policies.base import ChunkBatch, Indicator, Noise, PolicyNetwork

RECENT_EPISODES = 50  # how many of the newest episodes the value's figures are taken over
_PROGRESS = "progress"


class Recap(Algorithm):
    """See README.md. Sidecars are numbered like the replay's episodes and follow from value, scales and replay."""

    def __init__(self, config: RecapConfig) -> None:
        self._config = config
        self._offline: FittedValue | None = None  # from `value.file`
        self._value: FittedValue | None = None
        self._fitted_step = 0
        self._fitted_episodes = 0
        self._taken = 0  # episodes whose sidecar was taken since the last fit
        self._counted = 0
        self._rollouts = 0
        self._forget_sidecars()

    @property
    def frame_rule(self) -> FrameRule:
        return FrameRule.ALL

    def prepare(self, network: PolicyNetwork, *, read_file: ReadFile = read_path) -> PolicyNetwork:
        """Raises: ConfigError; ValueMismatch if `value.file` belongs to another backbone; as `read_file`."""
        try:
            told = network.with_indicator(guidance=self._config.guidance)
        except ValueError as error:
            raise ConfigError(f"recap: {error}") from None
        if self._config.value.file is not None:
            data = read_file(self._config.value.file)
            self._value = self._offline = decode_value(data, identity_of(network, self._config))
        return told

    def before_step(self, step: int, replay: Replay, *, generator: torch.Generator) -> bool:
        """Fit the value function if that is due, then score the episodes that have no sidecar yet.

        An unreadable episode is neither fitted nor scored. Raises: ValueDiverged; OSError, StorageError if the source
        of payloads does not answer.
        """
        is_fitted = self._is_fit_due(step, replay) and self._fit(step, replay, generator)
        if self._value is not None:
            self._score_new(replay, self._value)
        return is_fitted and self._config.restart_policy

    def indicators(self, rows: Rows) -> Tensor:
        codes = [self._indicator(frame.episode, frame.step, frame.kind) for frame in rows.frames]
        return torch.tensor(codes, dtype=torch.int64)

    def draw_noise(self, network: PolicyNetwork, rows: int, *, generator: torch.Generator) -> Noise:
        """Adds "dropout", uniform [B], which decides whose indicator is hidden."""
        dropout_B = torch.rand(rows, generator=generator)
        return {"dropout": dropout_B, **network.draw_noise(rows, generator=generator)}

    def loss(self, network: PolicyNetwork, batch: ChunkBatch, weights_B: Tensor, noise: Noise) -> LossOutput:
        assert batch.indicator_B is not None
        told_B = drop_indicators(batch.indicator_B, self._config.dropout, noise["dropout"])
        losses_BH = network.chunk_losses(msgspec.structs.replace(batch, indicator_B=told_B), noise)
        return LossOutput(*imitation_loss(losses_BH, batch.valid_BH, weights_B))

    def state(self) -> dict[str, Tensor]:
        if self._value is None:
            return {}
        progress = [self._fitted_step, self._fitted_episodes, self._taken]
        return self._value.tensors() | {_PROGRESS: torch.tensor(progress)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        value, progress = self._offline, [0, 0, 0]
        if state:
            tensors = dict(state)
            if _PROGRESS not in tensors:
                raise CheckpointMismatch("the value function's tensors are not complete")
            progress = tensors.pop(_PROGRESS).tolist()
            value = read_tensors(tensors, self._config.value.width)
        self._value = value
        self._fitted_step, self._fitted_episodes, self._taken = progress
        self._forget_sidecars()

    def metrics(self) -> dict[str, float]:
        """Thresholds, positive shares, and the value's figures on episodes that came after its fit.

        With `value.file` those are all: the demonstrations it may have been fitted to are among them.
        """
        values = {f"recap/threshold/{task}": eps for task, eps in self._thresholds.items()}
        for task, parts in self._rollout_advantages.items():
            values[f"recap/positive/{task}"] = float(np.mean(np.concatenate(parts) > self._thresholds[task]))
        fresh = [sidecar for sidecar in self._sidecars[self._fitted_episodes :] if not np.isnan(sidecar.return_T).any()]
        if fresh:
            return_N = np.concatenate([sidecar.return_T for sidecar in fresh[-RECENT_EPISODES:]])
            value_N = np.concatenate([sidecar.value_T for sidecar in fresh[-RECENT_EPISODES:]])
            values |= {f"recap/value/{name}": figure for name, figure in figures(value_N, return_N).items()}
        return values

    def sidecars(self, replay: Replay) -> Iterator[tuple[str, Columns]]:
        for number in range(len(self._sidecars)):
            yield self._columns(number, replay.episode(number))

    def take_sidecars(self, replay: Replay, *, limit: int) -> list[tuple[str, Columns]]:
        """Thresholds move with every episode: an indicator is that of the moment it is taken."""
        end = min(len(self._sidecars), self._taken + limit)
        taken = [self._columns(number, replay.episode(number)) for number in range(self._taken, end)]
        self._taken = max(self._taken, end)
        return taken

    def _columns(self, number: int, episode: IndexedEpisode) -> tuple[str, Columns]:
        sidecar = self._sidecars[number]
        codes = [self._indicator(number, t, FrameClass(kind)) for t, kind in enumerate(episode.classes_T.tolist())]
        columns = {
            "return": sidecar.return_T,
            "value": sidecar.value_T,
            "advantage": sidecar.advantage_T,
            "indicator": np.array(codes, dtype=np.int8),
        }
        return episode.manifest.episode_id, columns

    def _indicator(self, number: int, step: int, kind: FrameClass) -> Indicator:
        if number >= len(self._sidecars):
            return indicator_of(kind, math.nan, 0.0)
        sidecar = self._sidecars[number]
        return indicator_of(kind, float(sidecar.advantage_T[step]), self._thresholds.get(sidecar.task, 0.0))

    def _is_fit_due(self, step: int, replay: Replay) -> bool:
        for number in range(self._counted, replay.episodes):
            episode = replay.episode(number)
            self._rollouts += is_scored(episode) and len(rollout_steps(episode)) > 0
        self._counted = replay.episodes
        if self._rollouts < self._config.value.min_rollouts:
            return False
        refit = self._config.value.refit_steps
        return self._value is None or (refit > 0 and step - self._fitted_step >= refit)

    def _fit(self, step: int, replay: Replay, generator: torch.Generator) -> bool:
        value = fit(replay, scored_episodes(replay), self._config, generator)
        if value is None:
            return False
        self._value = value
        self._fitted_step, self._fitted_episodes, self._taken = step, replay.episodes, 0
        self._forget_sidecars()
        return True

    def _score_new(self, replay: Replay, value: FittedValue) -> None:
        touched = set()
        for number in range(len(self._sidecars), replay.episodes):
            episode = replay.episode(number)
            sidecar = self._score(episode, replay, number, value)
            self._sidecars.append(sidecar)
            advantage_N = sidecar.advantage_T[rollout_steps(episode)]
            if len(advantage_N) and not np.isnan(advantage_N).any():
                self._rollout_advantages.setdefault(sidecar.task, []).append(advantage_N)
                touched.add(sidecar.task)
        for task in touched:
            advantage_N = np.concatenate(self._rollout_advantages[task])
            self._thresholds[task] = threshold(advantage_N, positive_share=self._config.positive_share)

    def _score(self, episode: IndexedEpisode, replay: Replay, number: int, value: FittedValue) -> Sidecar:
        # The payload of an evaluation is never trained on, so it is not read either.
        payload = replay.payload(number) if acting_steps(episode).any() else None
        if payload is None:
            return empty_sidecar(episode)
        longest = value.longest.get(episode.manifest.task_slug)
        return make_sidecar(episode, payload, value.network, longest=longest, config=self._config)

    def _forget_sidecars(self) -> None:
        self._sidecars: list[Sidecar] = []
        self._rollout_advantages: dict[str, list[np.ndarray[Any, Any]]] = {}
        self._thresholds: dict[str, float] = {}


def build(config: Mapping[str, Any]) -> Recap:
    """Raises: ConfigError."""
    return Recap(from_mapping(RecapConfig, config, path="algorithm_config"))
