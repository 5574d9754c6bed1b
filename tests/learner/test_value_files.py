"""RECAP's value function fitted before the run: the command, its figures, and a run that starts from the file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fleet.protocol.recording import EpisodeManifest, Outcome
from learner.__main__ import main
from learner.algorithms.recap.calibration import figures, reliability
from learner.algorithms.recap.fitted import ValueMismatch
from learner.policies.base import Indicator
from learner.publisher import write_policy_directory
from learner.trainer import Trainer, build_trainer
from tests.learner.hand_made import MemoryEpisodes, make_network, stored_objects
from tests.learner.recap_made import VALUE, manifests, recap_of, run_config, value_file


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    """The command sets torch's threads for its own process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trainer_from(file: Path, *, seed: int = 0, min_rollouts: int = 2, **changes: Any) -> Trainer:
    config = run_config(value=dataclasses.replace(VALUE, file=str(file), min_rollouts=min_rollouts), **changes)
    trainer = build_trainer(make_network(seed), MemoryEpisodes(), config)
    trainer.ingest(manifests())
    return trainer


def write_episodes(root: Path, episodes: list[EpisodeManifest]) -> Path:
    for manifest in episodes:
        folder = root / manifest.episode_id
        folder.mkdir(parents=True)
        for name, data in stored_objects(manifest).items():
            (folder / name).write_bytes(data)
    return root


def test_figures_of_hand_made_values():
    """By hand: errors .1, .1, .3, .1; bias -.1; the median of the returns is -.5; tenths of two frames each."""
    return_N, value_N = np.array([-1.0, -0.6, -0.4, -0.2]), np.array([-0.9, -0.7, -0.7, -0.3])

    found = figures(value_N, return_N)

    assert found["error"] == pytest.approx(0.15)
    assert found["bias"] == pytest.approx(-0.1)
    assert found["spread"] == pytest.approx((0.5 + 0.1 + 0.1 + 0.3) / 4)
    assert found["correlation"] == pytest.approx(np.corrcoef(value_N, return_N)[0, 1])
    assert reliability(value_N, return_N, bins=2) == [
        {"frames": 2.0, "value": pytest.approx(-0.8), "return": pytest.approx(-0.8)},
        {"frames": 2.0, "value": pytest.approx(-0.5), "return": pytest.approx(-0.3)},
    ]


def test_figures_of_constant_values_are_numbers():
    """Without variance there is no correlation: 0, not NaN."""
    assert figures(np.full(3, -0.5), np.array([-1.0, -0.5, 0.0]))["correlation"] == 0.0


def test_the_command_fits_reports_and_a_run_starts_frozen_from_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Eight scored episodes, a quarter of them held out; the run scores with the file's values from its first step,
    never fits its own, and resumes to the same."""
    base = make_network()
    artifact = build_trainer(base, MemoryEpisodes(), run_config()).artifact(run_id=None, parent_id=None)
    write_policy_directory(artifact, tmp_path / "policy")
    episodes = write_episodes(tmp_path / "episodes", manifests())
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps({"algorithm_config": run_config().algorithm_config}))
    out = tmp_path / "values" / "value.safetensors"
    options = ["--policy", str(tmp_path / "policy"), "--config", str(settings), "--out", str(out)]

    assert main(["value", "--episodes", str(episodes), "--held-out", "0.25", *options]) == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["fitted_episodes"], report["held_out"]["episodes"]) == (6, 2)
    assert 0 <= report["held_out"]["error"] <= 1
    assert sum(part["frames"] for part in report["held_out"]["reliability"]) == report["held_out"]["frames"]

    trainer = trainer_from(out)
    before = {name: tensor.clone() for name, tensor in recap_of(trainer).state().items() if name != "progress"}
    for _ in range(3):
        trainer.step()
    after = recap_of(trainer).state()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    saved = trainer.checkpoint(cursor=0)
    resumed = trainer_from(out)
    resumed.restore(saved)
    assert resumed.step().loss == trainer.step().loss


def test_a_run_from_a_file_knows_worth_before_any_rollout_is_counted(tmp_path: Path):
    """With `min_rollouts` far away: values are the file's from the first step, and rollouts are told apart by them."""
    trainer = trainer_from(value_file(tmp_path / "file"), min_rollouts=1000)
    trainer.step()

    columns = dict(trainer.sidecars())
    late = next(m for m in manifests() if m.outcome is Outcome.TIMEOUT)
    assert np.allclose(columns[late.episode_id]["value"], -1.0, atol=1e-3)
    assert set(columns[late.episode_id]["indicator"].tolist()) == {Indicator.POSITIVE, Indicator.NEGATIVE}


def test_files_of_another_backbone_reward_or_kind_are_refused(tmp_path: Path):
    """Other pre-trained weights, another cost of failure, another width, no value function at all, no file."""
    file = value_file(tmp_path / "file")
    rotten = tmp_path / "rotten"
    rotten.write_bytes(b"\x08" + b"\x00" * 20)
    with pytest.raises(ValueMismatch, match="backbone_sha256"):
        trainer_from(file, seed=1)
    with pytest.raises(ValueMismatch, match="failure_cost"):
        trainer_from(file, failure_cost=0.5)
    with pytest.raises(ValueMismatch, match="width"):
        trainer_from(value_file(tmp_path / "wide", value=dataclasses.replace(VALUE, width=24)))
    with pytest.raises(ValueMismatch, match="no value function"):
        trainer_from(rotten)
    with pytest.raises(FileNotFoundError):
        trainer_from(tmp_path / "missing")


@pytest.mark.parametrize(("text", "problem"), [("1", "below 1"), ("-0.1", "below 1")])
def test_impossible_shares_are_refused(text: str, problem: str, capsys: pytest.CaptureFixture[str]):
    """All episodes held out leaves none to fit."""
    with pytest.raises(SystemExit):
        main(["value", "--episodes", "a", "--policy", "b", "--out", "c", "--held-out", text])
    assert problem in capsys.readouterr().err


def test_a_folder_without_a_known_end_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nothing to fit to is one line on stderr, and no file."""
    artifact = build_trainer(make_network(), MemoryEpisodes(), run_config()).artifact(run_id=None, parent_id=None)
    write_policy_directory(artifact, tmp_path / "policy")
    write_episodes(tmp_path / "episodes", [manifest for manifest in manifests() if not manifest.is_terminated])
    out = tmp_path / "value.safetensors"

    status = main(
        ["value", "--episodes", str(tmp_path / "episodes"), "--policy", str(tmp_path / "policy"), "--out", str(out)]
    )

    assert status == 2
    assert "no readable episode" in capsys.readouterr().err
    assert not out.exists()


def test_a_configuration_that_names_a_file_is_not_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Fitting one in place of the one that is named would be a surprise."""
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps({"algorithm_config": {"value": {"file": "x"}}}))
    assert main(["value", "--episodes", "a", "--policy", "b", "--out", "c", "--config", str(settings)]) == 2
    assert "value.file" in capsys.readouterr().err
