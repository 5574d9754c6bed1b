"""How commands are told of episodes: `--episodes` and `--camera`."""

from __future__ import annotations

import argparse
from pathlib import Path

from learner.data.sources import PolicyInputs
from learner.policies.base import PolicyShapes


def add_episode_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "--episodes",
        type=Path,
        nargs="+",
        required=required,
        help="folders of <episode_id>/ folders, or LeRobot datasets (v3.0)",
    )
    parser.add_argument(
        "--camera",
        type=_feature,
        action="append",
        default=[],
        metavar="FEATURE=NAME",
        help="a LeRobot video feature and the camera it is to the policy: observation.images.top=front",
    )


def inputs_of(shapes: PolicyShapes) -> PolicyInputs:
    """Return what a policy needs of its episodes."""
    return PolicyInputs(cameras=shapes.cameras, proprio_dim=shapes.proprio_dim, action_dim=shapes.action_dim)


def _feature(text: str) -> tuple[str, str]:
    feature, separator, name = text.partition("=")
    if not (feature and separator and name):
        raise argparse.ArgumentTypeError("must be FEATURE=NAME")
    return feature, name
