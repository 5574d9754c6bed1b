"""A LeRobot policy behind the trainer's and the robot's contract.

The frozen features are the pictures themselves, at the size that the policy takes, four bytes to a float32: most of
LeRobot's policies train their image encoder, and a frozen one is a part of the network like any other. So a training
step runs the whole network; nothing is kept of its frozen part.

Random numbers inside LeRobot's code (dropout, ACT's latent, flow noise) come from torch's own generators, seeded for
each call from ours: a seed gives the same actions and a resumed run the same steps, on one device and one process.
Over several processes each draws its own, where ours draw as one process would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fleet.protocol.errors import PolicyError
from fleet.protocol.policy import CameraSpec
from learner.policies.architectures.lerobot.config import ACTION, ARCHITECTURE, STATE, LerobotConfig, check
from learner.policies.architectures.lerobot.losses import LOSSES
from learner.policies.architectures.lerobot.package import make_policy, make_processors, seeded
from learner.policies.base import BACKBONE, HEAD, ChunkBatch, Noise, PolicyNetwork, PolicyShapes

INSTRUCTION_BYTES = 1024  # of UTF-8; every policy's tokenizer hears less
_FLOAT_BYTES = 4
_LARGEST_SEED = 2**31


class NotTrainable(PolicyError):
    """A policy that drives robots but whose loss is not known action by action."""

    code = "not_trainable"


class Statistics(nn.Module):
    """What LeRobot normalises by, and the size of each camera's pictures, which decides the frozen features."""

    def __init__(self, config: LerobotConfig, shapes: PolicyShapes) -> None:
        super().__init__()
        self._names: dict[str, tuple[str, str]] = {}
        for feature, statistic, shape in config.statistics():
            buffer = f"{feature}.{statistic}".replace(".", "__")  # torch allows no dot
            self._names[buffer] = (feature, statistic)
            self.register_buffer(buffer, torch.zeros(shape))
        sizes = [config.picture_size(camera.name) for camera in shapes.cameras]
        self.register_buffer("picture_sizes", torch.tensor(sizes, dtype=torch.int64).view(-1, 2))

    def by_feature(self) -> dict[str, dict[str, Tensor]]:
        """Return feature -> statistic -> values, as LeRobot has them."""
        found: dict[str, dict[str, Tensor]] = {}
        for buffer, (feature, statistic) in self._names.items():
            found.setdefault(feature, {})[statistic] = self.get_buffer(buffer)
        return found

    def fill(self, statistics: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Set all values. Raises: ValueError for one that is missing, not finite or of another shape."""
        for buffer, (feature, statistic) in self._names.items():
            values = statistics.get(feature, {}).get(statistic)
            target = self.get_buffer(buffer)
            if values is None or values.numel() != target.numel() or not bool(torch.isfinite(values).all()):
                raise ValueError(f"'{statistic}' of '{feature}' is missing, not finite or of another shape")
            target.copy_(values.reshape(target.shape))


class LerobotNetwork(PolicyNetwork):
    """`policy` is LeRobot's. Backbone: its frozen parameters and buffers, and the statistics. Head: the rest."""

    architecture = ARCHITECTURE

    def __init__(self, config: LerobotConfig, shapes: PolicyShapes, policy: nn.Module | None = None) -> None:
        """`policy`: one that has its weights already; a fresh one unless given. Raises: ValueError, PolicyError."""
        super().__init__()
        check(config, shapes)
        self.config, self.shapes = config, shapes
        self.execute_steps = int(config.policy["n_action_steps"])
        self.policy = policy if policy is not None else make_policy(config.policy)
        self.statistics = Statistics(config, shapes)
        for name, parameter in self.policy.named_parameters():
            if name.startswith(config.frozen):
                parameter.requires_grad_(False)
        self._trained = frozenset(name for name, one in self.policy.named_parameters() if one.requires_grad)
        self._processors: tuple[str, Any, Any] | None = None
        self.sees_whole_pictures = not all(_is_within_half(c, config.picture_size(c.name)) for c in shapes.cameras)

    def config_dict(self) -> dict[str, Any]:
        # As JSON gives it back, with lists: a checkpoint's is compared with it.
        config: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self.config))
        return config

    def embed(self, instruction: str) -> np.ndarray[Any, Any]:
        """The instruction's UTF-8, one byte a number: LeRobot's processor makes tokens of it, with the state's help."""
        text = instruction.encode()[:INSTRUCTION_BYTES]
        row = np.zeros(INSTRUCTION_BYTES, dtype=np.float32)
        row[: len(text)] = np.frombuffer(text, dtype=np.uint8)
        return row

    def encode(self, images: Mapping[str, Tensor], language_BL: Tensor) -> Tensor:
        parts = [
            _packed(_resized(images[camera.name], self.config.picture_size(camera.name)))
            for camera in self.shapes.cameras
        ]
        return torch.cat(parts, dim=1)

    def draw_noise(self, rows: int, *, generator: torch.Generator) -> Noise:
        """Return "seed", int64 [B], of which the first row's seeds the whole loss."""
        return {"seed": torch.randint(_LARGEST_SEED, (rows,), generator=generator)}

    def chunk_losses(self, batch: ChunkBatch, noise: Noise) -> Tensor:
        losses = LOSSES[self._trainable_kind()]
        prepared = self._prepared(batch.features_BF, batch.state_BP, batch.language_BL, batch.actions_BHA)
        prepared["action_is_pad"] = batch.valid_BH == 0
        self.policy.train()  # LeRobot's `predict_action_chunk` goes back by itself
        with seeded(int(noise["seed"][0]), batch.features_BF.device):
            masked_BH: Tensor = losses(self.policy, prepared) * batch.valid_BH
        return masked_BH

    def sample_chunk(
        self, features_BF: Tensor, state_BP: Tensor, language_BL: Tensor, *, generator: torch.Generator
    ) -> Tensor:
        seed = int(torch.randint(_LARGEST_SEED, (1,), generator=generator))
        policy: Any = self.policy
        with torch.no_grad(), seeded(seed, features_BF.device):
            chunk_BHA = policy.predict_action_chunk(self._prepared(features_BF, state_BP, language_BL))
        _, unnormalise = self._pipelines(features_BF.device)
        return self.from_units(unnormalise(chunk_BHA.float()).to(features_BF.device)).clamp(-1.0, 1.0)

    def trainable(self) -> dict[str, nn.Parameter]:
        """Raises: NotTrainable."""
        self._trainable_kind()
        return {name: one for name, one in self.policy.named_parameters() if name in self._trained}

    def freeze_backbone(self) -> None:
        for name, parameter in self.policy.named_parameters():
            parameter.requires_grad_(name in self._trained)

    def blob_state(self, blob: str) -> dict[str, Tensor]:
        if blob not in (BACKBONE, HEAD):
            raise KeyError(blob)
        is_head = blob == HEAD
        # By name, not by state_dict: weights that two modules share are there once.
        state = {n: p.detach() for n, p in self.policy.named_parameters() if (n in self._trained) == is_head}
        if is_head:
            return state
        kept = self.policy.state_dict().keys()
        state |= {name: buffer for name, buffer in self.policy.named_buffers() if name in kept}
        return state | {f"statistics.{name}": buffer for name, buffer in self.statistics.named_buffers()}

    def load_blob(self, blob: str, state: Mapping[str, Tensor]) -> None:
        super().load_blob(blob, state)
        self._processors = None  # they hold the statistics

    def _trainable_kind(self) -> str:
        if self.config.kind not in LOSSES:
            raise NotTrainable(
                f"a LeRobot policy '{self.config.kind}' drives robots but is not trained here; {', '.join(LOSSES)} are"
            )
        return self.config.kind

    def _prepared(
        self, features_BF: Tensor, state_BP: Tensor, language_BL: Tensor, actions_BHA: Tensor | None = None
    ) -> dict[str, Any]:
        """Return rows as LeRobot's pre-processor gives them to a policy."""
        rows: dict[str, Any] = {STATE: state_BP, "task": [_text(row) for row in language_BL.cpu().numpy()]}
        start = 0
        for camera in self.shapes.cameras:
            height, width = self.config.picture_size(camera.name)
            floats = -(-height * width * 3 // _FLOAT_BYTES)
            picture_BHWC = _unpacked(features_BF[:, start : start + floats], height, width)
            rows[self.config.cameras[camera.name]] = picture_BHWC.permute(0, 3, 1, 2).float() / 255
            start += floats
        if actions_BHA is not None:
            rows[ACTION] = self.to_units(actions_BHA)
        prepare, _ = self._pipelines(features_BF.device)
        prepared: dict[str, Any] = prepare(rows)
        return prepared

    def _pipelines(self, device: torch.device) -> tuple[Any, Any]:
        if self._processors is None or self._processors[0] != str(device):
            before, after = make_processors(self.config.policy, self.statistics.by_feature(), device=str(device))
            self._processors = (str(device), before, after)
        return self._processors[1:]

    def to_units(self, actions_BHA: Tensor) -> Tensor:
        """From [-1, 1] to the units that the policy was trained in."""
        if self.config.action_low is None or self.config.action_high is None:
            return actions_BHA
        low, high = actions_BHA.new_tensor(self.config.action_low), actions_BHA.new_tensor(self.config.action_high)
        return low + (actions_BHA + 1.0) / 2.0 * (high - low)

    def from_units(self, actions_BHA: Tensor) -> Tensor:
        if self.config.action_low is None or self.config.action_high is None:
            return actions_BHA
        low, high = actions_BHA.new_tensor(self.config.action_low), actions_BHA.new_tensor(self.config.action_high)
        return 2.0 * (actions_BHA - low) / (high - low) - 1.0


def _is_within_half(camera: CameraSpec, size: tuple[int, int]) -> bool:
    """Whether pictures at half the camera's size, as videos are decoded, can be averaged down to `size`."""
    return camera.height // 2 % size[0] == 0 and camera.width // 2 % size[1] == 0


def _resized(image_BHWC: Tensor, size: tuple[int, int]) -> Tensor:
    """Average down to the policy's size, uint8. Raises: ValueError if a side is no whole multiple of it."""
    found = tuple(image_BHWC.shape[1:3])
    if found != size:
        if found[0] % size[0] or found[1] % size[1]:
            raise ValueError(f"a picture of {found} is no whole multiple of {size}")
        image_BCHW = image_BHWC.permute(0, 3, 1, 2).float()
        ratio = (found[0] // size[0], found[1] // size[1])
        image_BHWC = functional.avg_pool2d(image_BCHW, ratio).permute(0, 2, 3, 1)
    if image_BHWC.dtype == torch.uint8:
        return image_BHWC
    return image_BHWC.round().clamp(0, 255).to(torch.uint8)


def _packed(image_BHWC: Tensor) -> Tensor:
    """Bytes as float32 [B, N / 4], bit by bit: nothing computes with them, and they fill a quarter of the cache."""
    flat_BN = image_BHWC.flatten(1)
    padded_BN = functional.pad(flat_BN, (0, -flat_BN.shape[1] % _FLOAT_BYTES))
    return padded_BN.contiguous().view(torch.float32)


def _unpacked(packed_BF: Tensor, height: int, width: int) -> Tensor:
    bytes_BN = packed_BF.contiguous().view(torch.uint8)[:, : height * width * 3]
    return bytes_BN.reshape(-1, height, width, 3)


def _text(row_L: np.ndarray[Any, Any]) -> str:
    """The instruction of an `embed` row; a character that the limit cut is dropped."""
    return row_L.astype(np.uint8).tobytes().rstrip(b"\0").decode(errors="ignore")
