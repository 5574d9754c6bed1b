"""The guides for one's own policy and algorithm: their code and their commands, as a reader would run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from learner.__main__ import main
from learner.policies.architectures.lerobot.config import LerobotConfig, camera_names, check
from learner.policies.base import HEAD
from learner.publisher import build_artifact, read_policy_directory, write_policy_directory
from tests.learner.hand_made import SHAPES, make_network
from tests.learner.test_commands import make_inputs
from tests.learner.test_worked_examples import example_algorithm, example_architecture

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
__all__ = ["example_algorithm", "example_architecture"]  # fixtures: the examples lie where their pages say


def blocks(guide: str, language: str = "") -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (GUIDES / guide).read_text(), flags=re.S | re.M)
    return [text for kind, text in found if kind == language]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with `episodes`, in which the reader works."""
    make_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def run(command: str) -> None:
    python, module, name, *arguments = shlex.split(command)
    assert (python, module, name) == ("python", "-m", "learner")
    assert main(arguments) == 0


def test_the_guides_are_short() -> None:
    """At most 100 lines each, of which none is longer than a screen."""
    lengths = {path.name: len(path.read_text().splitlines()) for path in GUIDES.glob("*.*")}
    assert {"so101.md", "own_driver.md", "own_policy.md", "own_algorithm.md", "lerobot_policy.md"} <= set(lengths)
    assert all(length <= 100 for length in lengths.values()), lengths


def test_your_own_policy_is_made_and_trained(here: Path, example_architecture: str) -> None:
    (program,) = blocks("own_policy.md", "python")
    exec(compile(program, "own_policy.md", "exec"), {})
    first, _ = read_policy_directory(here / "base")
    (command,) = blocks("own_policy.md")
    run(command)
    manifest, _ = read_policy_directory(here / "trained")
    assert (manifest.architecture, manifest.step) == (example_architecture, 40)
    assert (manifest.proprio_dim, manifest.action_dim) == (8, 4)
    backbones = [{ref.sha256 for ref in one.blobs if ref.name == "backbone"} for one in (first, manifest)]
    assert backbones[0] == backbones[1]


def test_the_act_of_the_guide_fits_the_recorded_robot() -> None:
    """`real_lerobot_policy.py` runs the page's commands, where lerobot is."""
    (settings,) = blocks("lerobot_policy.md", "json")
    policy = msgspec.json.decode(settings) | {"output_features": {"action": {"type": "ACTION", "shape": [4]}}}
    check(LerobotConfig(policy=policy, cameras=camera_names(policy, {})), SHAPES)


def test_your_own_algorithm_trains(here: Path, example_algorithm: str) -> None:
    (settings,) = blocks("own_algorithm.md", "json")
    assert msgspec.json.decode(settings)["algorithm"] == example_algorithm
    (here / "run.json").write_text(settings)
    network = make_network()
    artifact = build_artifact(network, network.blob_state(HEAD), run_id=None, parent_id=None, step=0)
    write_policy_directory(artifact, here / "base")
    (command,) = blocks("own_algorithm.md")
    run(command)
    assert read_policy_directory(here / "trained")[0].step == 20
