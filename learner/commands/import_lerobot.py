"""`python -m learner import-lerobot`: a folder of LeRobot's, or a fresh LeRobot policy, as a first version."""

from __future__ import annotations

import argparse
from pathlib import Path

from learner.commands.episodes import add_episode_arguments
from learner.data.sources import open_episodes
from learner.lerobot_folder import ImportConfig, import_folder
from learner.publisher import write_policy_directory


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "import-lerobot",
        help="make a policy directory of a LeRobot policy (lerobot 0.6.1, Python 3.12)",
        description="FOLDER holds config.json, and model.safetensors with the processors beside it as LeRobot's "
        "save_pretrained writes them. Without model.safetensors the policy gets fresh weights.",
    )
    parser.add_argument("folder", type=Path, help="pretrained folder, or one with a config.json alone")
    parser.add_argument("--out", type=Path, required=True, help="policy directory to write")
    add_episode_arguments(parser, required=False)
    parser.add_argument("--execute-steps", type=int, help="actions of a chunk to execute; n_action_steps without")
    parser.add_argument(
        "--freeze", nargs="+", default=[], metavar="PREFIX", help="parameters not to train: model.backbone of an ACT"
    )
    parser.add_argument(
        "--action-low", type=float, nargs="+", metavar="VALUE", help="what -1 of each axis is in the policy's units"
    )
    parser.add_argument("--action-high", type=float, nargs="+", metavar="VALUE", help="what 1 of each axis is")
    parser.add_argument("--seed", type=int, default=0, help="of fresh weights")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises: as `learner.lerobot_folder.import_folder`."""
    options = ImportConfig(
        cameras=dict(arguments.camera),
        execute_steps=arguments.execute_steps,
        frozen=tuple(arguments.freeze),
        action_low=tuple(arguments.action_low) if arguments.action_low else None,
        action_high=tuple(arguments.action_high) if arguments.action_high else None,
        seed=arguments.seed,
    )
    demonstrations = open_episodes(arguments.episodes, features=options.cameras) if arguments.episodes else None
    artifact = import_folder(arguments.folder, options, demonstrations)
    write_policy_directory(artifact, arguments.out)
    manifest = artifact.manifest
    print(f"{manifest.version_id} {manifest.architecture} {manifest.size_bytes} bytes in {arguments.out}")
    return 0
