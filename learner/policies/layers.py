"""Building blocks of the small VLA: image encoder and flow-matching action head. Pure torch modules.

B batch, C channels, F features, L language, K keypoints, D width, X flattened action chunk (H * A).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_SIZE = 64


class FilmConv(nn.Module):
    """3x3 convolution whose channels are scaled and shifted by the instruction (FiLM), with a residual path."""

    def __init__(self, channels: int, language_dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)
        self.film = nn.Linear(language_dim, 2 * channels)

    def forward(self, x_BCHW: Tensor, language_BL: Tensor) -> Tensor:
        scale_BC, shift_BC = self.film(language_BL).chunk(2, dim=1)
        y_BCHW = self.norm(self.conv(x_BCHW)) * (1 + scale_BC[:, :, None, None]) + shift_BC[:, :, None, None]
        return x_BCHW + functional.silu(y_BCHW)


class SpatialSoftmax(nn.Module):
    """Expected position of each channel's activation: [B, K, h, w] -> [B, 2K], coordinates in [-1, 1]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(()))
        grid = torch.linspace(-1, 1, size)
        self.register_buffer("grid_S", grid, persistent=False)

    def forward(self, x_BKHW: Tensor) -> Tensor:
        weights_BKHW = functional.softmax(x_BKHW.flatten(2) / self.log_temperature.exp(), dim=2).view_as(x_BKHW)
        grid_S = self.get_buffer("grid_S")
        across_BK = (weights_BKHW.sum(2) * grid_S).sum(2)
        down_BK = (weights_BKHW.sum(3) * grid_S).sum(2)
        return torch.cat([across_BK, down_BK], dim=1)


class SceneEncoder(nn.Module):
    """64x64 image and instruction -> features and estimated scene points.

    The points are what the encoder is pre-trained on (simulator labels, normalised); at run time they are estimates
    from pixels like every other feature.
    """

    def __init__(self, *, channels: int, keypoints: int, feature_dim: int, label_dim: int, language_dim: int) -> None:
        super().__init__()
        # Patches of 8 that overlap by half: a keypoint between two 4-pixel patches is seen whole by one of them.
        self.stem = nn.Conv2d(3, channels, 8, stride=4, padding=2)
        self.blocks = nn.ModuleList([FilmConv(channels, language_dim) for _ in range(2)])
        self.to_keypoints = nn.Conv2d(channels, keypoints, 1)
        self.pool = SpatialSoftmax(IMAGE_SIZE // 4)
        self.film = nn.Linear(language_dim, 4 * keypoints)
        self.mlp = nn.Sequential(nn.Linear(2 * keypoints, 192), nn.SiLU(), nn.Linear(192, 128), nn.SiLU())
        self.to_features = nn.Linear(128, feature_dim)
        self.to_labels = nn.Linear(128, label_dim)

    def forward(self, image_BCHW: Tensor, language_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [B, F] in (-1, 1) and labels [B, label_dim]; image float in [0, 1]."""
        return self.read_out(self.activations(image_BCHW, language_BL), language_BL)

    def activations(self, image_BCHW: Tensor, language_BL: Tensor) -> Tensor:
        """Return the keypoints' activations [B, K, 16, 16]: all of the cost, and fit for bfloat16."""
        x_BCHW = functional.silu(self.stem(image_BCHW * 2 - 1))
        for block in self.blocks:
            x_BCHW = block(x_BCHW, language_BL)
        activations_BKHW: Tensor = self.to_keypoints(x_BCHW)
        return activations_BKHW

    def read_out(self, activations_BKHW: Tensor, language_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Positions from activations, then features and labels. float32: bfloat16 would round by 1/4 pixel."""
        points_BK = self.pool(activations_BKHW)
        scale_BK, shift_BK = self.film(language_BL).chunk(2, dim=1)
        hidden_BD = self.mlp(points_BK * (1 + scale_BK) + shift_BK)
        return torch.tanh(self.to_features(hidden_BD)), self.to_labels(hidden_BD)


def downsample(images_BHWC: Tensor) -> Tensor:
    """Area-average RGB images in 0..255 to 64x64, float32 [B, 3, 64, 64] in [0, 1]. Sides: multiples of 64."""
    x_BCHW = images_BHWC.permute(0, 3, 1, 2).to(torch.float32) / 255.0
    factor = x_BCHW.shape[2] // IMAGE_SIZE
    if factor > 1:
        x_BCHW = functional.avg_pool2d(x_BCHW, factor)
    return x_BCHW


def time_features(time_B: Tensor, dim: int) -> Tensor:
    """Sine and cosine features of flow time in [0, 1], float32 [B, dim]."""
    frequencies = torch.exp(torch.linspace(0.0, math.log(100.0), dim // 2, device=time_B.device))
    angles = time_B[:, None] * frequencies[None] * (2 * math.pi / 4)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class AdaptiveBlock(nn.Module):
    """Residual MLP block whose normalisation is scaled, shifted and gated by the condition (AdaLN-zero)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 3 * width)
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x_BD: Tensor, condition_BD: Tensor) -> Tensor:
        shift_BD, scale_BD, gate_BD = self.modulation(condition_BD).chunk(3, dim=1)
        y_BD = self.norm(x_BD) * (1 + scale_BD) + shift_BD
        out_BD: Tensor = x_BD + gate_BD * self.outer(functional.silu(self.inner(y_BD)))
        return out_BD


class FlowHead(nn.Module):
    """Velocity field of the action chunk: (context, noised chunk, flow time) -> velocity [B, X]."""

    def __init__(self, *, context_dim: int, chunk_dim: int, width: int, blocks: int) -> None:
        super().__init__()
        self.time_dim = 64
        self.context = nn.Sequential(
            nn.Linear(context_dim, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.time = nn.Sequential(nn.Linear(self.time_dim, width), nn.SiLU(), nn.Linear(width, width))
        self.enter = nn.Linear(chunk_dim, width)
        self.blocks = nn.ModuleList([AdaptiveBlock(width) for _ in range(blocks)])
        self.leave = nn.Linear(width, chunk_dim)

    def forward(self, context_BD: Tensor, noised_BX: Tensor, time_B: Tensor) -> Tensor:
        """`context_BD` is the output of `self.context`, computed once for all flow times."""
        condition_BD = functional.silu(context_BD + self.time(time_features(time_B, self.time_dim)))
        x_BD = self.enter(noised_BX) + context_BD
        for block in self.blocks:
            x_BD = block(x_BD, condition_BD)
        velocity_BX: Tensor = self.leave(functional.silu(x_BD))
        return velocity_BX
