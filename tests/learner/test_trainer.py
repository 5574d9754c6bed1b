"""The trainer with HG-DAgger on hand-made episodes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from learner.algorithms.base import build_algorithm
from learner.algorithms.hg_dagger.losses import imitation_loss
from learner.checkpoint import CheckpointMismatch, decode_checkpoint
from learner.config import ConfigError, OptimConfig, RunConfig, from_mapping
from learner.data.replay import Draw, Rows
from learner.policies.architectures.flow_vla import FlowVlaConfig
from learner.policies.base import ChunkBatch
from learner.trainer import NonFiniteLoss, Trainer, build_trainer
from tests.learner.hand_made import MemoryEpisodes, make_network, make_trainer, some_manifests

CONFIG = RunConfig(optim=OptimConfig(batch_size=16, learning_rate=1e-3, warmup_steps=2))

PINNED = [1.508117437362671, 1.2359038591384888, 1.3224619626998901]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bits depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def hand_batch(rows: int = 8) -> ChunkBatch:
    generator = torch.Generator().manual_seed(11)
    valid_BH = torch.ones(rows, 12)
    valid_BH[0, 5:] = 0
    return ChunkBatch(
        features_BF=torch.randn(rows, 17, generator=generator),
        state_BP=torch.randn(rows, 8, generator=generator),
        language_BL=torch.randn(rows, 64, generator=generator),
        actions_BHA=torch.rand(rows, 12, 4, generator=generator) * 2 - 1,
        valid_BH=valid_BH,
    )


def test_losses_of_three_steps_are_pinned():
    """The numbers of the first three steps; they move only when learning is meant to change."""
    trainer = make_trainer(CONFIG)

    losses = [trainer.step().loss for _ in range(3)]

    assert losses == pytest.approx(PINNED, rel=1e-4)


def test_bfloat16_stays_close_and_leaves_weights_in_float32():
    """Under autocast the same rows give losses within 2 %; what is kept and published stays float32."""
    trainer = make_trainer(dataclasses.replace(CONFIG, precision="bfloat16"))

    losses = [trainer.step().loss for _ in range(3)]

    assert losses == pytest.approx(PINNED, rel=0.02)
    assert losses != PINNED
    assert {tensor.dtype for tensor in trainer.ema_head().values()} == {torch.float32}


def test_one_batch_is_overfitted():
    """A network can learn four rows by heart: the chunks it samples are the actions, where these carry loss."""
    network = make_network(0, FlowVlaConfig(channels=8, keypoints=8, feature_dim=8, width=128, blocks=2))
    network.freeze_backbone()
    algorithm = build_algorithm("hg_dagger", {})
    batch, weights_B = hand_batch(4), torch.ones(4)
    optimizer = torch.optim.AdamW(network.trainable().values(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(900):
        optimizer.zero_grad()
        noise = algorithm.draw_noise(network, 4, generator=generator)
        output = algorithm.loss(network, batch, weights_B, noise)
        (output.total / output.weight).backward()
        optimizer.step()

    sampled_BHA = network.sample_chunk(batch.features_BF, batch.state_BP, batch.language_BL, generator=generator)
    error_BH = (sampled_BHA - batch.actions_BHA).abs().mean(dim=2) * batch.valid_BH
    assert error_BH.sum().item() / batch.valid_BH.sum().item() < 0.1  # 0.5 before


def test_gradient_reaches_every_trainable_and_no_frozen_parameter():
    """After a few steps (zero-initialised gates open) every head parameter moves; the backbone has no gradient."""
    trainer = make_trainer(CONFIG)
    network = trainer._network
    frozen = {name: tensor.clone() for name, tensor in network.blob_state("backbone").items()}
    before = {name: value.detach().clone() for name, value in network.trainable().items()}
    for _ in range(3):
        trainer.step()

    for name, value in network.trainable().items():
        assert value.grad is not None, name
        assert float(value.grad.abs().sum()) > 0, name
        assert not torch.equal(value, before[name]), name
    for name, value in network.backbone.named_parameters():
        assert value.grad is None, name
    for name, tensor in network.blob_state("backbone").items():
        assert torch.equal(tensor, frozen[name]), name


def test_masked_actions_have_no_influence():
    """Whatever stands past a gate change, its loss is zero."""
    network, batch = make_network(), hand_batch()
    actions_BHA = batch.actions_BHA.clone()
    actions_BHA[0, 5:] = 0.123
    changed = ChunkBatch(
        features_BF=batch.features_BF,
        state_BP=batch.state_BP,
        language_BL=batch.language_BL,
        actions_BHA=actions_BHA,
        valid_BH=batch.valid_BH,
    )
    noise = network.draw_noise(8, generator=torch.Generator().manual_seed(5))
    losses = [network.chunk_losses(part, noise)[0, 5:] for part in (batch, changed)]
    assert losses[0].abs().sum().item() == 0 == losses[1].abs().sum().item()


def test_imitation_loss_is_the_weighted_mean_of_valid_actions():
    """By hand: rows of weights 1 and 3, the second half masked."""
    losses_BH = torch.tensor([[1.0, 3.0], [5.0, 0.0]])
    valid_BH = torch.tensor([[1.0, 1.0], [1.0, 0.0]])

    total, weight, rows_B = imitation_loss(losses_BH, valid_BH, torch.tensor([1.0, 3.0]))

    assert (float(total), float(weight)) == (1 + 3 + 3 * 5, 1 + 1 + 3)
    assert rows_B.tolist() == [2.0, 5.0]


def test_resume_equals_uninterrupted_to_the_bit():
    """Six steps with an ingest between, against the same with a fresh process's trainer restored half-way."""
    whole = make_trainer(CONFIG, manifests=4)
    for _ in range(3):
        whole.step()
    saved = whole.checkpoint(cursor=4)
    whole.ingest(some_manifests())
    expected = [whole.step().loss for _ in range(3)]

    resumed = make_trainer(CONFIG, seed=0, manifests=4)
    assert resumed.restore(saved) == 4
    assert resumed.checkpoint(cursor=4) == saved
    resumed.ingest(some_manifests())
    losses = [resumed.step().loss for _ in range(3)]

    assert losses == expected
    assert resumed.checkpoint(cursor=6) == whole.checkpoint(cursor=6)


def test_another_architecture_is_refused_and_nothing_changes():
    """A checkpoint of a wider network does not load, and the trainer goes on as before."""
    config = FlowVlaConfig(channels=8, keypoints=8, feature_dim=8, width=48, blocks=2)
    other = build_trainer(make_network(0, config), MemoryEpisodes(), CONFIG)
    trainer, twin = make_trainer(CONFIG), make_trainer(CONFIG)

    with pytest.raises(CheckpointMismatch, match="config"):
        trainer.restore(other.checkpoint(cursor=0))
    with pytest.raises(CheckpointMismatch, match="parse"):
        trainer.restore(b"\x80\x04 this is a pickle")
    with pytest.raises(CheckpointMismatch, match="backbone"):
        trainer.restore(make_trainer(CONFIG, seed=3).checkpoint(cursor=0))

    assert trainer.step().loss == twin.step().loss


def test_nan_refuses_the_step_and_the_publish():
    """A loss that is not finite leaves weights and EMA as they were; non-finite weights are never packaged."""
    trainer = make_trainer(CONFIG)
    trainer.step()
    before = {name: tensor.clone() for name, tensor in trainer.ema_head().items()}
    trainer._network.get_buffer("backbone.action_std").fill_(float("nan"))

    with pytest.raises(NonFiniteLoss):
        trainer.step()

    assert trainer.gradient_steps == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.ema_head().items())
    next(iter(trainer._ema.values())).fill_(float("nan"))
    with pytest.raises(Exception, match="NaN"):
        trainer.artifact(run_id=None, parent_id=None)


def test_an_infinite_gradient_of_a_finite_loss_refuses_the_step():
    """Weights, EMA and optimiser stay as they were, and the error says that it was the gradient."""
    trainer = make_trainer(CONFIG)
    trainer.step()
    before = _tensors(trainer.checkpoint(cursor=0))
    parameter = next(iter(trainer._parameters.values()))
    parameter.register_hook(lambda gradient: gradient * float("inf"))

    with pytest.raises(NonFiniteLoss, match="gradient norm"):
        trainer.step()

    after = _tensors(trainer.checkpoint(cursor=0))
    assert trainer.gradient_steps == 1
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if name != "rng.torch")


def _tensors(data: bytes) -> dict[str, torch.Tensor]:
    return decode_checkpoint(data)[1]


def test_summary_reports_every_source_once():
    """Losses by task and source, sizes and ratios of both tasks; empty afterwards."""
    trainer = make_trainer(CONFIG)
    for _ in range(4):
        trainer.step()

    summary = trainer.summary()

    assert (summary.step, summary.steps) == (4, 4)
    assert set(summary.losses) == {"bin-picking/online", "bin-picking/offline", "box-close/offline"}
    assert {ratio.task: ratio.online_frames for ratio in summary.ratios} == {"bin-picking": 50, "box-close": 0}
    assert trainer.summary().steps == 0


def test_ingest_is_idempotent_and_payloads_are_lazy():
    """An episode added twice is there once; first-sampled ids are told once."""
    trainer = make_trainer(CONFIG)
    assert trainer.ingest(some_manifests()) == 0
    assert trainer.replay.take_first_sampled() == []
    for _ in range(20):
        trainer.step()
    assert sorted(trainer.replay.take_first_sampled()) == sorted(m.episode_id for m in some_manifests())
    assert trainer.replay.take_first_sampled() == []


def test_a_small_cache_changes_disk_use_not_learning():
    """With room for one episode payloads are read again and again, and the losses are the same."""
    small = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, cache_bytes=10_000))
    tight, roomy = make_trainer(small), make_trainer(CONFIG)

    losses = [(tight.step().loss, roomy.step().loss) for _ in range(3)]

    assert all(a == b for a, b in losses)
    for trainer in (tight, roomy):
        trainer.replay.settle()
    assert tight.replay.metrics()["cache/episodes"] < roomy.replay.metrics()["cache/episodes"] == 6
    assert tight.replay.metrics()["cache/loads"] > 6


def test_config_refuses_unknown_keys_and_bad_values():
    """Keys are refused with their path, at every depth; so are values of wrong types and impossible ones."""
    read = from_mapping(RunConfig, {"seed": 3, "optim": {"batch_size": 8}, "algorithm_config": {"mask": "sirius"}})
    assert (read.seed, read.optim.batch_size, read.optim.ema_decay) == (3, 8, 0.995)
    with pytest.raises(ConfigError, match=r"config\.optim: unknown key 'lr'"):
        from_mapping(RunConfig, {"optim": {"lr": 1.0}})
    with pytest.raises(ConfigError, match="batch_size"):
        from_mapping(RunConfig, {"optim": {"batch_size": 0}})
    with pytest.raises(ConfigError, match="seed"):
        from_mapping(RunConfig, {"seed": "three"})
    with pytest.raises(ConfigError, match="mask"):
        build_algorithm("hg_dagger", {"mask": "everything"})
    with pytest.raises(ConfigError, match="unknown"):
        build_algorithm("ppo", {})


def test_two_halves_of_a_batch_are_the_batch():
    """Equal generators and halves of the rows give the rows of the whole, each with its own episodes' payloads."""
    draws = [Draw("box-close", False), Draw("bin-picking", True), Draw("bin-picking", False), Draw("box-close", False)]
    replay = make_trainer(CONFIG).replay

    def drawn(own: slice) -> Rows:
        rng = np.random.default_rng(3)
        return replay.take(replay.look(draws, rng, own=own), rng)

    whole, first, second = drawn(slice(None)), drawn(slice(0, 2)), drawn(slice(2, 4))

    assert first.frames + second.frames == whole.frames
    assert np.array_equal(np.concatenate([first.actions_BHA, second.actions_BHA]), whole.actions_BHA)
    assert first.valid_BH.shape == second.valid_BH.shape == (2, 12)


def test_a_compiled_loss_is_the_same_loss(monkeypatch: pytest.MonkeyPatch):
    """The loss is traced whole (a break in the graph is an error) and gives the same numbers.

    Traced by torch.compile, run without its C++ backend: that took 33 s of CPU from cold, and gave losses within 1e-7.
    """
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager", fullgraph=True))
    compiled, plain = make_trainer(dataclasses.replace(CONFIG, compile=True)), make_trainer(CONFIG)

    losses = [(compiled.step().loss, plain.step().loss) for _ in range(3)]

    assert all(a == pytest.approx(b, rel=1e-6) for a, b in losses)


def test_a_parameter_that_no_gradient_reached_resumes_without_moments():
    """A head with a part that the loss does not use yet: the optimiser knows nothing of it, before and after."""

    def make() -> Trainer:
        network = make_network()
        network.head.register_parameter("spare", torch.nn.Parameter(torch.ones(3)))
        trainer = build_trainer(network, MemoryEpisodes(), CONFIG)
        trainer.ingest(some_manifests())
        return trainer

    whole, resumed = make(), make()
    whole.step()
    resumed.step()
    resumed.step()  # must leave no trace
    resumed.restore(whole.checkpoint(cursor=0))

    assert resumed.step().loss == whole.step().loss
    assert resumed.checkpoint(cursor=0) == whole.checkpoint(cursor=0)
