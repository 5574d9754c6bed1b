"""Base policies: `python -m benchmarks.experiments.bases --bases DIR --demonstrations 8 --seed 1`.

A base is a few narrow demonstrations a task (starts from 40 % of each range) and the head trained on them; the encoder
is trained once, on labelled scenes, and shared by all bases in DIR. A seed changes the demonstrations. Each step is
kept: a second call goes on where the first was cut. Writes DIR/<name>/{demonstrations,policy,evaluation.json}.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import msgspec
import torch

from benchmarks.experiments.rollout import Simulator
from benchmarks.experiments.run import SUPERVISOR, evaluate
from benchmarks.experiments.spec import TASKS
from learner.checkpoint import write_checkpoint
from learner.data.index import folder_episodes
from learner.policies.base import NetworkPolicy
from learner.publisher import read_policy_directory

SEEDS_APART = 100_000
TIMEOUT_S = 3600


class BaseSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`demonstrations` a task; the other sizes are the demo's unless an experiment is only tried out."""

    demonstrations: int = 8
    seed: int = 1
    scenes: int = 4000
    encoder_steps: int = 3000
    head_steps: int = 2500
    episodes: int = 60  # of the evaluation, a task

    @property
    def name(self) -> str:
        return f"demos{self.demonstrations}-seed{self.seed}"


def make_base(spec: BaseSpec, bases: Path) -> Path:
    """Make what is missing of a base; return its folder. Raises: subprocess.CalledProcessError."""
    folder = bases / spec.name
    folder.mkdir(parents=True, exist_ok=True)
    scenes = [_scenes(task, spec.scenes, bases / "scenes") for task in TASKS]
    first = SEEDS_APART * spec.seed
    for task in TASKS:
        seeds = f"{first}-{first + spec.demonstrations - 1}"
        _call(
            "fleet.daemon", "demonstrate", "--driver", "metaworld", "--task", task, "--seeds", seeds,
            "--starts", "narrow", "--out", folder / "demonstrations",
        )  # fmt: skip
    policy = folder / "policy"
    policy.mkdir(exist_ok=True)
    for encoder in (bases / "encoder").glob(".encoder-*"):
        shutil.copy(encoder, policy)
    _call(
        "learner", "pretrain", "--scenes", *scenes, "--episodes", folder / "demonstrations", "--out", policy,
        "--steps", spec.head_steps, "--encoder-steps", spec.encoder_steps,
    )  # fmt: skip
    (bases / "encoder").mkdir(exist_ok=True)
    for encoder in policy.glob(".encoder-*"):
        shutil.copy(encoder, bases / "encoder")
    if not (folder / "evaluation.json").is_file():
        _evaluate(folder, spec.episodes)
    return folder


def _scenes(task: str, count: int, folder: Path) -> Path:
    path = folder / f"{task}.npz"
    folder.mkdir(exist_ok=True)
    _call("fleet.daemon", "scenes", "--task", task, "--count", count, "--seed", _scene_seed(task), "--out", path)
    return path


def _scene_seed(task: str) -> int:
    """The demo's scenes, so its encoder: with another draw of as many, shelf-place's block was located worse and
    post-training got stuck there (docs/experiments.md)."""
    return zlib.crc32(task.encode()) % 800 * 1000 + 500


def _evaluate(folder: Path, episodes: int) -> None:
    torch.set_num_threads(1)
    _, manifests = folder_episodes(folder / "demonstrations")
    simulator = Simulator({m.task_slug: m.instruction for m in manifests}, SUPERVISOR)
    _, network = read_policy_directory(folder / "policy")
    found = evaluate(simulator, NetworkPolicy(network, device="cpu"), TASKS, episodes)
    simulator.close()
    write_checkpoint(folder / "evaluation.json", json.dumps(found, indent=1).encode())
    print(json.dumps({"base": folder.name, **found}), flush=True)


def _call(module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True, timeout=TIMEOUT_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=Path, required=True)
    defaults = BaseSpec()
    for name in BaseSpec.__struct_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    arguments = vars(parser.parse_args())
    bases = arguments.pop("bases")
    bases.mkdir(parents=True, exist_ok=True)
    make_base(BaseSpec(**arguments), bases)


if __name__ == "__main__":
    main()
