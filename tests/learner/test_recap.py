"""RECAP in the trainer, on hand-made episodes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from fleet.protocol.recording import Origin
from learner.algorithms.base import build_algorithm
from learner.checkpoint import CheckpointMismatch
from learner.commands.train import write_sidecars
from learner.config import ConfigError, OptimConfig, RunConfig
from learner.data.index import FrameClass
from learner.data.replay import Frame, Rows
from learner.policies.base import Indicator, PolicyNetwork
from learner.trainer import Trainer, build_trainer
from tests.learner.hand_made import AUTONOMOUS, HANDOVER, TELEOP, MemoryEpisodes, make_manifest, make_network
from tests.learner.recap_made import VALUE, make_trainer, manifests, recap_of, run_config

PINNED = [1.4206115007400513, 1.2980031967163086, 1.3496156930923462]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bits depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_sidecars_of_hand_made_episodes():
    """After the first step every episode is scored: by class, by threshold, and NaN where the end is not known."""
    trainer = make_trainer()
    trainer.step()
    columns = dict(trainer.sidecars())
    episodes = manifests()

    assert set(columns) == {manifest.episode_id for manifest in episodes}
    demonstration, rescued, *_, late, cut = (columns[episodes[k].episode_id] for k in (0, 4, 7, 8))
    assert set(demonstration["indicator"]) == {Indicator.POSITIVE}
    assert set(rescued["indicator"][20:22]) == {Indicator.NONE}
    assert set(rescued["indicator"][22:]) == {Indicator.POSITIVE}
    assert late["return"].tolist() == [-1.0] * 40
    assert np.isnan(cut["advantage"]).all()
    assert set(cut["indicator"]) == {Indicator.NONE}
    # The longest bin-picking episode acted 45 steps (the handover does not count).
    assert demonstration["return"][0] == pytest.approx(-29 / 45)
    rollouts = [columns[episodes[k].episode_id]["indicator"][:n] for k, n in ((4, 20), (5, 20), (6, 40), (7, 40))]
    assert float(np.mean(np.concatenate(rollouts) == Indicator.POSITIVE)) == pytest.approx(0.4, abs=0.01)


def test_sidecars_are_written_beside_the_episodes(tmp_path: Path):
    """One file an episode, float32 and int8 columns of its length."""
    trainer = make_trainer()
    write_sidecars(trainer, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    trainer.step()
    write_sidecars(trainer, tmp_path / "sidecars")

    columns = safetensors.numpy.load_file(tmp_path / "sidecars" / f"{manifests()[6].episode_id}.safetensors")
    assert {name: (str(c.dtype), c.shape) for name, c in columns.items()} == {
        "return": ("float32", (40,)),
        "value": ("float32", (40,)),
        "advantage": ("float32", (40,)),
        "indicator": ("int8", (40,)),
    }


def test_before_there_are_rollouts_only_people_are_told_of():
    """Too few rollouts for a value function: human frames are positive, rollouts say nothing, and training goes on."""
    trainer = make_trainer(run_config(value=dataclasses.replace(VALUE, min_rollouts=50)))
    metrics = trainer.step()

    assert math.isfinite(metrics.loss)
    assert recap_of(trainer).state() == {}
    assert list(trainer.sidecars()) == []
    assert indicators_of(trainer, [(0, 3), (4, 3), (4, 30)]) == [1, 0, 1]


def indicators_of(trainer: Trainer, frames: Sequence[tuple[int, int]]) -> list[int]:
    """What the algorithm says of (episode, step)."""
    replay = trainer.replay
    found = [Frame(e, t, FrameClass(int(replay.episode(e).classes_T[t]))) for e, t in frames]
    empty = np.zeros(0, dtype=np.float32)
    rows = Rows(
        features_BF=empty,
        state_BP=empty,
        actions_BHA=empty,
        valid_BH=empty,
        weights_B=empty,
        instructions=(),
        frames=tuple(found),
    )
    codes: list[int] = recap_of(trainer).indicators(rows).tolist()
    return codes


def test_the_value_is_frozen_or_fitted_again():
    """SOP's value stays what it was; the original's changes every `refit_steps`; new episodes are scored by both."""
    frozen = make_trainer(count=8)
    fitted = make_trainer(run_config(value=dataclasses.replace(VALUE, refit_steps=3)), count=8)
    before = [values_of(trainer) for trainer in (frozen, fitted)]
    for trainer in (frozen, fitted):
        trainer.step()
        trainer.step()
        trainer.ingest(manifests())
        trainer.step()
    assert before == [{}, {}]
    first = [values_of(trainer) for trainer in (frozen, fitted)]
    for trainer in (frozen, fitted):
        trainer.step()

    assert [len(values) for values in first] == [9, 9]
    assert values_of(frozen) == first[0]
    assert values_of(fitted) != first[1]


def values_of(trainer: Trainer) -> dict[str, list[float]]:
    return {episode_id: columns["value"].tolist() for episode_id, columns in trainer.sidecars()}


def test_gradient_reaches_every_trainable_and_no_frozen_parameter():
    """After a few steps every head parameter moves, the indicator's maps too; backbone and value do not."""
    trainer = make_trainer()
    network = trainer.network
    trainer.step()
    value = {name: tensor.clone() for name, tensor in recap_of(trainer).state().items()}
    backbone = {name: tensor.clone() for name, tensor in network.blob_state("backbone").items()}
    before = {name: parameter.detach().clone() for name, parameter in network.trainable().items()}
    for _ in range(3):
        trainer.step()

    assert {"indicator.weight", "indicator.bias"} <= set(before)
    for name, parameter in network.trainable().items():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
        assert not torch.equal(parameter, before[name]), name
    for name, tensor in network.blob_state("backbone").items():
        assert torch.equal(tensor, backbone[name]), name
    for name, tensor in recap_of(trainer).state().items():
        assert torch.equal(tensor, value[name]), name
    assert all(not parameter.requires_grad for parameter in network.backbone.parameters())


def test_losses_of_three_steps_are_pinned():
    """The numbers of the first three steps; they move only when learning is meant to change."""
    trainer = make_trainer()

    losses = [trainer.step().loss for _ in range(3)]

    assert losses == pytest.approx(PINNED, rel=1e-4)


@pytest.mark.parametrize("refit_steps", [0, 2])
def test_resume_equals_uninterrupted_to_the_bit(refit_steps: int):
    """Six steps with an ingest between, against a fresh trainer restored half-way; value and labels are the same."""
    config = run_config(value=dataclasses.replace(VALUE, refit_steps=refit_steps))
    whole = make_trainer(config, count=8)
    for _ in range(3):
        whole.step()
    saved = whole.checkpoint(cursor=8)
    whole.ingest(manifests())
    expected = [whole.step().loss for _ in range(3)]

    resumed = make_trainer(config, count=8)
    assert resumed.restore(saved) == 8
    assert resumed.checkpoint(cursor=8) == saved
    resumed.ingest(manifests())
    losses = [resumed.step().loss for _ in range(3)]

    assert losses == expected
    assert resumed.checkpoint(cursor=9) == whole.checkpoint(cursor=9)
    for (_, ours), (_, theirs) in zip(resumed.sidecars(), whole.sidecars(), strict=True):
        assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in theirs)


def restarting(refit_steps: int) -> RunConfig:
    """Publishes what the last step left (no EMA), with a warm-up longer than the test."""
    value = dataclasses.replace(VALUE, refit_steps=refit_steps)
    optim = OptimConfig(batch_size=16, learning_rate=1e-3, warmup_steps=100, ema_decay=0.0)
    return dataclasses.replace(run_config(value=value, restart_policy=True), optim=optim)


def test_the_policy_starts_again_from_the_base_at_each_fit():
    """Fits come before steps 0, 3 and 6. After the second the weights are one small step from the base's again, with
    the rate of a first step; without a fit, and without the option, they go on from where they stand."""
    trainer = make_trainer(restarting(3))
    base = {name: value.detach().clone() for name, value in trainer.network.trainable().items()}

    def distance() -> float:
        now = {name: value.detach() for name, value in trainer.network.trainable().items()}
        return max(float((value - base[name]).abs().max()) for name, value in now.items())

    distances, rates = [], []
    for _ in range(7):
        trainer.step()
        distances.append(distance())
        rates.append(trainer._optimizer.param_groups[0]["lr"])

    assert rates == pytest.approx([1e-5, 2e-5, 3e-5, 1e-5, 2e-5, 3e-5, 1e-5])
    assert all(distances[k] == pytest.approx(1e-5, rel=0.05) for k in (0, 3, 6))  # Adam's first step is the rate
    assert distances[2] > 3 * distances[3]
    assert distances[5] > 3 * distances[6]


def test_a_restarted_policy_resumes_to_the_bit():
    """Saved one step after a restart: weights, warm-up and moments of the resumed run are those of the whole one."""
    whole = make_trainer(restarting(3))
    for _ in range(4):
        whole.step()
    saved = whole.checkpoint(cursor=0)
    resumed = make_trainer(restarting(3))
    resumed.restore(saved)
    assert resumed.checkpoint(cursor=0) == saved
    for _ in range(4):  # past the next restart
        assert resumed.step().loss == whole.step().loss
    assert resumed.checkpoint(cursor=0) == whole.checkpoint(cursor=0)


def test_checkpoints_of_another_value_or_algorithm_are_refused():
    """Another width of the value function, and a run of HG-DAgger: neither loads, and nothing changes."""
    wide, other = run_config(value=dataclasses.replace(VALUE, width=24)), RunConfig(optim=run_config().optim)
    trainer, twin = make_trainer(), make_trainer()
    for part in (trainer, twin):
        part.step()
    for config in (wide, other):
        donor = build_trainer(make_network(), MemoryEpisodes(), config)
        donor.ingest(manifests())
        donor.step()
        with pytest.raises(CheckpointMismatch):
            trainer.restore(donor.checkpoint(cursor=0))

    assert trainer.step().loss == twin.step().loss


def test_metrics_tell_thresholds_shares_and_the_values_error_on_new_episodes():
    """Figures of the value come from episodes after its fit alone; they reach the summary."""
    trainer = make_trainer(count=8)
    trainer.step()
    first = trainer.summary().algorithm
    assert set(first) == {"recap/threshold/bin-picking", "recap/positive/bin-picking"}
    assert first["recap/positive/bin-picking"] == pytest.approx(0.4, abs=0.01)
    trainer.ingest([make_manifest("new", [(30, AUTONOMOUS), (2, HANDOVER), (9, TELEOP)], task="bin-picking")])
    trainer.step()

    second = trainer.summary().algorithm
    assert 0 < second["recap/value/error"] < 1
    assert 0 < second["recap/value/spread"] < 1


def test_an_evaluation_is_neither_read_nor_scored():
    """Nobody trains on it: its payload stays where it is, and its columns are empty."""
    source = MemoryEpisodes()
    trainer = build_trainer(make_network(), source, run_config())
    evaluation = make_manifest("evaluation", [(25, AUTONOMOUS)], task="bin-picking", origin=Origin.EVALUATION)
    trainer.ingest([*manifests(), evaluation])
    trainer.step()

    assert evaluation.episode_id not in source.reads
    columns = dict(trainer.sidecars())[evaluation.episode_id]
    assert np.isnan(columns["value"]).all()
    assert set(columns["indicator"]) == {Indicator.NONE}


def test_an_unseen_task_says_nothing_until_the_value_is_fitted_again():
    """A frozen value function has no scale for a task that came later; its demonstrations are positive all the same."""
    trainer = make_trainer()
    trainer.step()
    new = [
        make_manifest("new rollout", [(12, AUTONOMOUS)], task="shelf-place"),
        make_manifest("new demonstration", [(12, TELEOP)], task="shelf-place", origin=Origin.DEMONSTRATION),
    ]
    trainer.ingest(new)
    trainer.step()

    assert indicators_of(trainer, [(9, 0), (10, 0)]) == [Indicator.NONE, Indicator.POSITIVE]


def test_configurations_and_networks_it_cannot_use_are_refused():
    """Impossible values, unknown keys with their path, and an architecture without the input."""
    for config, named in (
        ({"dropout": 1.0}, "dropout"),
        ({"positive_share": 0}, "positive_share"),
        ({"guidance": 0.5}, "guidance"),
        ({"value": {"steps": 0}}, "steps"),
        ({"value": {"bins": 51}}, r"algorithm_config\.value: unknown key 'bins'"),
    ):
        with pytest.raises(ConfigError, match=named):
            build_algorithm("recap", config)
    plain = make_network()
    plain.with_indicator = lambda *, guidance: PolicyNetwork.with_indicator(plain, guidance=guidance)
    with pytest.raises(ConfigError, match="no input"):
        build_trainer(plain, MemoryEpisodes(), run_config())
