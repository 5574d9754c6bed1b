"""The worked examples of the READMEs: a new architecture in one file, a new algorithm in one folder, nothing else."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fleet.protocol.errors import UnknownArchitecture
from fleet.protocol.policy import Observation
from learner import algorithms as algorithms_package
from learner.algorithms.base import algorithms, build_algorithm
from learner.checkpoint import CheckpointMismatch
from learner.config import ConfigError, OptimConfig, RunConfig
from learner.policies import architectures as architectures_package
from learner.policies.registry import _modules, architectures, build_network, load_policy
from learner.publisher import read_policy_directory, write_policy_directory
from learner.trainer import build_trainer
from tests.learner.hand_made import SHAPES, MemoryEpisodes, make_network, some_manifests

LEARNER = Path(__file__).parents[2] / "learner"
OPTIM = OptimConfig(batch_size=16, learning_rate=1e-2, warmup_steps=1, ema_decay=0.0)


def example(folder: str) -> str:
    """The Python of a folder's README."""
    (block,) = re.findall(r"```python\n(.*?)```", (LEARNER / folder / "README.md").read_text(), flags=re.S)
    return str(block)


@pytest.fixture
def example_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The file lies in the package's folders, as if it had been written there; afterwards it is gone."""
    (tmp_path / "linear_chunk.py").write_text(example("policies"))
    monkeypatch.setattr(architectures_package, "__path__", [*architectures_package.__path__, str(tmp_path)])
    _modules.cache_clear()
    yield "linear_chunk.v1"
    monkeypatch.undo()
    _modules.cache_clear()
    sys.modules.pop(f"{architectures_package.__name__}.linear_chunk", None)


@pytest.fixture
def example_algorithm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The folder lies among the package's, as if it had been made there; afterwards it is gone."""
    folder = tmp_path / "trimmed"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Trimmed imitation."""\n')
    (folder / "algorithm.py").write_text(example("algorithms"))
    monkeypatch.setattr(algorithms_package, "__path__", [*algorithms_package.__path__, str(tmp_path)])
    algorithms.cache_clear()
    yield "trimmed"
    monkeypatch.undo()
    algorithms.cache_clear()
    for name in (f"{algorithms_package.__name__}.trimmed.algorithm", f"{algorithms_package.__name__}.trimmed"):
        sys.modules.pop(name, None)


def test_an_architecture_is_one_file(example_architecture: str, tmp_path: Path):
    """Found, built, trained by the usual trainer, published, loaded by a robot.

    Hand-made actions are uniform noise of variance 1/3: what is left of the loss of any predictor.
    """
    assert example_architecture in architectures()
    torch.manual_seed(0)
    network = build_network(example_architecture, {}, SHAPES)
    frozen = {name: tensor.clone() for name, tensor in network.blob_state("backbone").items()}
    trainer = build_trainer(network, MemoryEpisodes(), RunConfig(optim=OPTIM))
    trainer.ingest(some_manifests())
    losses = [trainer.step().loss for _ in range(60)]

    assert losses[0] > 0.5
    assert np.mean(losses[-5:]) < 0.37
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in network.blob_state("backbone").items())
    artifact = trainer.artifact(run_id=None, parent_id=None)
    write_policy_directory(artifact, tmp_path / "policy")
    manifest, again = read_policy_directory(tmp_path / "policy")
    assert torch.equal(again.blob_state("head")["weight"], trainer.network.blob_state("head")["weight"])
    blobs = {sha256: tmp_path / "policy" / f"{sha256}.safetensors" for sha256 in artifact.blobs}
    policy = load_policy(manifest, blobs)
    policy.reset(instruction="close the box", seed=0)
    picture = np.zeros((128, 128, 3), dtype=np.uint8)
    chunk = policy.infer(Observation(images={"front": picture}, state=np.zeros(8, dtype=np.float32)))
    assert chunk.actions.shape == (12, 4)
    assert policy.execute_steps == 6


def test_a_checkpoint_of_another_architecture_is_refused_by_name(example_architecture: str):
    """And the trainer that refused it goes on as before."""
    torch.manual_seed(0)
    linear = build_trainer(build_network(example_architecture, {}, SHAPES), MemoryEpisodes(), RunConfig())
    trainer = build_trainer(make_network(), MemoryEpisodes(), RunConfig())
    before = trainer.checkpoint(cursor=0)

    with pytest.raises(CheckpointMismatch, match=r"another architecture: 'linear_chunk\.v1', wanted 'flow_vla\.v1'"):
        trainer.restore(linear.checkpoint(cursor=0))

    assert trainer.checkpoint(cursor=0) == before


def test_without_the_file_the_architecture_is_unknown():
    """The error lists what there is."""
    with pytest.raises(UnknownArchitecture, match=r"linear_chunk\.v1"):
        build_network("linear_chunk.v1", {}, SHAPES)


def test_an_algorithm_is_one_folder(example_algorithm: str):
    """Found beside the others, configured by its own dataclass, run by the usual trainer."""
    assert set(algorithms()) >= {"hg_dagger", "recap", example_algorithm}
    with pytest.raises(ConfigError, match="kept"):
        build_algorithm(example_algorithm, {"kept": 0})
    config = RunConfig(algorithm=example_algorithm, algorithm_config={"kept": 0.75}, optim=OPTIM)
    trainer = build_trainer(make_network(), MemoryEpisodes(), config)
    trainer.ingest(some_manifests())
    losses = [trainer.step().loss for _ in range(12)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_without_the_folder_the_algorithm_is_unknown():
    """The error lists what there is."""
    with pytest.raises(ConfigError, match=r"'trimmed' is unknown; there are hg_dagger, recap"):
        build_algorithm("trimmed", {})
