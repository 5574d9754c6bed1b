"""`python -m learner pretrain | train | value`: the learner on folders, without Django, Celery or a server."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import safetensors.numpy
import torch
from tqdm import tqdm

from fleet.protocol.errors import SopError
from learner.checkpoint import write_checkpoint
from learner.commands.value import add_value_command
from learner.config import ConfigError, RunConfig, from_mapping, to_mapping
from learner.data.index import folder_episodes
from learner.distributed import World, join_world
from learner.pretrain import EncoderConfig, PretrainConfig, pretrain
from learner.publisher import read_policy_directory, write_policy_directory
from learner.trainer import Trainer, build_trainer

SUMMARY_STEPS = 100
SIDECARS = "sidecars"  # folder of <episode_id>.safetensors: what the algorithm derived of each frame


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; return the exit status, with one line on stderr when the input is at fault."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    try:
        return int(arguments.run(arguments))
    except (SopError, ConfigError, ValueError, OSError) as error:
        print(f"python -m learner {arguments.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m learner", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    base = commands.add_parser("pretrain", help="train a base policy from labelled scenes and demonstrations")
    base.add_argument("--scenes", type=Path, nargs="+", required=True, help="npz files, one a task")
    base.add_argument("--steps", type=int, default=PretrainConfig().head_steps, help="steps of the action head")
    base.add_argument("--encoder-steps", type=int, default=EncoderConfig().steps)
    base.add_argument("--seed", type=int, default=0)
    base.set_defaults(run=_pretrain)
    train = commands.add_parser("train", help="train a policy on episodes; resumes from OUT/checkpoint.safetensors")
    train.add_argument("--policy", type=Path, required=True, help="policy directory to start from")
    train.add_argument("--steps", type=int, required=True, help="gradient steps since the start policy")
    train.add_argument("--config", type=Path, help="run configuration, JSON")
    train.add_argument("--checkpoint-steps", type=int, default=500)
    train.set_defaults(run=_train)
    add_value_command(commands)
    for command in (base, train):
        command.add_argument("--episodes", type=Path, required=True, help="folder of <episode_id>/ folders")
        command.add_argument("--out", type=Path, required=True, help="policy directory to write")
        command.add_argument("--threads", type=int, default=1, help="torch threads; results depend on it")
    return parser


def _progress(steps: Sequence[int], label: str, *, is_shown: bool = True) -> Iterator[int]:
    return iter(tqdm(steps, desc=label, unit="step", mininterval=1.0, disable=not is_shown))


def _pretrain(arguments: argparse.Namespace) -> int:
    config = PretrainConfig(
        seed=arguments.seed, head_steps=arguments.steps, encoder=EncoderConfig(steps=arguments.encoder_steps)
    )
    manifest = pretrain(
        scenes=arguments.scenes, episodes=arguments.episodes, out=arguments.out, config=config, progress=_progress
    )
    print(f"{manifest.version_id} {manifest.architecture} {manifest.size_bytes} bytes in {arguments.out}")
    return 0


def _train(arguments: argparse.Namespace) -> int:
    values = json.loads(arguments.config.read_text()) if arguments.config else {}
    config = from_mapping(RunConfig, values)
    with join_world(config.device) as world:
        return _train_in(world, config, arguments)


def _train_in(world: World, config: RunConfig, arguments: argparse.Namespace) -> int:
    start, network = read_policy_directory(arguments.policy)
    source, manifests = folder_episodes(arguments.episodes)
    world.require_same("configurations", [json.dumps(to_mapping(config)), str(arguments.steps)])
    world.require_same("policies to start from", [ref.sha256 for ref in start.blobs])
    world.require_same("episodes", [manifest.episode_id for manifest in manifests])
    trainer = build_trainer(network, source, config, world=world)
    trainer.ingest(manifests)
    path = arguments.out / "checkpoint.safetensors"
    saved = world.share(path.read_bytes() if world.is_first and path.is_file() else None)
    if saved is not None:
        trainer.restore(saved)
    if world.is_first:
        arguments.out.mkdir(parents=True, exist_ok=True)
    for step in _progress(range(trainer.gradient_steps, arguments.steps), "train", is_shown=world.is_first):
        trainer.step()
        if not world.is_first:
            continue
        if (step + 1) % SUMMARY_STEPS == 0:
            tqdm.write(json.dumps(trainer.summary().to_json()))
        if (step + 1) % arguments.checkpoint_steps == 0 or step + 1 == arguments.steps:
            write_checkpoint(path, trainer.checkpoint(cursor=0))
    if world.is_first:
        artifact = trainer.artifact(run_id=None, parent_id=start.version_id)
        write_policy_directory(artifact, arguments.out)
        _write_sidecars(trainer, arguments.out / SIDECARS)
        print(f"{artifact.manifest.version_id} step {artifact.manifest.step} in {arguments.out}")
    return 0


def _write_sidecars(trainer: Trainer, folder: Path) -> None:
    for episode_id, columns in trainer.sidecars():
        folder.mkdir(exist_ok=True)
        write_checkpoint(folder / f"{episode_id}.safetensors", safetensors.numpy.save(columns))


if __name__ == "__main__":
    raise SystemExit(main())
