"""The training loop's body, for any algorithm and any architecture.

Called by `tasks.py` (bounded rounds), by `python -m learner train`, by `pretrain.py` and by benchmarks:

    trainer = Trainer(network, replay, algorithm, config)
    trainer.ingest(manifests)
    for _ in range(steps):
        metrics = trainer.step()
    data = trainer.checkpoint(cursor=41)

Everything random comes from two generators in the checkpoint, and rows depend only on the order of ingestion, so
`restore` on a trainer that ingested the same episodes goes on as if never interrupted, to the bit on CPU with the same
number of threads. Over several processes (`distributed.py`) each step is that of one process with all their rows.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fleet.protocol.errors import SopError
from fleet.protocol.recording import EpisodeManifest
from learner.algorithms.base import Algorithm, Columns, ReadFile, build_algorithm, read_path
from learner.checkpoint import (
    CheckpointHeader,
    CheckpointMismatch,
    Identity,
    decode_checkpoint,
    encode_checkpoint,
)
from learner.config import RunConfig
from learner.data.batches import Batches
from learner.data.feature_store import FeatureStore
from learner.data.index import EpisodeSource, FittingEpisodes
from learner.data.limits import Provenance
from learner.data.loader import FeatureLoader
from learner.data.replay import UNKNOWN_PROVENANCE, Draw, Replay, Rows
from learner.data.sampler import AdaptiveSampler, Ratio
from learner.device import find_device, send
from learner.distributed import ALONE, World
from learner.metrics import Meter, StepMetrics, Summary
from learner.policies.base import BACKBONE, HEAD, ChunkBatch, Noise, PolicyNetwork
from learner.policies.blobs import encode_blob
from learner.publisher import Artifact, build_artifact

ENCODE_BATCH = 64
_ALGORITHM = "algorithm."  # prefix of the algorithm's own tensors in a checkpoint
_RESTARTED = "restarted_step"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
NO_PROVENANCE: Mapping[str, Provenance] = {}
_SMALLEST_WEIGHT = 1e-8  # a batch without any valid action has loss 0


class NonFiniteLoss(SopError):
    """The loss or its gradient is NaN or infinite: the weights were left as they were and nothing is published."""

    code = "non_finite_loss"


class Trainer:
    """Owns weights, EMA, optimiser, sampler and generators. `replay` is filled through `ingest` alone."""

    def __init__(
        self, network: PolicyNetwork, replay: Replay, algorithm: Algorithm, config: RunConfig, world: World = ALONE
    ) -> None:
        network.freeze_backbone()
        self._world = world
        self._device = find_device(config.device, local_rank=world.local_rank)
        self._network = network.to(self._device)
        self._replay = replay
        self._algorithm = algorithm
        self._loss = torch.compile(algorithm.loss) if config.compile else algorithm.loss
        self._config = config
        self._parameters = network.trainable()
        self._ema = {name: value.detach().clone() for name, value in self._parameters.items()}
        self._base = {name: value.detach().cpu().clone() for name, value in self._parameters.items()}
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(),
            lr=config.optim.learning_rate,
            weight_decay=config.optim.weight_decay,
            fused=True,
        )
        self._sampler = AdaptiveSampler(config.sampler)
        rows = config.optim.batch_size * world.size
        self._batches = Batches(
            replay, self._sampler, rows=rows, own=world.own(rows), agree=world.union, seed=config.seed
        )
        self._generator = torch.Generator().manual_seed(config.seed)
        self._meter = Meter()
        self._step = 0
        self._restarted_step = 0
        self._identity = Identity(
            architecture=network.architecture,
            config=network.config_dict(),
            backbone_sha256=_backbone_sha256(network),
            algorithm=config.algorithm,
            seed=config.seed,
        )

    @property
    def gradient_steps(self) -> int:
        """Gradient steps since the base."""
        return self._step

    @property
    def replay(self) -> Replay:
        return self._replay

    @property
    def network(self) -> PolicyNetwork:
        """What is trained: the base's network, or what the algorithm made of it."""
        return self._network

    def ingest(self, manifests: Iterable[EpisodeManifest], provenance: Mapping[str, Provenance] = NO_PROVENANCE) -> int:
        """Add episodes in the given order; return how many were new. `provenance` by episode id, where it is known.

        Reads no payload: an episode that cannot be read leaves its buffer when it is drawn.
        """
        return sum(
            self._replay.add(manifest, provenance.get(manifest.episode_id, UNKNOWN_PROVENANCE))
            for manifest in manifests
        )

    def step(self) -> StepMetrics:
        """Take one gradient step.

        Raises: BuffersEmpty; OSError, StorageError if the source does not answer; NonFiniteLoss, with weights and
        optimiser untouched; what the algorithm's `before_step` raises.
        """
        if self._algorithm.before_step(self._step, self._replay, generator=self._generator):
            self._restart()
        began = time.perf_counter()
        draws, rows = self._batches.take(self._step)
        batch, weights_B = self._batch(rows)
        data_s = time.perf_counter() - began
        own = self._world.own(len(draws))
        noise = self._algorithm.draw_noise(self._network, len(draws), generator=self._generator)
        noise = {name: send(tensor[own], self._device) for name, tensor in noise.items()}
        part, loss, row_losses = self._forward(batch, weights_B, noise)
        self._require_finite("loss", loss)
        losses = _mean_by_draw(draws, row_losses)
        self._sampler.record(losses)
        self._batches.look_ahead()  # beside what follows, which is most of the step
        gradient_norm = self._backward(part)
        self._require_finite("gradient norm", gradient_norm)
        self._update()
        metrics = StepMetrics(step=self._step, loss=loss, gradient_norm=gradient_norm, losses=losses, data_s=data_s)
        self._meter.add(metrics)
        return metrics

    def sidecars(self) -> Iterator[tuple[str, Columns]]:
        """Yield episode id and columns of what the algorithm derived of each episode's frames."""
        return self._algorithm.sidecars(self._replay)

    def take_sidecars(self, *, limit: int) -> list[tuple[str, Columns]]:
        """Return at most `limit` sidecars that are new or changed and were not taken before (a checkpoint counts)."""
        return self._algorithm.take_sidecars(self._replay, limit=limit)

    def ratios(self) -> tuple[Ratio, ...]:
        """Return the sampler's present ratio of every task."""
        return tuple(self._sampler.ratio(task, size) for task, size in self._replay.sizes().items())

    def summary(self) -> Summary:
        """Return the means since the last summary."""
        return self._meter.summary(
            step=self._step,
            ratios=self.ratios(),
            sizes=self._replay.sizes(),
            classes=self._replay.class_counts(),
            data=self._replay.metrics(),
            algorithm=self._algorithm.metrics(),
        )

    def ema_head(self) -> dict[str, Tensor]:
        """Return the head's tensors with EMA weights, as published."""
        return self._network.blob_state(HEAD) | {name: value.clone() for name, value in self._ema.items()}

    def artifact(self, *, run_id: str | None, parent_id: str | None, step: int | None = None) -> Artifact:
        """Package the EMA weights; a base policy states `step=0`. Raises: NonFiniteWeights."""
        stated = self._step if step is None else step
        return build_artifact(self._network, self.ema_head(), run_id=run_id, parent_id=parent_id, step=stated)

    def checkpoint(self, *, cursor: int) -> bytes:
        """Return the full state; `cursor` is kept for the caller (see `restore`)."""
        tensors: dict[str, Tensor] = {"rng.torch": self._generator.get_state()}
        if self._restarted_step:
            tensors[_RESTARTED] = torch.tensor(self._restarted_step)
        for name, parameter in self._parameters.items():
            tensors[f"model.{name}"] = parameter.detach()
            tensors[f"ema.{name}"] = self._ema[name]
            for moment, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{moment}.{name}"] = value
        tensors |= {f"{_ALGORITHM}{name}": tensor for name, tensor in self._algorithm.state().items()}
        numpy_rng: dict[str, Any] = dict(self._batches.rng.bit_generator.state)
        header = CheckpointHeader(
            identity=self._identity,
            step=self._step,
            numpy_rng=numpy_rng,
            sampler=self._sampler.state(),
            cursor=cursor,
            replay=self._replay.state(),
        )
        return encode_checkpoint(header, tensors)

    def restore(self, data: bytes) -> int:
        """Take over a checkpoint's state and return its cursor. Episodes up to the cursor are the caller's to ingest.

        Raises: CheckpointMismatch if it does not parse or belongs to another architecture, base policy, algorithm or
        seed; then nothing was changed.
        """
        header, tensors = decode_checkpoint(data)
        if header.identity != self._identity:
            raise CheckpointMismatch(_difference(header.identity, self._identity))
        self._check_tensors(tensors)
        own = {name.removeprefix(_ALGORITHM): t for name, t in tensors.items() if name.startswith(_ALGORITHM)}
        self._algorithm.load_state(own)
        self._optimizer.state.clear()
        for name, parameter in self._parameters.items():
            parameter.data.copy_(tensors[f"model.{name}"])
            self._ema[name].copy_(tensors[f"ema.{name}"])
            moments = {moment: tensors.get(f"adam.{moment}.{name}") for moment in _MOMENTS}
            state = {
                moment: value.to(self._device, copy=True) for moment, value in moments.items() if value is not None
            }
            if state:  # none before the first step, and of a parameter that no gradient has reached yet
                self._optimizer.state[parameter] = state
        self._generator.set_state(tensors["rng.torch"])
        self._batches.load_state(header.numpy_rng)
        self._sampler.load_state(header.sampler)
        self._replay.load_state(header.replay)
        self._step = header.step
        self._restarted_step = int(tensors.get(_RESTARTED, 0))
        return header.cursor

    def _check_tensors(self, tensors: dict[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            for kind in ("model", "ema"):
                tensor = tensors.get(f"{kind}.{name}")
                if tensor is None or tensor.shape != parameter.shape:
                    raise CheckpointMismatch(f"tensor '{kind}.{name}' is missing or has another shape")
            if sum(f"adam.{moment}.{name}" in tensors for moment in _MOMENTS) not in (0, len(_MOMENTS)):
                raise CheckpointMismatch(f"the optimiser's moments of '{name}' are not complete")

    def _forward(self, batch: ChunkBatch, weights_B: Tensor, noise: Noise) -> tuple[Tensor, float, list[float]]:
        """Return this process's part of the mean loss over all processes' rows, that mean, and the loss of each row."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._config.precision == "bfloat16"):
            output = self._loss(self._network, batch, weights_B, noise)
        own_N = torch.cat([output.total.detach()[None], output.weight[None], output.row_losses_B]).float()
        parts_WN = self._world.gather(own_N)
        total, weight = parts_WN[:, 0].sum(), parts_WN[:, 1].sum().clamp(min=_SMALLEST_WEIGHT)
        return output.total / weight, float(total / weight), parts_WN[:, 2:].flatten().tolist()

    def _backward(self, part: Tensor) -> float:
        """Fill the clipped gradients over all processes; return their norm before."""
        self._optimizer.zero_grad(set_to_none=True)
        part.backward()  # type: ignore[no-untyped-call]
        self._world.add_up([p.grad for p in self._parameters.values() if p.grad is not None])
        return float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._config.optim.clip_norm))

    def _require_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise NonFiniteLoss(f"{what} {value} at step {self._step}", step=self._step)

    def _batch(self, rows: Rows) -> tuple[ChunkBatch, Tensor]:
        device = self._device
        language = np.stack([self._network.embed(instruction) for instruction in rows.instructions])
        indicator_B = self._algorithm.indicators(rows)
        batch = ChunkBatch(
            features_BF=send(torch.from_numpy(rows.features_BF), device),
            state_BP=send(torch.from_numpy(rows.state_BP), device),
            language_BL=send(torch.from_numpy(language), device),
            actions_BHA=send(torch.from_numpy(rows.actions_BHA), device),
            valid_BH=send(torch.from_numpy(rows.valid_BH), device),
            indicator_B=None if indicator_B is None else send(indicator_B, device),
        )
        return batch, send(torch.from_numpy(rows.weights_B), device)

    def _restart(self) -> None:
        """Go back to the base's weights, with a new optimiser that warms up again. Steps count on."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(self._base[name])
                self._ema[name].copy_(self._base[name])
        self._optimizer.state.clear()
        self._restarted_step = self._step

    def _update(self) -> None:
        optim = self._config.optim
        self._step += 1
        rate = optim.learning_rate * min(1.0, (self._step - self._restarted_step) / max(1, optim.warmup_steps))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self._ema.values()), list(self._parameters.values()), 1.0 - optim.ema_decay)


def build_trainer(
    network: PolicyNetwork,
    source: EpisodeSource,
    config: RunConfig,
    *,
    world: World = ALONE,
    read_file: ReadFile = read_path,
) -> Trainer:
    """Wire a trainer with empty buffers for a network. `read_file`: reads the files that the configuration names.

    Raises: ConfigError for an unknown algorithm or setting, or a device that is not there; PolicyError for a file that
    does not fit; as `read_file`.
    """
    algorithm = build_algorithm(config.algorithm, config.algorithm_config)
    network = algorithm.prepare(network, read_file=read_file)
    shapes = network.shapes
    fitting = FittingEpisodes(
        source,
        proprio_dim=shapes.proprio_dim,
        action_dim=shapes.action_dim,
        cameras=shapes.cameras,
        is_whole=network.sees_whole_pictures,
    )
    loader = FeatureLoader(
        fitting,
        lambda images, instruction: encode_images(network, images, instruction),
        FeatureStore(_path_or_none(config.data.cache_dir), max_bytes=config.data.cache_bytes),
        cameras=[camera.name for camera in shapes.cameras],
        identity=_encoder_identity(network, find_device(config.device, local_rank=world.local_rank)),
        threads=config.data.loader_threads,
    )
    replay = Replay(loader, horizon=shapes.horizon, rule=algorithm.frame_rule, config=config.data)
    return Trainer(network, replay, algorithm, config, world)


def encode_images(
    network: PolicyNetwork, images: Mapping[str, np.ndarray[Any, Any]], instruction: str
) -> np.ndarray[Any, Any]:
    """Return the frozen features of an episode, float32 [T, F]. `images`: [T, H, W, 3] of each camera by name."""
    device = network.device
    language_BL = torch.tensor(network.embed(instruction), device=device)[None]
    parts = []
    for start in range(0, len(next(iter(images.values()))), ENCODE_BATCH):
        batch = {
            name: torch.from_numpy(np.ascontiguousarray(images_THWC[start : start + ENCODE_BATCH])).to(device)
            for name, images_THWC in images.items()
        }
        rows = len(next(iter(batch.values())))
        parts.append(network.encode(batch, language_BL.expand(rows, -1)).cpu().numpy())
    features: np.ndarray[Any, Any] = np.concatenate(parts)
    return features


def _encoder_identity(network: PolicyNetwork, device: torch.device) -> str:
    """Name what `encode_images` computes. Other threads, devices or versions of torch may give other last bits."""
    machine = f"torch-{torch.__version__}/{device.type}/{torch.get_num_threads()}"
    return f"{network.architecture}/{_backbone_sha256(network)}/{machine}"


def _backbone_sha256(network: PolicyNetwork) -> str:
    return hashlib.sha256(encode_blob(network.blob_state(BACKBONE))).hexdigest()


def _path_or_none(path: str | None) -> Path | None:
    return Path(path) if path is not None else None


def _mean_by_draw(draws: Sequence[Draw], losses: list[float]) -> dict[Draw, float]:
    sums: dict[Draw, list[float]] = {}
    for draw, loss in zip(draws, losses, strict=True):
        sums.setdefault(draw, []).append(loss)
    return {draw: sum(values) / len(values) for draw, values in sums.items()}


def _difference(found: Identity, wanted: Identity) -> str:
    for field in Identity.__struct_fields__:
        if getattr(found, field) != getattr(wanted, field):
            return f"checkpoint is of another {field}: {getattr(found, field)!r}, wanted {getattr(wanted, field)!r}"
    return "checkpoint is of another run"
