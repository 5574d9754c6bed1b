"""The base policy: an encoder trained on labelled scenes, then a head trained on demonstrations.

Called by `python -m learner pretrain`. Deterministic from the seed and the inputs (for a given number of threads),
cached by their hash, each stage on its own: a second call with the same inputs returns at once, and one that was
killed goes on after the last finished stage or head checkpoint.

The encoder's labels are positions from the simulator, used here and nowhere else: the policy sees pixels only. The
policy gets every camera of the demonstrations; scenes are pictures of the first one, so the encoder is taught nothing
about the others, whose pictures go through it all the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from fleet.protocol.policy import CameraSpec, PolicyManifest
from fleet.protocol.recording import EpisodeManifest
from learner.checkpoint import CheckpointMismatch, write_checkpoint
from learner.config import ConfigError, OptimConfig, RunConfig, to_mapping
from learner.data.index import EpisodeSource
from learner.data.sources import open_episodes
from learner.policies.architectures.flow_vla import ARCHITECTURE, FlowVla, FlowVlaConfig
from learner.policies.base import PolicyShapes
from learner.policies.language import embed_instruction
from learner.policies.layers import SceneEncoder, downsample
from learner.policies.registry import build_network
from learner.publisher import MANIFEST_FILE, read_policy_directory, write_policy_directory
from learner.trainer import build_trainer

RECIPE = 2  # raise when the code below changes what comes out
HEAD_CHECKPOINT_STEPS = 500
MIN_STD = {"label": 1e-3, "state": 1e-4, "action": 5e-2}

NO_FEATURES: Mapping[str, str] = {}
Array = np.ndarray[Any, Any]
Progress = Callable[[Sequence[int], str], Iterator[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Training of the encoder: AdamW, warm-up, then cosine decay to 0."""

    steps: int = 3000
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    pixel_noise: float = 0.01  # standard deviation; H.264 leaves errors of this size


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Everything that decides the base policy besides scenes and demonstrations.

    `architecture`: `flow_vla.v1` or one built on it; `network`: its settings.
    """

    seed: int = 0
    head_steps: int = 2500
    horizon: int = 12
    architecture: str = ARCHITECTURE
    network: dict[str, Any] = field(default_factory=dict)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)


@dataclass(frozen=True, slots=True)
class Scenes:
    """Labelled scenes of one task: images uint8 [N, S, S, 3], labels float32 [N, 9] in metres."""

    task: str
    images_NHWC: Array
    labels_NL: Array


def pretrain(
    *,
    scenes: Sequence[Path],
    episodes: Sequence[Path],
    out: Path,
    config: PretrainConfig,
    progress: Progress,
    features: Mapping[str, str] = NO_FEATURES,
) -> PolicyManifest:
    """Train a base policy and write it to the policy directory `out`.

    `episodes` and `features` as `open_episodes` takes them.
    Raises: RecordingError for bad demonstrations; ValueError for bad scenes; UnknownArchitecture,
    ArtifactMismatch, ConfigError for an architecture that there is not, refuses its settings or has no such encoder.
    """
    source, manifests = open_episodes(episodes, features=features)
    torch.manual_seed(config.seed)
    network = _new_network(config, manifests[0])
    scenes_key = _hash_of(
        [_digest(path) for path in sorted(scenes)], _encoder_settings(network.config, config, manifests)
    )
    key = _hash_of([scenes_key, *(record.sha256 for m in manifests for record in m.objects)], _settings(config))
    stamp = out / "pretrain.json"
    if (out / MANIFEST_FILE).is_file() and stamp.is_file() and json.loads(stamp.read_text())["inputs"] == key:
        return read_policy_directory(out)[0]
    out.mkdir(parents=True, exist_ok=True)
    _fit_or_load_encoder(network, scenes, manifests, config, out / f".encoder-{scenes_key[:16]}.safetensors", progress)
    _fit_statistics(network, source, manifests)
    manifest = _fit_head(network, source, manifests, config, out, key, progress)
    stamp.write_text(json.dumps({"inputs": key, "config": to_mapping(config)}, indent=1))
    return manifest


def fit_encoder(
    encoder: SceneEncoder,
    scenes: Sequence[Scenes],
    instructions: dict[str, str],
    config: EncoderConfig,
    *,
    seed: int,
    progress: Progress,
) -> tuple[Tensor, Tensor]:
    """Train the encoder to locate the scene points; return the mean and deviation that normalise the labels.

    Each batch has equally many frames of every task. Loss: Huber on normalised labels.
    """
    labels_NL = torch.from_numpy(np.concatenate([part.labels_NL for part in scenes])).float()
    mean_L, std_L = labels_NL.mean(0), labels_NL.std(0).clamp(min=MIN_STD["label"])
    targets = [(torch.from_numpy(part.labels_NL).float() - mean_L) / std_L for part in scenes]
    languages = [torch.tensor(embed_instruction(instructions[part.task])) for part in scenes]
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    per_task = max(1, config.batch_size // len(scenes))
    for step in progress(range(config.steps), "encoder"):
        parts = [torch.randint(len(part.images_NHWC), (per_task,), generator=generator) for part in scenes]
        images = [torch.from_numpy(s.images_NHWC[rows.numpy()]) for s, rows in zip(scenes, parts, strict=True)]
        image_BCHW = downsample(torch.cat(images))
        noise = torch.randn(image_BCHW.shape, generator=generator) * config.pixel_noise
        language_BL = torch.cat([language.expand(per_task, -1) for language in languages])
        target_BL = torch.cat([target[rows] for target, rows in zip(targets, parts, strict=True)])
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_is_bfloat16_quick()):
            activations_BKHW = encoder.activations(image_BCHW + noise, language_BL)
        _, found_BL = encoder.read_out(activations_BKHW.float(), language_BL)
        functional.smooth_l1_loss(found_BL, target_BL, beta=0.1).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
    return mean_L, std_L


def read_scenes(path: Path) -> Scenes:
    """Read a file of `python -m fleet.daemon scenes`. Raises: ValueError if arrays are missing or malformed."""
    with np.load(path, allow_pickle=False) as data:
        missing = {"images", "labels", "task"} - set(data.files)
        if missing:
            raise ValueError(f"{path.name} lacks {sorted(missing)}")
        scenes = Scenes(str(data["task"]), data["images"], data["labels"].astype(np.float32))
    if scenes.images_NHWC.ndim != 4 or len(scenes.images_NHWC) != len(scenes.labels_NL):
        raise ValueError(f"{path.name}: images and labels do not match")
    return scenes


def _new_network(config: PretrainConfig, example: EpisodeManifest) -> FlowVla:
    shapes = PolicyShapes(
        cameras=tuple(
            CameraSpec(name=camera.name, height=camera.height, width=camera.width) for camera in example.cameras
        ),
        proprio_dim=len(example.proprio_names),
        action_dim=len(example.action_names),
        horizon=config.horizon,
    )
    network = build_network(config.architecture, config.network, shapes)
    if not isinstance(network, FlowVla):
        raise ConfigError(f"architecture '{config.architecture}' has no encoder that is pre-trained on scenes")
    return network


def _fit_or_load_encoder(
    network: FlowVla,
    paths: Sequence[Path],
    manifests: Sequence[EpisodeManifest],
    config: PretrainConfig,
    cache: Path,
    progress: Progress,
) -> None:
    backbone = network.backbone
    if cache.is_file():
        backbone.load_state_dict(safetensors.torch.load_file(cache))
        return
    instructions = {manifest.task_slug: manifest.instruction for manifest in manifests}
    scenes = sorted((read_scenes(path) for path in paths), key=lambda part: part.task)
    unknown = {part.task for part in scenes} - set(instructions)
    if unknown:
        raise ValueError(f"scenes of tasks without demonstrations: {sorted(unknown)}")
    mean_L, std_L = fit_encoder(
        backbone.encoder, scenes, instructions, config.encoder, seed=config.seed, progress=progress
    )
    backbone.get_buffer("label_mean").copy_(mean_L)
    backbone.get_buffer("label_std").copy_(std_L)
    write_checkpoint(cache, safetensors.torch.save(backbone.state_dict()))


def _fit_statistics(network: FlowVla, source: EpisodeSource, manifests: Sequence[EpisodeManifest]) -> None:
    """Set mean and deviation of proprioception and actions from the demonstrations; a constant gets the floor."""
    columns = {"state": "observation.state", "action": "action"}
    steps = [source.steps(manifest) for manifest in manifests]
    for name, column in columns.items():
        values = torch.from_numpy(np.concatenate([step[column] for step in steps])).double()
        network.backbone.get_buffer(f"{name}_mean").copy_(values.mean(0))
        network.backbone.get_buffer(f"{name}_std").copy_(values.std(0).clamp(min=MIN_STD[name]))


def _fit_head(
    network: FlowVla,
    source: EpisodeSource,
    manifests: Sequence[EpisodeManifest],
    config: PretrainConfig,
    out: Path,
    key: str,
    progress: Progress,
) -> PolicyManifest:
    run = RunConfig(seed=config.seed, optim=config.optim)
    trainer = build_trainer(network, source, run)
    trainer.ingest(manifests)
    partial = out / f".head-{key[:16]}.safetensors"
    if partial.is_file():
        try:
            trainer.restore(partial.read_bytes())
        except CheckpointMismatch:
            partial.unlink()
    for step in progress(range(trainer.gradient_steps, config.head_steps), "head"):
        trainer.step()
        if (step + 1) % HEAD_CHECKPOINT_STEPS == 0:
            write_checkpoint(partial, trainer.checkpoint(cursor=0))
    artifact = trainer.artifact(run_id=None, parent_id=None, step=0)
    write_policy_directory(artifact, out)
    partial.unlink(missing_ok=True)
    return artifact.manifest


def _settings(config: PretrainConfig) -> dict[str, Any]:
    """The configuration as it is hashed: bases made before there was a choice of architecture stay valid."""
    values = to_mapping(config)
    if config.architecture == ARCHITECTURE:
        del values["architecture"]
    return values


def _encoder_settings(
    network: FlowVlaConfig, config: PretrainConfig, manifests: Sequence[EpisodeManifest]
) -> dict[str, Any]:
    instructions = sorted({(manifest.task_slug, manifest.instruction) for manifest in manifests})
    sizes = [network.channels, network.keypoints, network.feature_dim, network.label_dim]
    return {"seed": config.seed, "encoder": to_mapping(config.encoder), "sizes": sizes, "tasks": instructions}


def _schedule(step: int, config: EncoderConfig) -> float:
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    return warm * 0.5 * (1.0 + math.cos(math.pi * step / config.steps))


def _is_bfloat16_quick() -> bool:
    """Whether this CPU multiplies bfloat16 natively: there the encoder trains twice as fast, elsewhere slower."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_of(parts: Sequence[str], settings: Any) -> str:
    text = json.dumps([RECIPE, torch.__version__, list(parts), settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
