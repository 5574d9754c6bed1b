"""Two real processes under torchrun against one with the doubled batch, and what keeps them together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fleet.protocol.recording import Origin
from learner.__main__ import main
from learner.checkpoint import CheckpointHeader, decode_checkpoint
from learner.config import ConfigError, RunConfig, from_mapping
from learner.device import find_device
from learner.distributed import ALONE, World, join_world
from learner.publisher import build_artifact, read_policy_directory, write_policy_directory
from tests.learner.hand_made import TELEOP, make_manifest, make_network, stored_objects

LOSS_TOLERANCE = 1e-6  # relative, of every loss: float32 sums in another order; 7e-8 was seen after 60 steps
WEIGHT_TOLERANCE = 1e-6  # absolute, after six steps of rate 3e-4; 3e-8 was seen after 60 steps


def write_inputs(root: Path) -> list[str]:
    """A base policy and three episodes of two tasks; return what `train` is told of them."""
    for k, task in enumerate(("box-close", "box-close", "bin-picking")):
        manifest = make_manifest(f"demo {k}", [(15 + k, TELEOP)], task=task, origin=Origin.DEMONSTRATION)
        folder = root / "episodes" / manifest.episode_id
        folder.mkdir(parents=True)
        for name, data in stored_objects(manifest).items():
            (folder / name).write_bytes(data)
    network = make_network()
    base = build_artifact(network, network.blob_state("head"), run_id=None, parent_id=None, step=0)
    write_policy_directory(base, root / "base")
    return ["--episodes", str(root / "episodes"), "--policy", str(root / "base")]


def write_config(path: Path, **values: Any) -> list[str]:
    path.write_text(json.dumps(values))
    return ["--config", str(path)]


def train_in_two_processes(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "learner"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "train", *arguments], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def saved(out: Path) -> tuple[CheckpointHeader, dict[str, torch.Tensor]]:
    return decode_checkpoint((out / "checkpoint.safetensors").read_bytes())


def test_two_processes_train_as_one_with_the_doubled_batch(tmp_path: Path):
    """RECAP, with a value function: losses of every step and source, weights, EMA and moments.

    Two steps in one process with all rows, then four in two processes with half each, which resume from its checkpoint.
    """
    inputs = write_inputs(tmp_path)
    settings = {"algorithm": "recap", "algorithm_config": {"value": {"min_rollouts": 0, "steps": 5, "width": 8}}}
    alone = write_config(tmp_path / "alone.json", optim={"batch_size": 16}, **settings)
    halves = write_config(tmp_path / "halves.json", optim={"batch_size": 8}, **settings)
    assert main(["train", *inputs, *alone, "--steps", "6", "--out", str(tmp_path / "one")]) == 0

    assert main(["train", *inputs, *alone, "--steps", "2", "--out", str(tmp_path / "two")]) == 0
    result = train_in_two_processes([*inputs, *halves, "--steps", "6", "--out", str(tmp_path / "two")])
    assert result.returncode == 0, result.stderr

    (one, one_tensors), (two, two_tensors) = saved(tmp_path / "one"), saved(tmp_path / "two")
    assert (two.step, two.numpy_rng) == (one.step, one.numpy_rng)
    assert [row[:2] for row in two.sampler] == [row[:2] for row in one.sampler]
    for found, wanted in zip(two.sampler, one.sampler, strict=True):
        assert found[2] == pytest.approx(wanted[2], rel=LOSS_TOLERANCE)
    assert set(two_tensors) == set(one_tensors)
    for name, tensor in one_tensors.items():
        assert torch.allclose(two_tensors[name].double(), tensor.double(), rtol=0, atol=WEIGHT_TOLERANCE), name
    assert read_policy_directory(tmp_path / "two")[0].step == 6


def test_a_world_of_one_changes_nothing():
    """All rows are its own, sums are the part, and bytes come back."""
    part_N = torch.tensor([1.0, 2.0])
    assert ALONE.own(6) == slice(0, 6)
    assert ALONE.gather(part_N).tolist() == [[1.0, 2.0]]
    ALONE.add_up([part_N])
    assert part_N.tolist() == [1.0, 2.0]
    assert (ALONE.share(b"x"), ALONE.share(None)) == (b"x", None)
    assert (ALONE.union({3, 1}), ALONE.union(set())) == ({1, 3}, set())
    ALONE.require_same("episodes", ["a"])
    assert [World(rank=rank, size=3).own(12) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]


def test_devices_that_are_not_there_are_a_clear_error():
    """A build or machine without CUDA, a name that is none, and one GPU named for all processes of a host."""
    assert find_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA"):
            find_device("cuda")
    with pytest.raises(ConfigError, match="device"):
        from_mapping(RunConfig, {"device": "gpu"})
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    with pytest.raises(ConfigError, match="torchrun"), join_world("cuda:1", torchrun):
        pass
    assert not torch.distributed.is_initialized()
