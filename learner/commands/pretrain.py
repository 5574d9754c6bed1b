"""`python -m learner pretrain`: a base policy from labelled scenes and demonstrations."""

from __future__ import annotations

import argparse
from pathlib import Path

from learner.commands.episodes import add_episode_arguments
from learner.commands.progress import progress
from learner.pretrain import EncoderConfig, PretrainConfig, pretrain


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("pretrain", help="train a base policy from labelled scenes and demonstrations")
    parser.add_argument("--scenes", type=Path, nargs="+", required=True, help="npz files, one a task")
    add_episode_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="policy directory to write")
    parser.add_argument("--architecture", default=PretrainConfig().architecture, help="flow_vla.v1 or one built on it")
    parser.add_argument("--steps", type=int, default=PretrainConfig().head_steps, help="steps of the action head")
    parser.add_argument("--encoder-steps", type=int, default=EncoderConfig().steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises: as `learner.pretrain.pretrain`."""
    config = PretrainConfig(
        seed=arguments.seed,
        head_steps=arguments.steps,
        architecture=arguments.architecture,
        encoder=EncoderConfig(steps=arguments.encoder_steps),
    )
    manifest = pretrain(
        scenes=arguments.scenes,
        episodes=arguments.episodes,
        features=dict(arguments.camera),
        out=arguments.out,
        config=config,
        progress=progress,
    )
    print(f"{manifest.version_id} {manifest.architecture} {manifest.size_bytes} bytes in {arguments.out}")
    return 0
