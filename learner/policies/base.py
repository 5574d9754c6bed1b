"""What a policy network is to the trainer, and the one class that runs any network on a robot.

The trainer calls `encode` (frozen part, cached per frame) and `chunk_losses`; a robot calls `sample_chunk` through
`NetworkPolicy`. Shapes end names: B batch, H horizon, A action, P proprioception, F feature, L language, N pixels.

    features_BF = network.encode({"front": images_BHWC}, language_BL)  # no gradient, once a frame
    noise = network.draw_noise(rows, generator=generator)         # all that is random in the loss
    losses_BH = network.chunk_losses(batch, noise)                # gradient to `head` only
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from fleet.protocol.errors import ProbeFailed
from fleet.protocol.policy import ActionChunk, CameraSpec, Observation, TensorSpec
from learner.policies.language import embed_instruction

BACKBONE = "backbone"
HEAD = "head"
_DTYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64"}


class PolicyShapes(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs and outputs of a policy, as its manifest states them."""

    cameras: tuple[CameraSpec, ...]
    proprio_dim: int
    action_dim: int
    horizon: int


class Indicator(enum.IntEnum):
    """What an algorithm tells the network of an action's worth. NONE: not told, or dropped."""

    NONE = 0
    POSITIVE = 1
    NEGATIVE = 2


class ChunkBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Training rows. Actions past `valid` are padding; they reach the loss of no architecture.

    features_BF: what `encode` gave; state_BP: raw proprioception; language_BL; actions_BHA in [-1, 1];
    valid_BH: 1.0 where the action carries loss. All float32. indicator_B: int64 `Indicator` codes, read by networks
    that `with_indicator` made; None says nothing of any row.
    """

    features_BF: Tensor
    state_BP: Tensor
    language_BL: Tensor
    actions_BHA: Tensor
    valid_BH: Tensor
    indicator_B: Tensor | None = None


Noise = dict[str, Tensor]
"""Everything random in the loss of B rows, by name: tensors [B, ...] drawn on the CPU before the loss is computed.

So a loss is a pure function of tensors. A batch can be split over processes by rows, noise included, and a seed gives
the same noise on every device.
"""


class PolicyNetwork(nn.Module, abc.ABC):
    """A network with a frozen `backbone` and a trained `head`, each published as one blob.

    A network that is not made of two such modules overrides `trainable`, `freeze_backbone` and `blob_state`, by which
    alone the two are known outside.

    Statistics for normalisation are buffers of the backbone: they are fixed by pre-training, so a publish re-sends
    the head alone.
    """

    architecture: ClassVar[str]
    shapes: PolicyShapes
    execute_steps: int
    sees_whole_pictures: bool = False  # whether `encode` needs pictures larger than half the camera's size
    backbone: nn.Module
    head: nn.Module

    @abc.abstractmethod
    def config_dict(self) -> dict[str, Any]:
        """Return what the manifest's `config` must hold to build this network again."""

    def embed(self, instruction: str) -> np.ndarray[Any, Any]:
        """Return an instruction as the row of `language_BL` that the other methods take, float32 [L].

        Fixed, without weights: what is learned of language belongs into the head. Hashed words unless overridden.
        """
        return embed_instruction(instruction)

    @abc.abstractmethod
    def encode(self, images: Mapping[str, Tensor], language_BL: Tensor) -> Tensor:
        """Return the frozen features float32 [B, F] of every camera's images, without gradient.

        images: of each camera of `shapes.cameras` by name, [B, H, W, 3] RGB in 0..255, uint8 or float32, of the
        camera's size or of a whole fraction of it that the architecture would average down to anyway (decoded video
        comes at half size). Raises: KeyError if a camera is missing; further ones are ignored.
        """

    @abc.abstractmethod
    def draw_noise(self, rows: int, *, generator: torch.Generator) -> Noise:
        """Draw the noise that `chunk_losses` needs for a batch of `rows` rows."""

    @abc.abstractmethod
    def chunk_losses(self, batch: ChunkBatch, noise: Noise) -> Tensor:
        """Return the loss of every action of every row, float32 [B, H], zero where not `valid_BH`.

        `noise`: what `draw_noise` gave for these rows. A row's loss depends on its own row alone.
        """

    @abc.abstractmethod
    def sample_chunk(
        self, features_BF: Tensor, state_BP: Tensor, language_BL: Tensor, *, generator: torch.Generator
    ) -> Tensor:
        """Return action chunks float32 [B, H, A] in [-1, 1], without gradient."""

    def with_indicator(self, *, guidance: float) -> PolicyNetwork:
        """Return a network with these weights and an input for `ChunkBatch.indicator_B`, which acts on POSITIVE.

        `guidance`: 1.0 acts on one pass of the conditioned network; above it, classifier-free guidance with two.
        Raises: ValueError if the architecture has no such input.
        """
        raise ValueError(f"architecture '{self.architecture}' has no input for an advantage indicator")

    def trainable(self) -> dict[str, nn.Parameter]:
        """Parameters that training changes and a publish re-sends, by their name in the `head` blob."""
        return dict(self.head.named_parameters())

    def freeze_backbone(self) -> None:
        """Take the backbone out of training."""
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def tensor_specs(self, blob: str) -> dict[str, TensorSpec]:
        """Return names, types and shapes that the blob `backbone` or `head` must hold."""
        return tensor_specs_of(self.blob_state(blob))

    def blob_state(self, blob: str) -> dict[str, Tensor]:
        """Return the tensors of a blob, sharing memory with the network. Raises: KeyError for another name."""
        return {BACKBONE: self.backbone, HEAD: self.head}[blob].state_dict()

    def load_blob(self, blob: str, state: Mapping[str, Tensor]) -> None:
        """Take over the values of a blob's tensors. Raises: KeyError if one is missing."""
        with torch.no_grad():
            for name, tensor in self.blob_state(blob).items():
                tensor.copy_(state[name])

    @property
    def device(self) -> torch.device:
        """Where the network lies, all of it."""
        return next(self.parameters()).device


def tensor_specs_of(state: dict[str, Tensor]) -> dict[str, TensorSpec]:
    """Describe tensors as a manifest does. Raises: KeyError for a dtype that is not published."""
    return {
        name: TensorSpec(dtype=_DTYPE_NAMES[tensor.dtype], shape=tuple(tensor.shape)) for name, tensor in state.items()
    }


class NetworkPolicy:
    """`fleet.protocol.policy.Policy` over any `PolicyNetwork`. Owned by one thread."""

    def __init__(self, network: PolicyNetwork, *, device: str) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._language_BL = torch.zeros(1, 0)
        self._generator = torch.Generator()
        self._doubt = torch.Generator()
        self.reset(instruction="", seed=0)

    @property
    def execute_steps(self) -> int:
        return self._network.execute_steps

    def reset(self, *, instruction: str, seed: int) -> None:
        self._language_BL = torch.tensor(self._network.embed(instruction), device=self._device)[None]
        # Noise is drawn on the CPU on every device, so that a seed gives the same noise everywhere.
        self._generator.manual_seed(seed)
        self._doubt.manual_seed(seed)

    def infer(self, observation: Observation) -> ActionChunk:
        return ActionChunk(actions=self._chunks(observation, 1, self._generator)[0].cpu().numpy())

    def disagreement(self, observation: Observation, *, samples: int) -> float:
        """See `fleet.protocol.policy.DoubtingPolicy`. The picture is encoded once for all samples."""
        if samples < 2:
            raise ValueError("disagreement needs at least 2 samples")
        executed_BHA = self._chunks(observation, samples, self._doubt)[:, : self.execute_steps]
        return float(executed_BHA.std(dim=0, correction=0).mean())

    def _chunks(self, observation: Observation, samples: int, generator: torch.Generator) -> Tensor:
        """Return that many chunks for one observation, [B, H, A]. Raises: ProbeFailed."""
        if observation.state.shape != (self._network.shapes.proprio_dim,):
            raise ProbeFailed(f"proprioception must have {self._network.shapes.proprio_dim} values")
        images = {camera.name: self._image(camera, observation) for camera in self._network.shapes.cameras}
        state_BP = torch.from_numpy(observation.state.astype(np.float32))[None].to(self._device)
        with torch.inference_mode():
            features_BF = self._network.encode(images, self._language_BL)
            rows = (part.expand(samples, -1) for part in (features_BF, state_BP, self._language_BL))
            return self._network.sample_chunk(*rows, generator=generator)

    def _image(self, camera: CameraSpec, observation: Observation) -> Tensor:
        """Return a camera's image as [1, H, W, 3]. Raises: ProbeFailed if it is missing or of another size or type."""
        image = observation.images.get(camera.name)
        wanted = (camera.height, camera.width, 3)
        if image is None or image.shape != wanted or image.dtype != np.uint8:
            found = None if image is None else f"{image.dtype}{list(image.shape)}"
            raise ProbeFailed(f"camera '{camera.name}' must give uint8{list(wanted)}, gave {found}")
        return torch.from_numpy(np.ascontiguousarray(image))[None].to(self._device)
