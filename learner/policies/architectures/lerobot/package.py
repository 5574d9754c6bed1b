"""The door to LeRobot: which version, its policies by their configuration, its processors. Nothing else imports it.

Everything of LeRobot's is `Any` here: the type checker does not see the package, which is in another environment.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from fleet.protocol.errors import PolicyError

VERSION = "0.6.1"

# Weights come from our blobs or the folder: whatever else LeRobot would fetch or compile is switched off.
_SELF_CONTAINED: Mapping[str, Any] = {
    "device": "cpu",
    "pretrained_path": None,
    "pretrained_backbone_weights": None,
    "load_vlm_weights": False,
    "compile_model": False,
    "push_to_hub": False,
}


class LerobotMissing(PolicyError):
    """LeRobot, or a package or file that this policy of it needs, is not on this machine."""

    code = "lerobot_missing"


class LerobotVersion(PolicyError):
    """Another version of LeRobot than the one that this was checked against."""

    code = "lerobot_version"


def find_missing() -> PolicyError | None:
    """Return why no policy of LeRobot can be built here; None if nothing is in the way. Imports nothing."""
    try:
        found = importlib.metadata.version("lerobot")
    except importlib.metadata.PackageNotFoundError:
        return LerobotMissing(f"lerobot is not installed here; install lerobot=={VERSION} on Python 3.12")
    if found != VERSION:
        return LerobotVersion(f"lerobot {found} is installed here, {VERSION} is what was checked", found=found)
    return None


def self_contained(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json that fetches no weights: what a manifest holds."""
    return {**values, **{name: value for name, value in _SELF_CONTAINED.items() if name in values}}


def make_config(values: Mapping[str, Any], *, device: str = "cpu") -> Any:
    """Return LeRobot's configuration object of a config.json. Raises: ValueError, LerobotMissing."""
    with _foreign("lerobot"):
        draccus, configs = importlib.import_module("draccus"), importlib.import_module("lerobot.configs")
        importlib.import_module("lerobot.policies")  # its configurations register themselves
        kinds = configs.PreTrainedConfig.get_known_choices()
        fields = {**values, "device": device}
        kind = fields.pop("type", None)
        if kind not in kinds:
            raise ValueError(f"LeRobot {VERSION} has no policy '{kind}', it has {', '.join(sorted(kinds))}")
        try:
            return draccus.decode(configs.PreTrainedConfig.get_choice_class(kind), fields)
        except draccus.utils.DraccusException as error:
            raise ValueError(f"config.json of a policy '{kind}': {error}") from None


def make_policy(values: Mapping[str, Any], folder: Path | None = None) -> nn.Module:
    """Return a LeRobot policy on the CPU, with a pretrained folder's weights or fresh ones.

    Raises: ValueError, if the folder's weights are not exactly the policy's too; LerobotMissing.
    """
    config = make_config(values)
    with _foreign(config.type):
        kind = importlib.import_module("lerobot.policies.factory").get_policy_class(config.type)
        if folder is None:
            return cast(nn.Module, kind(config).to("cpu"))
        try:
            # Strict: LeRobot itself would leave what the folder lacks random, with a line in the log.
            return cast(nn.Module, kind.from_pretrained(folder, config=config, strict=True).to("cpu"))
        except RuntimeError as error:
            raise ValueError(f"the weights of {folder} are not those of its config.json: {str(error)[:500]}") from None


def make_processors(values: Mapping[str, Any], statistics: Mapping[str, Mapping[str, Tensor]], *, device: str) -> Any:
    """Return LeRobot's own pre- and post-processor of a policy. Raises: ValueError, LerobotMissing."""
    config = make_config(values, device=device)
    with _foreign(config.type):
        factory = importlib.import_module("lerobot.policies.factory")
        return factory.make_pre_post_processors(
            config, dataset_stats={name: dict(of) for name, of in statistics.items()}
        )


def complete_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json with every setting that it leaves to LeRobot's defaults. Raises: as `make_config`."""
    config = make_config(values)
    draccus, configs = importlib.import_module("draccus"), importlib.import_module("lerobot.configs")
    # Through JSON, as LeRobot writes it: that makes words of its enums.
    complete: dict[str, Any] = json.loads(json.dumps(draccus.encode(config, configs.PreTrainedConfig)))
    return complete


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Have everything that draws from torch's own generators draw from this seed; afterwards they are as before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _foreign(kind: str) -> Iterator[None]:
    """What LeRobot raises for what is not on the machine, with a code."""
    try:
        yield
    except ImportError as error:
        raise LerobotMissing(f"policy '{kind}' needs a package that is not installed: {error}") from error
    except OSError as error:  # of the Hub's client too, for a tokenizer or a configuration that is not in its cache
        raise LerobotMissing(f"policy '{kind}' needs a file that is not on this machine: {str(error)[:500]}") from error
