"""What an algorithm is to the trainer.

The trainer owns data, optimiser, EMA and checkpoints; an algorithm says which frames carry loss and turns a batch
into a loss:

    algorithm = build_algorithm("hg_dagger", {"mask": "intervention_only"})
    network = algorithm.prepare(network)                        # once
    algorithm.before_step(step, replay, generator=generator)    # then, for each gradient step
    draws, rows = batches.take(step)
    batch = ChunkBatch(..., indicator_B=algorithm.indicators(rows))
    noise = algorithm.draw_noise(network, len(rows.frames), generator=generator)
    output = algorithm.loss(network, batch, weights_B, noise)
    (output.total / output.weight).backward()

Over several processes each computes the loss of its own rows, with their noise, and divides by the weight of all:
an algorithm need not know.
"""

from __future__ import annotations

import abc
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from learner import algorithms as package
from learner.config import ConfigError
from learner.data.masks import FrameRule
from learner.data.replay import Replay, Rows
from learner.policies.base import ChunkBatch, Noise, PolicyNetwork

Columns = dict[str, np.ndarray[Any, Any]]
"""What was derived of an episode's frames: arrays [T] by name."""

ReadFile = Callable[[str], bytes]
"""A file that a run's configuration names -> its bytes. On folders the name is a path; `tasks.py` has names of its own.
Raises: OSError, ConfigError."""


def read_path(name: str) -> bytes:
    """The `ReadFile` of folders. Raises: OSError."""
    return Path(name).read_bytes()


class LossOutput(NamedTuple):  # not a Struct: torch.compile could not return one
    """The batch's loss is `total` / `weight`: sums over its rows, `total` with gradient, `weight` without.

    `row_losses_B`: detached, unweighted loss of each row, for the sampler.
    """

    total: Tensor
    weight: Tensor
    row_losses_B: Tensor


class Algorithm(abc.ABC):
    """A learning rule. What it keeps between steps is either in `state` or follows from state and replay.

    A rule without networks of its own overrides `frame_rule` and `loss` alone.
    """

    @property
    @abc.abstractmethod
    def frame_rule(self) -> FrameRule:
        """Which frames the replay buffers offer."""

    @abc.abstractmethod
    def loss(self, network: PolicyNetwork, batch: ChunkBatch, weights_B: Tensor, noise: Noise) -> LossOutput:
        """Return the loss of a batch, a pure function of its rows and their noise.

        `weights_B` float32 [B] are the frame rule's weights.
        """

    def draw_noise(self, network: PolicyNetwork, rows: int, *, generator: torch.Generator) -> Noise:
        """Draw the noise that `loss` needs for a batch of `rows` rows: the network's, unless the rule adds its own."""
        return network.draw_noise(rows, generator=generator)

    def prepare(self, network: PolicyNetwork, *, read_file: ReadFile = read_path) -> PolicyNetwork:
        """Return the network to train in place of the base: itself, unless it needs further inputs.

        Files that the configuration names are read here, through `read_file`.
        Raises: ConfigError if this architecture cannot be trained by this rule; PolicyError for a file that does not
        fit; as `read_file`.
        """
        return network

    def before_step(self, step: int, replay: Replay, *, generator: torch.Generator) -> bool:
        """Bring own networks and what follows from them up to date, before step `step` (0..) is sampled.

        Returns whether the policy shall start again from the base's weights, with a new optimiser.
        All randomness comes from `generator`, so that a resumed run does the same.
        Raises: PolicyError if that fails for good.
        """
        return False

    def indicators(self, rows: Rows) -> Tensor | None:
        """Return `Indicator` codes int64 [B] for sampled rows; None says nothing of any."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold of own networks."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned. Raises: CheckpointMismatch, with nothing changed."""
        return

    def sidecars(self, replay: Replay) -> Iterator[tuple[str, Columns]]:
        """Yield episode id and columns of what was derived of each episode's frames, for inspection."""
        return iter(())

    def take_sidecars(self, replay: Replay, *, limit: int) -> list[tuple[str, Columns]]:
        """Return at most `limit` sidecars that are new or changed and were not taken before, oldest first."""
        return []

    def metrics(self) -> dict[str, float]:
        """Return present figures by name, for the run's metrics."""
        return {}


@functools.cache
def algorithms() -> tuple[str, ...]:
    """Return the names of the algorithms that this process can build: one folder of this package each."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg))


def build_algorithm(name: str, config: Mapping[str, Any]) -> Algorithm:
    """Build an algorithm from a run's configuration. Raises: ConfigError for an unknown name or key."""
    if name not in algorithms():
        raise ConfigError(f"algorithm '{name}' is unknown; there are {', '.join(algorithms())}")
    module = importlib.import_module(f"{package.__name__}.{name}.algorithm")
    return cast(Algorithm, module.build(config))
