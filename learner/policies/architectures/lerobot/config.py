"""How a LeRobot policy's features meet a robot's cameras and axes. Pure: needs no LeRobot.

A LeRobot policy names its inputs and outputs in its config.json, as `input_features` and `output_features`: pictures
`observation.images.<name>` [3, H, W], proprioception `observation.state` [P], `action` [A].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fleet.protocol.policy import CameraSpec
from learner.policies.base import PolicyShapes

ARCHITECTURE = "lerobot.v1"
STATE = "observation.state"
ACTION = "action"
IMAGES = "observation.images."

# What LeRobot's normaliser needs of a feature under each of its modes.
STATISTICS: Mapping[str, tuple[str, ...]] = {
    "IDENTITY": (),
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
# Settings of LeRobot's by which a policy does more than chunks of one observation, and the one value that is taken.
_ONLY: Mapping[str, Any] = {
    "n_obs_steps": 1,
    "temporal_ensemble_coeff": None,
    "use_relative_actions": False,
    "adapt_to_pi_aloha": False,
    "use_peft": False,
}


class LerobotConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Written into the manifest of each version.

    policy: LeRobot's config.json. cameras: our camera -> its picture feature. normalised: the features whose statistics
    are in the backbone. frozen: beginnings of the names of parameters that are not trained, besides those that LeRobot
    freezes itself. action_low, action_high: what -1 and 1 of each of our axes are in the policy's units; None if the
    policy was trained on actions in [-1, 1].
    """

    policy: dict[str, Any]
    cameras: dict[str, str]
    normalised: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    action_low: tuple[float, ...] | None = None
    action_high: tuple[float, ...] | None = None

    @property
    def kind(self) -> str:
        """LeRobot's name of the policy: "act", "smolvla", "pi05", ..."""
        return str(self.policy.get("type"))

    def picture_size(self, camera: str) -> tuple[int, int]:
        """Return height and width of the pictures that the policy takes of a camera."""
        _, height, width = _shapes(self.policy, "input_features")[self.cameras[camera]]
        return height, width

    def statistics(self) -> Iterable[tuple[str, str, tuple[int, ...]]]:
        """Yield feature, statistic and shape of all that is in the backbone."""
        features = _features(self.policy, "input_features") | _features(self.policy, "output_features")
        for name in self.normalised:
            kind, shape = features[name]["type"], tuple(features[name]["shape"])
            for statistic in needed_statistics(self.policy, kind):
                yield name, statistic, (shape[0], 1, 1) if kind == "VISUAL" else shape


def needed_statistics(policy: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """Return what LeRobot normalises features of a kind ("VISUAL", "STATE", "ACTION") by. Raises: ValueError."""
    mode = str(policy.get("normalization_mapping", {}).get(kind, "IDENTITY"))
    if mode not in STATISTICS:
        raise ValueError(f"normalisation '{mode}' is none of {', '.join(STATISTICS)}")
    return STATISTICS[mode]


def camera_names(policy: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return our camera -> picture feature. `names`: feature -> camera, where it is not the feature's last word."""
    visual = [name for name, feature in _features(policy, "input_features").items() if feature["type"] == "VISUAL"]
    return {names.get(name, name.removeprefix(IMAGES)): name for name in visual}


def check(config: LerobotConfig, shapes: PolicyShapes) -> None:
    """Compare what the policy sees and does with what the robot has. Raises: ValueError, with every problem."""
    problems = [
        f"{name} is {config.policy[name]!r}, only {value!r} is hosted"
        for name, value in _ONLY.items()
        if config.policy.get(name, value) != value
    ]
    problems += _sizes(config, shapes)
    problems += _pictures(config, shapes.cameras)
    problems += _ranges(config, shapes.action_dim)
    if problems:
        raise ValueError(f"policy '{config.kind}': {'; '.join(problems)}")


def _sizes(config: LerobotConfig, shapes: PolicyShapes) -> list[str]:
    inputs, outputs = _shapes(config.policy, "input_features"), _shapes(config.policy, "output_features")
    found = {STATE: inputs.get(STATE), ACTION: outputs.get(ACTION)}
    wanted = {STATE: (shapes.proprio_dim,), ACTION: (shapes.action_dim,)}
    problems = [
        f"'{name}' is {found[name]}, the robot has {wanted[name]}" for name in wanted if found[name] != wanted[name]
    ]
    chunk, executed = config.policy.get("chunk_size"), config.policy.get("n_action_steps")
    if chunk != shapes.horizon:
        problems.append(f"chunk_size is {chunk}, the horizon {shapes.horizon}")
    if not isinstance(executed, int) or not 1 <= executed <= shapes.horizon:
        problems.append(f"n_action_steps is {executed}, must be 1..{shapes.horizon}")
    unknown = set(config.normalised) - set(inputs) - set(outputs)
    return [*problems, *(f"there is no feature '{name}' to normalise" for name in sorted(unknown))]


def _pictures(config: LerobotConfig, cameras: Iterable[CameraSpec]) -> list[str]:
    features = _features(config.policy, "input_features")
    seen = set(config.cameras.values())
    other = [name for name in features if name != STATE and name not in seen]
    problems = [f"nothing gives its input '{name}'" for name in sorted(other)]
    sizes = {camera.name: (camera.height, camera.width) for camera in cameras}
    if set(sizes) != set(config.cameras):
        return [*problems, f"it sees the cameras {sorted(config.cameras)}, the manifest has {sorted(sizes)}"]
    for name, feature in config.cameras.items():
        shape = tuple(features.get(feature, {}).get("shape", ()))
        if len(shape) != 3 or shape[0] != 3:
            problems.append(f"'{feature}' is {list(shape)}, no picture [3, H, W]")
        elif not _is_fraction(sizes[name], shape[1:]):
            problems.append(f"camera '{name}' is {sizes[name]}, no whole multiple of {shape[1:]}")
    return problems


def _ranges(config: LerobotConfig, axes: int) -> list[str]:
    low, high = config.action_low, config.action_high
    if low is None and high is None:
        return []
    if low is None or high is None or (len(low), len(high)) != (axes, axes):
        return [f"action_low and action_high must have {axes} values each"]
    values = zip(low, high, strict=True)
    if not all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in values):
        return ["action_low must be below action_high"]
    return []


def _is_fraction(camera: tuple[int, int], picture: tuple[int, ...]) -> bool:
    """Whether the camera's sides are whole multiples of the picture's, by which they are averaged down."""
    return min(picture) >= 1 and all(side % part == 0 for side, part in zip(camera, picture, strict=True))


def _features(policy: Mapping[str, Any], side: str) -> dict[str, dict[str, Any]]:
    """Raises: ValueError if the features are not written as LeRobot writes them."""
    features = policy.get(side) or {}
    for name, feature in features.items():
        if not isinstance(feature, dict) or not isinstance(feature.get("type"), str) or "shape" not in feature:
            raise ValueError(f"{side} '{name}' has no type and shape")
    return dict(features)


def _shapes(policy: Mapping[str, Any], side: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(feature["shape"]) for name, feature in _features(policy, side).items()}
