"""A fitted value function: the network, the unit of its values, its tensors in checkpoints, and a file of its own.

Used by `algorithm.py`, `offline.py` and `python -m learner value`. A file belongs to what it was fitted on: the
features of one backbone and these cameras, and one cost of failure. Never pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from fleet.protocol.errors import PolicyError
from learner.algorithms.recap.advantage import returns
from learner.algorithms.recap.config import RecapConfig
from learner.algorithms.recap.sidecar import (
    acting_steps,
    episode_rewards,
    is_scored,
    longest_by_task,
    value_inputs,
)
from learner.algorithms.recap.value import ValueNetwork, fit_value
from learner.checkpoint import CheckpointMismatch
from learner.data.replay import Replay
from learner.policies.base import BACKBONE, PolicyNetwork
from learner.policies.blobs import encode_blob

_FORMAT = 1
_KEY = "sop"
_VALUE, _LONGEST = "value.", "longest."


class ValueMismatch(PolicyError):
    """A file that is no value function, or one fitted on other features or another reward than the run's."""

    code = "value_mismatch"


class FittedValue(msgspec.Struct, frozen=True):
    """`longest`: steps of the longest episode of each task that it was fitted on, the unit of its values."""

    network: ValueNetwork
    longest: dict[str, int]

    def tensors(self) -> dict[str, Tensor]:
        """Return what `read_tensors` makes it of again."""
        tensors = {f"{_VALUE}{name}": tensor for name, tensor in self.network.state_dict().items()}
        return tensors | {f"{_LONGEST}{task}": torch.tensor(steps) for task, steps in self.longest.items()}


class ValueIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a value function sees (features of these cameras by this backbone) and what its returns count."""

    format: int = _FORMAT
    backbone_sha256: str
    cameras: tuple[str, ...]
    failure_cost: float
    width: int


def identity_of(network: PolicyNetwork, config: RecapConfig) -> ValueIdentity:
    """Return what a value function for this network and configuration must be of."""
    return ValueIdentity(
        backbone_sha256=hashlib.sha256(encode_blob(network.blob_state(BACKBONE))).hexdigest(),
        cameras=tuple(camera.name for camera in network.shapes.cameras),
        failure_cost=config.failure_cost,
        width=config.value.width,
    )


def scored_episodes(replay: Replay) -> list[int]:
    """Return the numbers of the episodes that have a return."""
    return [number for number in range(replay.episodes) if is_scored(replay.episode(number))]


def fit(replay: Replay, numbers: Iterable[int], config: RecapConfig, generator: torch.Generator) -> FittedValue | None:
    """Fit a new value function to the acting frames of scored episodes, at most `max_frames` of them, evenly drawn.

    None if not one of the episodes can be read. Raises: ValueDiverged; OSError, StorageError from the source.
    """
    episodes = {number: replay.episode(number) for number in numbers}
    longest = longest_by_task(episodes.values())
    total = sum(int(acting_steps(episode).sum()) for episode in episodes.values())
    share = min(1.0, config.value.max_frames / max(1, total))
    inputs, targets = [], []
    for number, episode in episodes.items():
        steps_N = np.flatnonzero(acting_steps(episode))
        if share < 1.0:
            steps_N = steps_N[torch.rand(len(steps_N), generator=generator).numpy() < share]
        payload = replay.payload(number)
        if payload is None:
            continue
        reward_T = episode_rewards(
            episode, longest=longest[episode.manifest.task_slug], failure_cost=config.failure_cost
        )
        inputs.append(value_inputs(payload, episode.manifest.instruction)[steps_N])
        targets.append(returns(reward_T)[steps_N].astype(np.float32))
    if not inputs:
        return None
    data = torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets))
    return FittedValue(fit_value(*data, config.value, generator=generator), longest)


def read_tensors(state: Mapping[str, Tensor], width: int) -> FittedValue:
    """Raises: CheckpointMismatch if tensors are missing, unknown or of another size than the configuration says."""
    tensors = {name.removeprefix(_VALUE): tensor for name, tensor in state.items() if name.startswith(_VALUE)}
    if not all(name.startswith((_VALUE, _LONGEST)) for name in state) or "mean_X" not in tensors:
        raise CheckpointMismatch("the value function's tensors are not complete")
    network = ValueNetwork(len(tensors["mean_X"]), width)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointMismatch(f"the value function's tensors have other shapes: {error}") from None
    longest = {name.removeprefix(_LONGEST): int(tensor) for name, tensor in state.items() if name.startswith(_LONGEST)}
    return FittedValue(network.requires_grad_(False), longest)


def encode_value(fitted: FittedValue, identity: ValueIdentity) -> bytes:
    """Return a value function as a file."""
    text = json.dumps(msgspec.to_builtins(identity))
    return safetensors.torch.save(fitted.tensors(), {_KEY: text})


def decode_value(data: bytes, wanted: ValueIdentity) -> FittedValue:
    """Read a file of `encode_value`. Raises: ValueMismatch, saying what differs from what is wanted."""
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:8], "little")
        text = json.loads(data[8 : 8 + length])["__metadata__"][_KEY]
        found = msgspec.json.decode(text, type=ValueIdentity)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueMismatch(f"the file holds no value function: {type(error).__name__}") from None
    for field in ValueIdentity.__struct_fields__:
        ours, theirs = getattr(wanted, field), getattr(found, field)
        if ours != theirs:
            raise ValueMismatch(f"the value function is of another {field}: {theirs!r}, the run has {ours!r}")
    try:
        return read_tensors(tensors, wanted.width)
    except CheckpointMismatch as error:
        raise ValueMismatch(error.message) from None
