"""A small RECAP run on hand-made episodes, for the tests of its parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from fleet.protocol.recording import EpisodeManifest, Outcome
from learner.algorithms.recap.algorithm import Recap
from learner.algorithms.recap.config import RecapConfig, ValueConfig
from learner.algorithms.recap.fitted import FittedValue, encode_value, identity_of
from learner.algorithms.recap.value import ValueNetwork
from learner.config import OptimConfig, RunConfig, to_mapping
from learner.trainer import Trainer, build_trainer
from tests.learner.hand_made import AUTONOMOUS, MemoryEpisodes, make_manifest, make_network, some_manifests

STATES = 17 + 8 + 64  # features, proprioception and language of the small network
VALUE = ValueConfig(min_rollouts=2, steps=30, batch_size=32, width=16)


def run_config(**changes: Any) -> RunConfig:
    return RunConfig(
        algorithm="recap",
        algorithm_config=to_mapping(dataclasses.replace(RecapConfig(value=VALUE), **changes)),
        optim=OptimConfig(batch_size=16, learning_rate=1e-3, warmup_steps=2),
    )


def manifests() -> list[EpisodeManifest]:
    """Demonstrations of two tasks, rescued episodes, an unassisted success, a timeout and an aborted episode."""
    endings = (("alone", Outcome.SUCCESS), ("late", Outcome.TIMEOUT), ("cut", Outcome.ABORTED))
    rollouts = [
        make_manifest(name, [(40, AUTONOMOUS)], task="bin-picking", outcome=outcome) for name, outcome in endings
    ]
    return [*some_manifests(), *rollouts]


def make_trainer(config: RunConfig | None = None, *, count: int | None = None) -> Trainer:
    trainer = build_trainer(make_network(), MemoryEpisodes(), config or run_config())
    trainer.ingest(manifests()[:count])
    return trainer


def recap_of(trainer: Trainer) -> Recap:
    algorithm = trainer._algorithm
    assert isinstance(algorithm, Recap)
    return algorithm


def value_file(path: Path, **changes: Any) -> Path:
    """A value function that gives -1 everywhere: the bias of the lowest bin is far above the others."""
    config = dataclasses.replace(RecapConfig(value=VALUE), **changes)
    network = ValueNetwork(STATES, config.value.width)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.get_parameter("layers.4.bias")[0] = 50.0
    fitted = FittedValue(network.requires_grad_(False), {"bin-picking": 47})
    path.write_bytes(encode_value(fitted, identity_of(make_network(), config)))
    return path
