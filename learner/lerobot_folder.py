"""A folder that LeRobot wrote, or its config.json alone -> a first version of a policy of ours.

Called by `python -m learner import-lerobot`. With model.safetensors the policy keeps its weights and the statistics of
its processors; what it then answers is compared with what LeRobot's own loading of the folder answers, and a
difference refuses the import. Without it the policy is fresh and its statistics are those of the demonstrations.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fleet.protocol.errors import PolicyError
from fleet.protocol.policy import CameraSpec
from fleet.protocol.recording import EpisodeManifest
from learner.data.index import EpisodeSource
from learner.policies.architectures.lerobot import config as features
from learner.policies.architectures.lerobot.config import LerobotConfig
from learner.policies.architectures.lerobot.network import LerobotNetwork
from learner.policies.architectures.lerobot.package import (
    VERSION,
    complete_config,
    make_config,
    make_policy,
    self_contained,
)
from learner.policies.base import HEAD, PolicyShapes
from learner.policies.registry import require_architecture
from learner.pretrain import MIN_STD
from learner.publisher import Artifact, build_artifact

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOLERANCE = 1e-4  # of an action in [-1, 1]: the sums are the same, their order may not be
NO_NAMES: Mapping[str, str] = {}
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "min": (0.0,) * 3, "max": (1.0,) * 3}
_QUANTILES = {"q01": 0.01, "q10": 0.10, "q90": 0.90, "q99": 0.99}


class FolderRefused(PolicyError):
    """A folder that is none of LeRobot's, or of a policy that cannot be hosted."""

    code = "lerobot_folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportConfig:
    """`cameras`: picture feature -> our camera. `execute_steps`: in place of the folder's n_action_steps. `frozen`,
    `action_low`, `action_high`: as `LerobotConfig`. `seed`: of fresh weights.
    """

    cameras: Mapping[str, str] = field(default_factory=dict)
    execute_steps: int | None = None
    frozen: tuple[str, ...] = ()
    action_low: tuple[float, ...] | None = None
    action_high: tuple[float, ...] | None = None
    seed: int = 0


Demonstrations = tuple[EpisodeSource, Sequence[EpisodeManifest]]
"""Episodes and where they lie, at least one; the first tells a robot's cameras and axes."""


def import_folder(folder: Path, options: ImportConfig, demonstrations: Demonstrations | None) -> Artifact:
    """Return the first version. A fresh policy needs demonstrations.

    Raises: FolderRefused, LerobotMissing, LerobotVersion; RecordingError for bad demonstrations.
    """
    require_architecture(features.ARCHITECTURE)
    is_fresh = not (folder / WEIGHTS_FILE).is_file()
    if is_fresh and demonstrations is None:
        raise FolderRefused(f"{folder} has no {WEIGHTS_FILE}: a fresh policy needs demonstrations, --episodes")
    example = demonstrations[1][0] if demonstrations is not None else None
    try:
        values = _read_config(folder, options, example)
        if is_fresh and demonstrations is not None:
            source, manifests = demonstrations
            statistics = statistics_of(values, [source.steps(manifest) for manifest in manifests])
        else:
            statistics = _folder_statistics(folder)
        network = _build(folder, values, statistics, options, example, is_fresh=is_fresh)
        if not is_fresh:
            _require_equal(network, folder)
    except ValueError as error:
        raise FolderRefused(str(error)) from None
    return build_artifact(network, network.blob_state(HEAD), run_id=None, parent_id=None, step=0)


def statistics_of(values: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Tensor]]:
    """Return LeRobot's statistics of demonstrations: of state and action theirs, of pictures ImageNet's, as LeRobot's
    own training takes them. A column that does not vary gets a floor, as in pre-training.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, feature in {**values["input_features"], **values["output_features"]}.items():
        if feature["type"] == "VISUAL":
            found[name] = {of: torch.tensor(three).view(3, 1, 1) for of, three in _IMAGENET.items()}
            continue
        if name not in (features.STATE, features.ACTION):
            continue  # `check` refuses it by name
        rows = np.concatenate([np.asarray(step[name], dtype=np.float64) for step in steps])
        floor = MIN_STD["action" if name == features.ACTION else "state"]
        columns = {"mean": rows.mean(0), "std": rows.std(0).clip(min=floor), "min": rows.min(0), "max": rows.max(0)}
        columns |= {of: np.quantile(rows, share, axis=0) for of, share in _QUANTILES.items()}
        found[name] = {of: torch.from_numpy(column).float() for of, column in columns.items()}
    return found


def _read_config(folder: Path, options: ImportConfig, example: EpisodeManifest | None) -> dict[str, Any]:
    """Return the folder's config.json, complete, with the features of the demonstrations where it names none."""
    try:
        values = json.loads((folder / CONFIG_FILE).read_text())
    except (OSError, ValueError) as error:
        raise FolderRefused(f"{folder / CONFIG_FILE} is not there or no JSON: {type(error).__name__}") from None
    if not isinstance(values, dict):
        raise FolderRefused(f"{folder / CONFIG_FILE} is no configuration of a policy")
    if example is not None and not values.get("input_features"):
        pictures = {
            f"{features.IMAGES}{one.name}": {"type": "VISUAL", "shape": [3, one.height, one.width]}
            for one in example.cameras
        }
        state = {features.STATE: {"type": "STATE", "shape": [len(example.proprio_names)]}}
        values["input_features"] = pictures | state
    if example is not None and not values.get("output_features"):
        values["output_features"] = {features.ACTION: {"type": "ACTION", "shape": [len(example.action_names)]}}
    if options.execute_steps is not None:
        values["n_action_steps"] = options.execute_steps
    if not values.get("input_features") or not values.get("output_features"):
        raise FolderRefused(f"{folder / CONFIG_FILE} names no features; with --episodes they are the recordings'")
    return complete_config(values)


def _build(
    folder: Path,
    values: dict[str, Any],
    statistics: Mapping[str, Mapping[str, Tensor]],
    options: ImportConfig,
    example: EpisodeManifest | None,
    *,
    is_fresh: bool,
) -> LerobotNetwork:
    kinds = {name: one["type"] for name, one in {**values["input_features"], **values["output_features"]}.items()}
    needed = [name for name, kind in kinds.items() if features.needed_statistics(values, kind)]
    config = LerobotConfig(
        policy=self_contained(values),
        cameras=features.camera_names(values, options.cameras),
        normalised=tuple(name for name in needed if is_fresh or name in statistics),
        frozen=options.frozen,
        action_low=options.action_low,
        action_high=options.action_high,
    )
    shapes = _shapes_of(config, example)
    features.check(config, shapes)
    torch.manual_seed(options.seed)
    # Fresh weights may begin with what LeRobot fetches for them, as an encoder trained on ImageNet.
    policy = make_policy(values) if is_fresh else make_policy(config.policy, folder)
    network = LerobotNetwork(config, shapes, policy=policy)
    for prefix in options.frozen:
        if not any(name.startswith(prefix) for name, _ in network.policy.named_parameters()):
            raise ValueError(f"no parameter begins with '{prefix}'")
    network.statistics.fill(_in_units(statistics, config) if is_fresh else statistics)
    network.freeze_backbone()
    return network


def _shapes_of(config: LerobotConfig, example: EpisodeManifest | None) -> PolicyShapes:
    """The cameras' sizes are the demonstrations', or those of the policy's pictures."""
    sizes = {one.name: (one.height, one.width) for one in example.cameras} if example is not None else {}
    cameras = []
    for name in config.cameras:
        if example is not None and name not in sizes:
            names = ", ".join(sizes)
            raise ValueError(f"the demonstrations have the cameras {names}; say by --camera which one is '{name}'")
        height, width = sizes.get(name) or config.picture_size(name)
        cameras.append(CameraSpec(name=name, height=height, width=width))
    inputs, outputs = config.policy["input_features"], config.policy["output_features"]
    return PolicyShapes(
        cameras=tuple(cameras),
        proprio_dim=int(inputs[features.STATE]["shape"][0]) if features.STATE in inputs else 0,
        action_dim=int(outputs[features.ACTION]["shape"][0]) if features.ACTION in outputs else 0,
        horizon=int(config.policy.get("chunk_size") or 0),
    )


def _in_units(statistics: Mapping[str, Mapping[str, Tensor]], config: LerobotConfig) -> dict[str, dict[str, Tensor]]:
    """Recordings hold actions in [-1, 1]: their statistics in the policy's units, where it has others."""
    found = {name: dict(of) for name, of in statistics.items()}
    if config.action_low is None or config.action_high is None:
        return found
    low, high = torch.tensor(config.action_low), torch.tensor(config.action_high)
    half = (high - low) / 2.0
    found[features.ACTION] = {
        name: value * half if name == "std" else low + (value + 1.0) * half
        for name, value in found[features.ACTION].items()
    }
    return found


def _folder_processors(folder: Path) -> tuple[Any, Any]:
    """The processors as LeRobot reads them from the folder, on the CPU."""
    factory = importlib.import_module("lerobot.policies.factory")
    values = json.loads((folder / CONFIG_FILE).read_text())
    overrides = {"device_processor": {"device": "cpu"}}
    before, after = factory.make_pre_post_processors(
        make_config(values), pretrained_path=str(folder), preprocessor_overrides=overrides
    )
    return before, after


def _folder_statistics(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Return the statistics in the folder's normaliser. Raises: FolderRefused if there is no such processor."""
    processor, pipeline = map(importlib.import_module, ("lerobot.processor", "lerobot.processor.pipeline"))
    try:
        before, _ = _folder_processors(folder)
    except (OSError, KeyError, pipeline.ProcessorMigrationError) as error:
        raise FolderRefused(f"{folder} has no processors that LeRobot {VERSION} reads: {error}") from None
    found: dict[str, dict[str, Tensor]] = {}
    for step in before.steps:
        if isinstance(step, processor.NormalizerProcessorStep):
            for name, value in step.state_dict().items():
                feature, statistic = name.rsplit(".", 1)
                found.setdefault(feature, {})[statistic] = value
    return found


def _require_equal(network: LerobotNetwork, folder: Path) -> None:
    """Raises: FolderRefused if the network answers otherwise than LeRobot's own policy and processors of the folder."""
    rng, policy = np.random.default_rng(0), network.policy
    pictures, rows = {}, {}
    for camera in network.shapes.cameras:
        height, width = network.config.picture_size(camera.name)
        picture = torch.from_numpy(rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8))
        pictures[camera.name] = picture
        rows[network.config.cameras[camera.name]] = picture.permute(0, 3, 1, 2).float() / 255
    state = torch.from_numpy(rng.standard_normal((1, network.shapes.proprio_dim)).astype(np.float32))
    instruction = "pick up the cube"
    language = torch.from_numpy(network.embed(instruction))[None]
    ours = network.sample_chunk(
        network.encode(pictures, language), state, language, generator=torch.Generator().manual_seed(0)
    )
    before, after = _folder_processors(folder)
    seed = int(torch.randint(2**31, (1,), generator=torch.Generator().manual_seed(0)))
    theirs = answer(policy, before, after, {**rows, features.STATE: state, "task": [instruction]}, seed=seed)
    difference = float((ours - network.from_units(theirs).clamp(-1.0, 1.0)).abs().max())
    if not difference <= TOLERANCE:
        raise FolderRefused(
            f"the policy of {folder} answers otherwise through LeRobot's own processors of the folder (by "
            f"{difference:.2g} of an action in [-1, 1]): they are not the standard ones of a '{network.config.kind}'"
        )


def answer(policy: Any, before: Any, after: Any, rows: Mapping[str, Any], *, seed: int) -> Tensor:
    """Return what LeRobot itself answers to observations, [B, H, A] in its own units."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        chunk: Tensor = after(policy.predict_action_chunk(before(dict(rows))))
    return chunk
