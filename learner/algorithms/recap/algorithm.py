"""RECAP as the trainer calls it: a value function, the sidecars that follow from it, and a policy told of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from learner.algorithms.base import Algorithm, LossOutput
from learner.algorithms.hg_dagger.losses import imitation_loss
from learner.algorithms.recap.advantage import returns, threshold
from learner.algorithms.recap.config import RecapConfig
from learner.algorithms.recap.losses import drop_indicators
from learner.algorithms.recap.sidecar import (
    Sidecar,
    acting_steps,
    empty_sidecar,
    episode_rewards,
    indicator_of,
    is_scored,
    longest_by_task,
    make_sidecar,
    rollout_steps,
    value_inputs,
)
from learner.algorithms.recap.value import ValueNetwork, fit_value
from learner.checkpoint import CheckpointMismatch
from learner.config import ConfigError, from_mapping
from learner.data.index import FrameClass, IndexedEpisode
from learner.data.masks import FrameRule
from learner.data.replay import Replay, Rows
from learner.policies.base import ChunkBatch, Indicator, Noise, PolicyNetwork

RECENT_EPISODES = 50  # how many of the newest episodes the value's figures are taken over
_VALUE, _LONGEST = "value.", "longest."


class Recap(Algorithm):
    """See README.md. Sidecars are numbered like the replay's episodes and follow from value, scales and replay."""

    def __init__(self, config: RecapConfig) -> None:
        self._config = config
        self._value: ValueNetwork | None = None
        self._longest: dict[str, int] = {}
        self._fitted_step = 0
        self._fitted_episodes = 0
        self._counted = 0
        self._rollouts = 0
        self._forget_sidecars()

    @property
    def frame_rule(self) -> FrameRule:
        return FrameRule.ALL

    def prepare(self, network: PolicyNetwork) -> PolicyNetwork:
        try:
            return network.with_indicator(guidance=self._config.guidance)
        except ValueError as error:
            raise ConfigError(f"recap: {error}") from None

    def before_step(self, step: int, replay: Replay, *, generator: torch.Generator) -> None:
        """Fit the value function if that is due, then score the episodes that have no sidecar yet.

        Raises: ValueDiverged; InvalidEpisode, OSError from the source of payloads.
        """
        if self._is_fit_due(step, replay):
            self._fit(step, replay, generator)
        if self._value is not None:
            self._score_new(replay, self._value)

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
        tensors = {f"{_VALUE}{name}": tensor for name, tensor in self._value.state_dict().items()}
        tensors |= {f"{_LONGEST}{task}": torch.tensor(steps) for task, steps in self._longest.items()}
        return tensors | {"fitted": torch.tensor([self._fitted_step, self._fitted_episodes])}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        value = _read_value(state, self._config.value.width) if state else None
        fitted = state["fitted"].tolist() if state else [0, 0]
        self._value = value
        self._fitted_step, self._fitted_episodes = fitted
        self._longest = {
            name.removeprefix(_LONGEST): int(tensor) for name, tensor in state.items() if name.startswith(_LONGEST)
        }
        self._forget_sidecars()

    def metrics(self) -> dict[str, float]:
        """Thresholds, positive shares, and the value's error on episodes that came after its fit.

        `spread` is what the best constant would err; a value function is of use well below it.
        """
        values = {f"recap/threshold/{task}": eps for task, eps in self._thresholds.items()}
        for task, parts in self._rollout_advantages.items():
            values[f"recap/positive/{task}"] = float(np.mean(np.concatenate(parts) > self._thresholds[task]))
        fresh = [sidecar for sidecar in self._sidecars[self._fitted_episodes :] if not np.isnan(sidecar.return_T).any()]
        if fresh:
            return_N = np.concatenate([sidecar.return_T for sidecar in fresh[-RECENT_EPISODES:]])
            value_N = np.concatenate([sidecar.value_T for sidecar in fresh[-RECENT_EPISODES:]])
            values["recap/value/error"] = float(np.abs(value_N - return_N).mean())
            values["recap/value/bias"] = float((value_N - return_N).mean())
            values["recap/value/spread"] = float(np.abs(return_N - np.median(return_N)).mean())
        return values

    def sidecars(self, replay: Replay) -> Iterator[tuple[str, dict[str, np.ndarray[Any, Any]]]]:
        for number, sidecar in enumerate(self._sidecars):
            episode = replay.episode(number)
            codes = [self._indicator(number, t, FrameClass(kind)) for t, kind in enumerate(episode.classes_T.tolist())]
            columns = {
                "return": sidecar.return_T,
                "value": sidecar.value_T,
                "advantage": sidecar.advantage_T,
                "indicator": np.array(codes, dtype=np.int8),
            }
            yield episode.manifest.episode_id, columns

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

    def _fit(self, step: int, replay: Replay, generator: torch.Generator) -> None:
        numbers = [number for number in range(replay.episodes) if is_scored(replay.episode(number))]
        if not numbers:
            return
        self._longest = longest_by_task(replay.episode(number) for number in numbers)
        inputs_NX, returns_N = self._fit_data(replay, numbers, generator)
        self._value = fit_value(inputs_NX, returns_N, self._config.value, generator=generator)
        self._fitted_step, self._fitted_episodes = step, replay.episodes
        self._forget_sidecars()

    def _fit_data(self, replay: Replay, numbers: list[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Read the acting frames of the episodes, at most `max_frames` of them, evenly drawn."""
        total = sum(int(acting_steps(replay.episode(number)).sum()) for number in numbers)
        share = min(1.0, self._config.value.max_frames / total)
        inputs, targets = [], []
        for number in numbers:
            episode = replay.episode(number)
            steps_N = np.flatnonzero(acting_steps(episode))
            if share < 1.0:
                steps_N = steps_N[torch.rand(len(steps_N), generator=generator).numpy() < share]
            longest = self._longest[episode.manifest.task_slug]
            reward_T = episode_rewards(episode, longest=longest, failure_cost=self._config.failure_cost)
            inputs.append(value_inputs(replay.payload(number), episode.manifest.instruction)[steps_N])
            targets.append(returns(reward_T)[steps_N].astype(np.float32))
        return torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets))

    def _score_new(self, replay: Replay, value: ValueNetwork) -> None:
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

    def _score(self, episode: IndexedEpisode, replay: Replay, number: int, value: ValueNetwork) -> Sidecar:
        if not acting_steps(episode).any():
            return empty_sidecar(episode)  # its payload is never trained on, so it is not read either
        longest = self._longest.get(episode.manifest.task_slug)
        return make_sidecar(episode, replay.payload(number), value, longest=longest, config=self._config)

    def _forget_sidecars(self) -> None:
        self._sidecars: list[Sidecar] = []
        self._rollout_advantages: dict[str, list[np.ndarray[Any, Any]]] = {}
        self._thresholds: dict[str, float] = {}


def _read_value(state: Mapping[str, Tensor], width: int) -> ValueNetwork:
    """Raises: CheckpointMismatch if tensors are missing, unknown or of another size than the configuration says."""
    tensors = {name.removeprefix(_VALUE): tensor for name, tensor in state.items() if name.startswith(_VALUE)}
    known = {name for name in state if name.startswith((_VALUE, _LONGEST))} | {"fitted"}
    if set(state) != known or "mean_X" not in tensors:
        raise CheckpointMismatch("the value function's tensors are not complete")
    network = ValueNetwork(len(tensors["mean_X"]), width)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointMismatch(f"the value function's tensors have other shapes: {error}") from None
    return network.requires_grad_(False)


def build(config: Mapping[str, Any]) -> Recap:
    """Raises: ConfigError."""
    return Recap(from_mapping(RecapConfig, config, path="algorithm_config"))
