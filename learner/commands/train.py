"""`python -m learner train`: post-train a policy on episodes at rest; under torchrun, in several processes.

OUT is a policy directory at all times after the first publish: a run that fails leaves its last good version there.
Beside it: checkpoint.safetensors to resume from, tensorboard/, and sidecars/ of what the algorithm derived.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.numpy
from torch import Tensor
from tqdm import tqdm

from fleet.protocol.recording import EpisodeManifest
from learner.checkpoint import write_checkpoint
from learner.commands.episodes import add_episode_arguments, inputs_of
from learner.config import ConfigError, RunConfig, from_mapping, to_mapping
from learner.data.sources import open_episodes
from learner.distributed import World, join_world
from learner.evaluation import EvaluationConfig, evaluate, flatten_scores
from learner.loop import Hooks, NoHooks, Schedule, run_steps
from learner.metrics import Versions
from learner.policies.base import HEAD, PolicyNetwork
from learner.publisher import read_policy_directory, write_policy_directory
from learner.tensorboard import Board
from learner.trainer import Trainer, build_trainer

CHECKPOINT = "checkpoint.safetensors"
SIDECARS = "sidecars"  # folder of <episode_id>.safetensors: what the algorithm derived of each frame
BOARD = "tensorboard"
HELD_OUT_STRIDE = 5  # half a second: neighbouring frames say nearly the same


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help="train a policy on episodes; resumes from OUT/checkpoint.safetensors",
        description="Under torchrun every process needs the policy and the episodes at the same paths; the first one "
        "writes. A step then has the configured rows times the number of processes.",
    )
    parser.add_argument("--policy", type=Path, required=True, help="policy directory to start from")
    add_episode_arguments(parser)
    parser.add_argument("--held-out", type=Path, nargs="+", help="episodes to evaluate every checkpoint on")
    parser.add_argument("--out", type=Path, required=True, help="policy directory to write")
    parser.add_argument("--steps", type=int, required=True, help="gradient steps since the start policy")
    parser.add_argument("--config", type=Path, help="run configuration, JSON")
    parser.add_argument("--checkpoint-steps", type=int, default=500, help="write policy and checkpoint this often")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, SopError, OSError."""
    values = json.loads(arguments.config.read_text()) if arguments.config else {}
    config = from_mapping(RunConfig, values)
    with join_world(config.device) as world:
        _train(world, config, arguments)
    return 0


class _HeldOut:
    """Evaluates the EMA weights on episodes that are never trained on."""

    def __init__(self, paths: Sequence[Path], features: Mapping[str, str], network: PolicyNetwork) -> None:
        """Raises: as `open_episodes`."""
        self._source, self._manifests = open_episodes(paths, features=features, inputs=inputs_of(network.shapes))
        self._network = copy.deepcopy(network)
        self._config = EvaluationConfig(stride=HELD_OUT_STRIDE)

    def refuse_shared(self, manifests: Sequence[EpisodeManifest]) -> None:
        """Raises: ConfigError if an episode is to be trained on as well."""
        shared = {m.episode_id for m in manifests} & {m.episode_id for m in self._manifests}
        if shared:
            raise ConfigError(f"episode {min(shared)} is both in --episodes and in --held-out")

    def values(self, head: Mapping[str, Tensor]) -> dict[str, float]:
        self._network.load_blob(HEAD, head)
        return flatten_scores(evaluate(self._network, self._source, self._manifests, self._config))


@dataclass
class _Folder:
    """`learner.loop.Hooks` of the process that writes: a policy directory, a checkpoint, lines and TensorBoard."""

    trainer: Trainer
    out: Path
    parent_id: str
    board: Board
    bar: tqdm[int]
    held_out: _HeldOut | None

    def after_step(self, step: int) -> None:
        self.bar.update(step - self.bar.n)

    def publish(self, step: int) -> None:
        """The policy first: weights that may not be published shall not replace the checkpoint of good ones either."""
        write_policy_directory(self.trainer.artifact(run_id=None, parent_id=self.parent_id), self.out)
        write_checkpoint(self.out / CHECKPOINT, self.trainer.checkpoint(cursor=0))
        if self.held_out is not None:
            self.report(step, self.held_out.values(self.trainer.ema_head()))

    def report(self, step: int, values: Mapping[str, float]) -> None:
        tqdm.write(json.dumps({"step": step, **values}))
        self.board.write(step, values)


def _train(world: World, config: RunConfig, arguments: argparse.Namespace) -> None:
    start, network = read_policy_directory(arguments.policy)
    features = dict(arguments.camera)
    source, manifests = open_episodes(arguments.episodes, features=features, inputs=inputs_of(network.shapes))
    world.require_same("configurations", [json.dumps(to_mapping(config)), str(arguments.steps)])
    world.require_same("policies to start from", [ref.sha256 for ref in start.blobs])
    world.require_same("episodes", [manifest.episode_id for manifest in manifests])
    trainer = build_trainer(network, source, config, world=world)
    trainer.ingest(manifests)
    checkpoint = arguments.out / CHECKPOINT
    saved = world.share(checkpoint.read_bytes() if world.is_first and checkpoint.is_file() else None)
    if saved is not None:
        trainer.restore(saved)
    schedule, versions = Schedule(publish_steps=arguments.checkpoint_steps), Versions()
    if not world.is_first:
        run_steps(trainer, until=arguments.steps, schedule=schedule, versions=versions, hooks=NoHooks())
        return
    held_out = _HeldOut(arguments.held_out, features, trainer.network) if arguments.held_out else None
    if held_out is not None:
        held_out.refuse_shared(manifests)
    arguments.out.mkdir(parents=True, exist_ok=True)
    board = Board(arguments.out / BOARD, first_step=trainer.gradient_steps + 1)
    with tqdm(desc="train", unit="step", total=arguments.steps, initial=trainer.gradient_steps, mininterval=1.0) as bar:
        hooks: Hooks = _Folder(trainer, arguments.out, start.version_id, board, bar, held_out)
        run_steps(trainer, until=arguments.steps, schedule=schedule, versions=versions, hooks=hooks)
        if versions.step != trainer.gradient_steps:
            hooks.publish(trainer.gradient_steps)
    write_sidecars(trainer, arguments.out / SIDECARS)
    if trainer.gradient_steps < arguments.steps:
        print("data.samples_per_insert allows no more steps on these episodes")
    print(f"step {trainer.gradient_steps} in {arguments.out}")


def write_sidecars(trainer: Trainer, folder: Path) -> None:
    """Write what the algorithm derived of each episode's frames, beside the episodes and never into them."""
    for episode_id, columns in trainer.sidecars():
        folder.mkdir(exist_ok=True)
        write_checkpoint(folder / f"{episode_id}.safetensors", safetensors.numpy.save(columns))
