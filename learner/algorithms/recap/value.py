"""The distributional value function: network, fit, and its figures. X inputs, V value bins.

Used by `algorithm.py` alone. Runs on the CPU in float32, whatever the policy runs on: it is small.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fleet.protocol.errors import PolicyError
from learner.algorithms.recap.config import ValueConfig
from learner.algorithms.recap.losses import BINS, LOWEST, value_loss

_CONSTANT = 1e-4  # an input that varies less than this in the data is not scaled
_CLAMP = 10.0


class ValueDiverged(PolicyError):
    """The value function's loss became NaN or infinite."""

    code = "value_diverged"


class ValueNetwork(nn.Module):
    """p(V | features, proprioception, instruction) over 201 bins, from inputs normalised by stored statistics."""

    def __init__(self, input_dim: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_dim, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, BINS)
        )
        self.register_buffer("mean_X", torch.zeros(input_dim))
        self.register_buffer("std_X", torch.ones(input_dim))
        self.register_buffer("bins_V", torch.linspace(LOWEST, 0.0, BINS), persistent=False)

    def forward(self, inputs_BX: Tensor) -> Tensor:
        """Return logits float32 [B, V]."""
        scaled_BX = ((inputs_BX - self.get_buffer("mean_X")) / self.get_buffer("std_X")).clamp(-_CLAMP, _CLAMP)
        logits_BV: Tensor = self.layers(scaled_BX)
        return logits_BV

    def values(self, inputs_BX: Tensor) -> Tensor:
        """Return V = sum_b p(b) v(b), float32 [B] in [-1, 0], without gradient. Source: RECAP, value function."""
        with torch.no_grad():
            values_B: Tensor = self(inputs_BX).softmax(dim=1) @ self.get_buffer("bins_V")
            return values_B


def fit_value(inputs_NX: Tensor, returns_N: Tensor, config: ValueConfig, *, generator: torch.Generator) -> ValueNetwork:
    """Fit a new value function to Monte-Carlo returns in [-1, 0]; it comes back frozen.

    AdamW with cosine decay to 0, batches drawn with replacement, all randomness from `generator`.
    Raises: ValueDiverged.
    """
    network = ValueNetwork(inputs_NX.shape[1], config.width)
    _initialise(network, inputs_NX, generator)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / config.steps))
        rows_B = torch.randint(len(inputs_NX), (config.batch_size,), generator=generator)
        loss = value_loss(network(inputs_NX[rows_B]), returns_N[rows_B])
        if not math.isfinite(float(loss.detach())):
            raise ValueDiverged(f"loss {float(loss.detach())} at step {step} of the value function")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.requires_grad_(False)


def _initialise(network: ValueNetwork, inputs_NX: Tensor, generator: torch.Generator) -> None:
    std_X = inputs_NX.std(0, correction=0)
    network.get_buffer("mean_X").copy_(inputs_NX.mean(0))
    network.get_buffer("std_X").copy_(torch.where(std_X < _CONSTANT, torch.ones_like(std_X), std_X))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
            else:
                parameter.zero_()
