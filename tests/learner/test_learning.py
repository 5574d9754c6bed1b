"""What every architecture and every algorithm must show on hand-made rows: gradient, loss to the digit, overfitting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from fleet.protocol.recording import EpisodeManifest, Origin, StepArrays
from learner.algorithms.base import Algorithm, build_algorithm
from learner.algorithms.recap.config import ValueConfig
from learner.algorithms.recap.losses import BINS, value_loss
from learner.algorithms.recap.value import fit_value
from learner.checkpoint import CheckpointMismatch
from learner.config import RunConfig
from learner.policies.base import ChunkBatch, Indicator, NetworkPolicy, PolicyNetwork
from learner.policies.registry import architectures, build_network
from learner.pretrain import MIN_STD, _fit_statistics
from learner.trainer import build_trainer
from tests.learner.hand_made import SHAPES, SMALL, TELEOP, MemoryEpisodes, make_manifest, make_network, make_steps

INSTRUCTIONS = ("close the box", "put the block on the shelf", "move the block to the other bin", "close the lid")
ALGORITHMS = ("hg_dagger", "recap")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bits depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_network(architecture: str, **changes: Any) -> PolicyNetwork:
    torch.manual_seed(0)
    network = build_network(architecture, msgspec.structs.asdict(SMALL) | changes, SHAPES)
    network.freeze_backbone()
    return network


def hand_batch(network: PolicyNetwork, rows: int = 8) -> ChunkBatch:
    """Random rows whose instructions the network embeds itself; every indicator occurs, and one chunk is cut."""
    generator = torch.Generator().manual_seed(11)
    valid_BH = torch.ones(rows, 12)
    valid_BH[0, 5:] = 0
    instructions = [network.embed(INSTRUCTIONS[k % len(INSTRUCTIONS)]) for k in range(rows)]
    return ChunkBatch(
        features_BF=torch.randn(rows, 17, generator=generator),
        state_BP=torch.randn(rows, 8, generator=generator),
        language_BL=torch.from_numpy(np.stack(instructions)),
        actions_BHA=torch.rand(rows, 12, 4, generator=generator) * 2 - 1,
        valid_BH=valid_BH,
        indicator_B=torch.tensor([Indicator.POSITIVE, Indicator.NEGATIVE, Indicator.NONE]).repeat(rows)[:rows],
    )


@pytest.mark.parametrize("architecture", architectures())
def test_every_trainable_parameter_gets_a_gradient_and_no_frozen_one_does(architecture: str):
    """At the third step (gates and maps that start at zero let nothing through at the first); no tensor of the frozen
    blob is a parameter that could move, and the two blobs share none."""
    network = small_network(architecture)
    frozen = {name: tensor.clone() for name, tensor in network.blob_state("backbone").items()}
    optimizer = torch.optim.AdamW(network.trainable().values(), lr=1e-3)
    batch, generator = hand_batch(network), torch.Generator().manual_seed(0)
    for _ in range(3):
        optimizer.zero_grad()
        network.chunk_losses(batch, network.draw_noise(8, generator=generator)).sum().backward()
        optimizer.step()

    for name, parameter in network.trainable().items():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.backbone.parameters())
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in network.blob_state("backbone").items())
    assert set(network.trainable()) == set(network.blob_state("head"))


@pytest.mark.parametrize("architecture", architectures())
def test_the_loss_is_pi0s_to_the_digit(architecture: str):
    """Flow matching against numpy: a head whose last layer is a constant c predicts that velocity whatever it sees, so
    the loss of an action is the mean of (c - (a - e))^2 over its numbers and flow times, a in normalised units."""
    network = small_network(architecture)
    mean_A, std_A = np.array([0.1, -0.2, 0.0, 0.3]), np.array([0.5, 0.25, 1.0, 2.0])
    network.backbone.get_buffer("action_mean").copy_(torch.from_numpy(mean_A))
    network.backbone.get_buffer("action_std").copy_(torch.from_numpy(std_A))
    with torch.no_grad():
        network.head.get_parameter("leave.weight").zero_()
        network.head.get_parameter("leave.bias").fill_(0.25)
    batch = hand_batch(network)
    noise = network.draw_noise(8, generator=torch.Generator().manual_seed(3))

    losses_BH = network.chunk_losses(batch, noise).detach().numpy()

    actions_BHA = (batch.actions_BHA.numpy() - mean_A) / std_A
    flow_BSHA = noise["flow"].numpy().reshape(8, SMALL.flow_samples, 12, 4)
    errors = (0.25 - (actions_BHA[:, None] - flow_BSHA)) ** 2
    expected_BH = errors.mean(axis=(1, 3)) * batch.valid_BH.numpy()
    assert losses_BH == pytest.approx(expected_BH, rel=1e-4)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_loss_of_an_algorithm_by_hand(name: str):
    """Two rows of losses 1 and 3 an action, the second cut to a quarter, weights 1 and 2: (12 * 1 + 3 * 3 * 2) over
    (12 + 3 * 2). RECAP adds which rows keep their indicator: those whose draw is not below .3."""

    class Told:
        indicators: list[list[int]] = []

        def chunk_losses(self, batch: ChunkBatch, noise: dict[str, torch.Tensor]) -> torch.Tensor:
            if batch.indicator_B is not None:
                self.indicators.append(batch.indicator_B.tolist())
            return torch.tensor([[1.0], [3.0]]) * batch.valid_BH

    valid_BH = torch.ones(2, 12)
    valid_BH[1, 3:] = 0
    network: Any = Told()
    batch = ChunkBatch(
        features_BF=torch.zeros(2, 1),
        state_BP=torch.zeros(2, 1),
        language_BL=torch.zeros(2, 1),
        actions_BHA=torch.zeros(2, 12, 1),
        valid_BH=valid_BH,
        indicator_B=torch.tensor([Indicator.POSITIVE, Indicator.NEGATIVE]),
    )

    output = build_algorithm(name, {}).loss(
        network, batch, torch.tensor([1.0, 2.0]), {"dropout": torch.tensor([0.29, 0.31])}
    )

    assert (float(output.total), float(output.weight)) == (30.0, 18.0)
    assert output.row_losses_B.tolist() == [1.0, 3.0]
    wanted = [Indicator.NONE, Indicator.NEGATIVE] if name == "recap" else [Indicator.POSITIVE, Indicator.NEGATIVE]
    assert network.indicators == [wanted]


def test_the_loss_of_the_value_function_by_hand():
    """A return of -.4975 lies between bins 100 and 101: the cross-entropy is minus the mean of their log-probabilities;
    -1 is bin 0 alone. Against numpy."""
    logits = np.random.default_rng(0).normal(size=(2, BINS)).astype(np.float32)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -np.mean([0.5 * log_p[0, 100] + 0.5 * log_p[0, 101], log_p[1, 0]])

    found = value_loss(torch.from_numpy(logits), torch.tensor([-0.4975, -1.0]))

    assert float(found) == pytest.approx(expected, rel=1e-4)


def told_network(algorithm: Algorithm) -> PolicyNetwork:
    network = algorithm.prepare(small_network("flow_vla.v1", width=64))
    network.freeze_backbone()
    return network


def test_recap_overfits_one_batch_and_acts_as_the_positive_rows():
    """Four rows by heart, two of them negative twins of the others with the opposite action: what it samples are the
    positive rows' actions."""
    algorithm = build_algorithm("recap", {"dropout": 0.0})
    network = told_network(algorithm)
    half = hand_batch(network, 2)
    batch = ChunkBatch(
        features_BF=half.features_BF.repeat(2, 1),
        state_BP=half.state_BP.repeat(2, 1),
        language_BL=half.language_BL.repeat(2, 1),
        actions_BHA=torch.cat([half.actions_BHA, -half.actions_BHA]),
        valid_BH=half.valid_BH.repeat(2, 1),
        indicator_B=torch.tensor([Indicator.POSITIVE, Indicator.POSITIVE, Indicator.NEGATIVE, Indicator.NEGATIVE]),
    )
    optimizer = torch.optim.AdamW(network.trainable().values(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(350):
        optimizer.zero_grad()
        noise = algorithm.draw_noise(network, 4, generator=generator)
        output = algorithm.loss(network, batch, torch.ones(4), noise)
        (output.total / output.weight).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    sampled_BHA = network.sample_chunk(half.features_BF, half.state_BP, half.language_BL, generator=generator)
    error_BH = (sampled_BHA - half.actions_BHA).abs().mean(dim=2) * half.valid_BH
    assert error_BH.sum().item() / half.valid_BH.sum().item() < 0.2  # 0.5 before


class Constant(MemoryEpisodes):
    """Episodes of a robot whose first joint never moves and whose first command is always the same."""

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        columns = make_steps(manifest)
        for name, value in (("observation.state", 0.5), ("action", 0.25)):
            columns[name] = columns[name].copy()
            columns[name][:, 0] = value
        return columns


def test_statistics_without_variance_get_a_floor_and_everything_stays_finite():
    """A joint that never moved in the demonstrations moves on the robot: the chunk is finite, and so is the loss."""
    demonstration = make_manifest("constant", [(30, TELEOP)], origin=Origin.DEMONSTRATION)
    network = make_network()
    _fit_statistics(network, Constant(), [demonstration])
    assert float(network.backbone.get_buffer("state_std")[0]) == pytest.approx(MIN_STD["state"])
    assert float(network.backbone.get_buffer("action_std")[0]) == pytest.approx(MIN_STD["action"])

    trainer = build_trainer(network, Constant(), RunConfig())
    trainer.ingest([demonstration])
    assert np.isfinite([trainer.step().loss for _ in range(3)]).all()
    chunk_BHA = network.sample_chunk(
        torch.zeros(1, 17), torch.full((1, 8), 1000.0), torch.zeros(1, 64), generator=torch.Generator().manual_seed(0)
    )
    assert bool(torch.isfinite(chunk_BHA).all())
    assert NetworkPolicy(network, device="cpu").execute_steps == 6


def test_a_value_function_of_constant_inputs_gives_the_mean_return():
    """Nothing to tell states apart by, and one column that does not vary at all: V is the mean, not NaN."""
    value = fit_value(
        torch.full((64, 3), 7.0),
        torch.tensor([-0.25, -0.75]).repeat(32),
        ValueConfig(steps=200, width=16, batch_size=64, learning_rate=1e-2),
        generator=torch.Generator().manual_seed(0),
    )
    assert value.values(torch.full((1, 3), 7.0)).tolist() == pytest.approx([-0.5], abs=0.02)
    assert value.values(torch.full((1, 3), 1e6)).isfinite().all()


def test_a_checkpoint_of_the_same_backbone_in_another_architecture_is_refused():
    """The tokens' head on the same encoder is another policy: its checkpoint says so by name."""
    tokens = small_network("flow_vla_tokens.v1", vocabulary=64)
    hashed = small_network("flow_vla.v1")
    hashed.backbone.load_state_dict(tokens.blob_state("backbone"))
    donor = build_trainer(tokens, MemoryEpisodes(), RunConfig())
    with pytest.raises(CheckpointMismatch, match=r"another architecture: 'flow_vla_tokens\.v1', wanted"):
        build_trainer(hashed, MemoryEpisodes(), RunConfig()).restore(donor.checkpoint(cursor=0))
