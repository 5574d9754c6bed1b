"""The small VLA: frozen image encoder + proprioception + language -> flow-matching action chunk.

Stands in for a vision-language-action model on two CPU cores. The encoder is pre-trained and frozen (`pretrain.py`);
the head alone is trained online, like SOP's frozen backbone with a trained action expert.
Every camera goes through the same encoder. Pre-training teaches it on the first camera's scenes, and only that one's
scene points are read; of the others the head gets the features, at their place in the context.
Left out of pi0: attention over tokens, a trained text encoder (`flow_vla_tokens.py` has a small one).
Source: pi0, arXiv:2410.24164, section IV (flow matching, noisy-end time distribution). Departures: 1. residual MLP in
place of a transformer; 2. Euler with `euler_steps` steps from noise scaled by `initial_noise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from learner.policies.base import ChunkBatch, Noise, PolicyNetwork, PolicyShapes
from learner.policies.language import LANGUAGE_DIM
from learner.policies.layers import IMAGE_SIZE, FlowHead, SceneEncoder, downsample

ARCHITECTURE = "flow_vla.v1"
POINT_DIM = 3


class FlowVlaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes and sampling. Written into the manifest of each version."""

    channels: int = 48
    keypoints: int = 64
    feature_dim: int = 64
    label_dim: int = 9  # three scene points of three coordinates
    width: int = 256
    blocks: int = 3
    flow_samples: int = 2  # flow times drawn per row and step; the context is computed once for all
    time_exponent: float = 1.5  # Beta(1.5, 1) towards the noisy end
    euler_steps: int = 4
    initial_noise: float = 0.5  # 0 makes bin-picking stall for ever (learning.md)
    execute_steps: int = 6


class Backbone(nn.Module):
    """Encoder and the statistics by which inputs and outputs are normalised."""

    def __init__(self, config: FlowVlaConfig, shapes: PolicyShapes) -> None:
        super().__init__()
        self.encoder = SceneEncoder(
            channels=config.channels,
            keypoints=config.keypoints,
            feature_dim=config.feature_dim,
            label_dim=config.label_dim,
            language_dim=LANGUAGE_DIM,
        )
        for name, size in (
            ("label", config.label_dim),
            ("state", shapes.proprio_dim),
            ("action", shapes.action_dim),
        ):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))

    def statistics(self, name: str) -> tuple[Tensor, Tensor]:
        return self.get_buffer(f"{name}_mean"), self.get_buffer(f"{name}_std")


class FlowVla(PolicyNetwork):
    """See the module. `backbone` and `head` are the two blobs."""

    architecture = ARCHITECTURE
    backbone: Backbone
    head: FlowHead

    def __init__(self, config: FlowVlaConfig, shapes: PolicyShapes) -> None:
        super().__init__()
        if not shapes.cameras:
            raise ValueError("at least one camera is needed")
        for camera in shapes.cameras:
            if camera.height != camera.width or camera.height % IMAGE_SIZE:
                raise ValueError(f"sides of camera '{camera.name}' must be equal and multiples of {IMAGE_SIZE}")
        if not 1 <= config.execute_steps <= shapes.horizon or config.label_dim % POINT_DIM:
            raise ValueError("execute_steps must be 1..horizon and label_dim a multiple of 3")
        self.config = config
        self.shapes = shapes
        self.execute_steps = config.execute_steps
        self.backbone = Backbone(config, shapes)
        points = config.label_dim
        self.head = FlowHead(
            context_dim=len(shapes.cameras) * config.feature_dim + 2 * points + shapes.proprio_dim + LANGUAGE_DIM,
            chunk_dim=shapes.horizon * shapes.action_dim,
            width=config.width,
            blocks=config.blocks,
        )

    def config_dict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self.config)

    def encode(self, images: Mapping[str, Tensor], language_BL: Tensor) -> Tensor:
        """Features [B, feature_dim + label_dim + ...]: the first camera's features, its scene points in normalised
        units, then the features of each further camera.
        """
        first, *others = self.shapes.cameras
        heard_BL = self._encoder_language(language_BL)
        with torch.no_grad():
            parts = list(self.backbone.encoder(downsample(images[first.name]), heard_BL))
            for camera in others:
                parts.append(self.backbone.encoder(downsample(images[camera.name]), heard_BL)[0])
            return torch.cat(parts, dim=1)

    def draw_noise(self, rows: int, *, generator: torch.Generator) -> Noise:
        """`flow_samples` of each a row: "flow" normal [B, S, X], and "time" uniform in [0, 1) [B, S]."""
        samples, chunk = self.config.flow_samples, self.shapes.horizon * self.shapes.action_dim
        flow_SBX = torch.randn(samples, rows, chunk, generator=generator)
        time_SB = torch.rand(samples, rows, generator=generator)
        return {"flow": flow_SBX.transpose(0, 1), "time": time_SB.transpose(0, 1)}

    def chunk_losses(self, batch: ChunkBatch, noise: Noise) -> Tensor:
        """Flow-matching loss. x_t = t a + (1 - t) e, target a - e; t near 0 is the noisy end.

        Source: pi0, equation 1, with t counted from noise to action. Samples are stacked as further rows.
        """
        samples = self.config.flow_samples
        mean_A, std_A = self.backbone.statistics("action")
        actions_BX = ((batch.actions_BHA - mean_A) / std_A).flatten(1).repeat(samples, 1)
        noise_BX = noise["flow"].transpose(0, 1).flatten(0, 1)
        uniform_B = noise["time"].transpose(0, 1).flatten()
        time_B = 1.0 - uniform_B ** (1.0 / self.config.time_exponent)
        noised_BX = time_B[:, None] * actions_BX + (1.0 - time_B[:, None]) * noise_BX
        context_BD = self._training_context(batch).repeat(samples, 1)
        velocity_BX = self.head(context_BD, noised_BX, time_B)
        errors = (velocity_BX - (actions_BX - noise_BX)).square()
        losses_BH = errors.view(samples, *batch.actions_BHA.shape).mean(dim=(0, 3))
        masked_BH: Tensor = losses_BH * batch.valid_BH
        return masked_BH

    def sample_chunk(
        self, features_BF: Tensor, state_BP: Tensor, language_BL: Tensor, *, generator: torch.Generator
    ) -> Tensor:
        shapes = self.shapes
        with torch.no_grad():
            context_BD = self._context(features_BF, state_BP, language_BL)
            noise = torch.randn(len(context_BD), shapes.horizon * shapes.action_dim, generator=generator)
            x_BX = noise.to(context_BD) * self.config.initial_noise
            for step in range(self.config.euler_steps):
                time_B = torch.full((len(x_BX),), step / self.config.euler_steps, device=x_BX.device)
                x_BX = x_BX + self._acting_velocity(context_BD, x_BX, time_B) / self.config.euler_steps
            mean_A, std_A = self.backbone.statistics("action")
            actions_BHA = x_BX.view(-1, shapes.horizon, shapes.action_dim) * std_A + mean_A
            clipped_BHA: Tensor = actions_BHA.clamp(-1.0, 1.0)
            return clipped_BHA

    def with_indicator(self, *, guidance: float) -> PolicyNetwork:
        # Imported here: that module builds on this one.
        from learner.policies.architectures.flow_vla_indicator import add_indicator

        return add_indicator(self, guidance=guidance)

    def _encoder_language(self, language_BL: Tensor) -> Tensor:
        """What the frozen encoder hears of a language row: the vector of hashed words."""
        return language_BL

    def _training_context(self, batch: ChunkBatch) -> Tensor:
        return self._context(batch.features_BF, batch.state_BP, batch.language_BL)

    def _acting_velocity(self, context_BD: Tensor, x_BX: Tensor, time_B: Tensor) -> Tensor:
        velocity_BX: Tensor = self.head(context_BD, x_BX, time_B)
        return velocity_BX

    def _context(self, features_BF: Tensor, state_BP: Tensor, language_BL: Tensor) -> Tensor:
        """Also gives the scene points relative to the hand (state[:3], metres): reaching depends on the difference."""
        state_mean, state_std = self.backbone.statistics("state")
        label_mean, label_std = self.backbone.statistics("label")
        labels_BF = features_BF[:, self.config.feature_dim : self.config.feature_dim + self.config.label_dim]
        points_BF = labels_BF * label_std + label_mean
        hand_BF = state_BP[:, :POINT_DIM].repeat(1, self.config.label_dim // POINT_DIM)
        relative_BF = (points_BF - hand_BF) / 0.1
        normalised_BP = ((state_BP - state_mean) / state_std).clamp(-10.0, 10.0)
        context: Tensor = self.head.context(torch.cat([features_BF, relative_BF, normalised_BP, language_BL], dim=1))
        return context


def build(config: dict[str, Any], shapes: PolicyShapes) -> FlowVla:
    """Build from a manifest's config. Raises: msgspec.ValidationError, ValueError."""
    return FlowVla(msgspec.convert(config, FlowVlaConfig), shapes)
