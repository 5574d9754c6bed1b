"""Figures of imitation on held-out episodes, against figures made by hand, and the command that prints them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fleet.protocol.recording import EpisodeManifest, Origin, StepArrays
from learner.__main__ import main
from learner.data.masks import FrameRule
from learner.evaluation import EvaluationConfig, Score, evaluate
from learner.policies.architectures.flow_vla import FlowVla
from learner.policies.base import ChunkBatch, Noise
from learner.publisher import build_artifact, write_policy_directory
from tests.learner.hand_made import (
    AUTONOMOUS,
    SHAPES,
    SMALL,
    TELEOP,
    MemoryEpisodes,
    make_manifest,
    make_network,
    make_steps,
    some_manifests,
)
from tests.learner.lerobot_made import write_dataset


class Constant(FlowVla):
    """Always samples the action 0.5, and loses 2 for every valid action."""

    def chunk_losses(self, batch: ChunkBatch, noise: Noise) -> Tensor:
        return 2.0 * batch.valid_BH

    def sample_chunk(
        self, features_BF: Tensor, state_BP: Tensor, language_BL: Tensor, *, generator: torch.Generator
    ) -> Tensor:
        return torch.full((len(features_BF), SHAPES.horizon, SHAPES.action_dim), 0.5)


def by_name(scores: list[Score]) -> dict[tuple[str, str], Score]:
    return {(score.task, score.source): score for score in scores}


def test_figures_are_those_of_the_executed_part_of_frames_that_carry_loss():
    """By hand: of 5 autonomous and 20 human steps the human ones count, each with at most 6 actions that follow."""
    manifest = make_manifest("gated", [(5, AUTONOMOUS), (20, TELEOP)])
    actions_TA = make_steps(manifest)["action"].astype(np.float64)
    squares = [
        (0.5 - actions_TA[k]) ** 2 for start in range(5, 25) for k in range(start, min(start + SMALL.execute_steps, 25))
    ]

    (score, pooled) = evaluate(Constant(SMALL, SHAPES), MemoryEpisodes(), [manifest], EvaluationConfig(seeds=2))

    assert (score.task, score.source, score.episodes, score.frames) == ("box-close", "online", 1, 20)
    assert score.loss.value == pytest.approx(2.0)
    assert score.action_rmse.value == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-5)
    assert (score.loss.low, score.action_rmse.high) == (None, None)
    assert pooled.action_rmse == score.action_rmse


def test_every_task_and_source_has_its_line_and_an_interval_over_episodes():
    """Two tasks, one of them online as well, and all pooled last. Intervals hold the figure; numbers come again."""
    network = make_network()
    config = EvaluationConfig(seeds=2, stride=4)

    scores = evaluate(network, MemoryEpisodes(), some_manifests(), config)

    assert [(score.task, score.source) for score in scores] == [
        ("bin-picking", "offline"),
        ("bin-picking", "online"),
        ("box-close", "offline"),
        ("all", "all"),
    ]
    for score in scores:
        for figure in (score.loss, score.action_rmse):
            assert figure.low is not None
            assert figure.high is not None
            assert figure.low <= figure.value <= figure.high
    assert scores[-1].episodes == sum(score.episodes for score in scores[:-1]) == 6
    assert evaluate(network, MemoryEpisodes(), some_manifests(), config) == scores


class _OneGone(MemoryEpisodes):
    def __init__(self, gone: str) -> None:
        super().__init__()
        self._gone = gone

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        if manifest.episode_id == self._gone:
            raise FileNotFoundError("steps.parquet")
        return super().steps(manifest)


def test_an_episode_that_is_gone_is_left_out_and_nothing_left_is_an_error():
    """One of two demonstrations cannot be read; evaluations by robots carry no loss at all."""
    first, second = some_manifests()[2:4]
    scores = evaluate(make_network(), _OneGone(first.episode_id), [first, second], EvaluationConfig(stride=10))
    assert scores[0].episodes == 1
    judged = make_manifest("judged", [(10, AUTONOMOUS)], origin=Origin.EVALUATION)
    with pytest.raises(ValueError, match="no frame"):
        evaluate(make_network(), MemoryEpisodes(), [judged], EvaluationConfig(rule=FrameRule.ALL))


def test_train_and_evaluate_on_a_lerobot_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Two steps on one dataset with another held out, then the table and JSON of what came of it.

    The figures that `train` printed at its last checkpoint are those of `evaluate` on the same frames.
    """
    network = make_network()
    base = build_artifact(network, network.blob_state("head"), run_id=None, parent_id=None, step=0)
    write_policy_directory(base, tmp_path / "base")
    demonstrations = [make_manifest(f"demo {k}", [(20, TELEOP)], origin=Origin.DEMONSTRATION) for k in range(4)]
    write_dataset(tmp_path / "seen", [demonstrations[:2]])
    write_dataset(tmp_path / "unseen", [demonstrations[2:]])
    out, result = tmp_path / "out", tmp_path / "scores.json"
    common = ["train", "--policy", str(tmp_path / "base"), "--episodes", str(tmp_path / "seen"), "--steps", "2"]

    assert main([*common, "--held-out", str(tmp_path / "unseen"), "--out", str(out)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    evaluated = ["--policy", str(out), "--episodes", str(tmp_path / "unseen"), "--stride", "5", "--out", str(result)]
    assert main(["evaluate", *evaluated]) == 0

    table = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in table[1:]] == [
        ["do-the-box-close", "offline", "2", "8"],
        ["all", "all", "2", "8"],
    ]
    scores = json.loads(result.read_text())
    assert (scores["step"], scores["scores"][0]["episodes"]) == (2, 2)
    assert lines[-1]["held_out/do-the-box-close/offline/loss"] == pytest.approx(scores["scores"][0]["loss"]["value"])
    assert lines[0]["step"] == lines[-1]["step"] == 2

    assert main([*common, "--held-out", str(tmp_path / "seen"), "--out", str(tmp_path / "no")]) == 2
    assert "both in --episodes and in --held-out" in capsys.readouterr().err
    assert main([*common, "--camera", "observation.images.side=front", "--out", str(tmp_path / "no")]) == 2
    assert "no video feature 'observation.images.side'" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
