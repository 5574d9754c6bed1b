"""The network that is told of an action's worth: guidance, publishing, and what it learns."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch

from fleet.protocol.policy import Observation
from learner.config import RunConfig
from learner.policies.architectures.flow_vla_indicator import add_indicator
from learner.policies.base import ChunkBatch, Indicator, PolicyNetwork
from learner.policies.registry import load_policy
from learner.publisher import read_policy_directory, write_policy_directory
from learner.trainer import build_trainer
from tests.learner.hand_made import MemoryEpisodes, make_network
from tests.learner.recap_made import make_trainer, run_config


def sample(network: PolicyNetwork) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    inputs = [torch.randn(3, size, generator=generator) for size in (17, 8, 64)]
    return network.sample_chunk(*inputs, generator=generator)


def test_an_untrained_indicator_acts_as_the_base_at_any_guidance():
    """The new maps are zero: same chunks to the bit with one pass, and the same but for rounding with two."""
    base = make_network()
    assert torch.equal(sample(base), sample(base.with_indicator(guidance=1.0)))
    assert torch.allclose(sample(base), sample(base.with_indicator(guidance=2.0)), atol=1e-5)


def test_guidance_of_one_is_one_pass_and_more_goes_beyond():
    """beta = 1 equals the two-pass formula with one pass a flow step; beta = 2 is v0 + 2 (v1 - v0), in two."""
    network = make_network().with_indicator(guidance=1.0)
    with torch.no_grad():
        network.head.get_parameter("indicator.weight")[:32] = torch.linspace(-1, 1, 32 * 32).view(32, 32)
        network.head.get_parameter("indicator.bias")[:32] = torch.linspace(-1, 1, 32)
    guided = network.with_indicator(guidance=2.0)
    generator = torch.Generator().manual_seed(2)
    context_BD, x_BX = (torch.randn(3, size, generator=generator) for size in (32, 48))
    time_B = torch.rand(3, generator=generator)
    with torch.no_grad():
        untold_BX = network.head(context_BD, x_BX, time_B)
        shift_BD = network.head.get_submodule("indicator")(context_BD)[:, :32]
        told_BX = network.head(context_BD + shift_BD, x_BX, time_B)
        assert torch.equal(network._acting_velocity(context_BD, x_BX, time_B), told_BX)
        assert torch.allclose(guided._acting_velocity(context_BD, x_BX, time_B), 2 * told_BX - untold_BX, atol=1e-6)

    passes: list[int] = []
    for part, wanted in ((network, 4), (guided, 8)):
        handle = part.head.register_forward_hook(lambda *_: passes.append(1))
        sample(part)
        handle.remove()
        assert len(passes) == wanted
        passes.clear()


def test_a_published_policy_carries_its_guidance(tmp_path: Path):
    """The manifest names architecture and beta, the backbone is the base's blob, and a robot can load and run it."""
    trainer = make_trainer(run_config(guidance=1.5))
    trainer.step()
    artifact = trainer.artifact(run_id=None, parent_id=None)
    write_policy_directory(artifact, tmp_path)
    base = build_trainer(make_network(), MemoryEpisodes(), RunConfig()).artifact(run_id=None, parent_id=None)

    manifest, network = read_policy_directory(tmp_path)
    assert (manifest.architecture, manifest.config["guidance"]) == ("flow_vla_indicator.v2", 1.5)
    assert manifest.blobs[0].sha256 == base.manifest.blobs[0].sha256
    assert torch.equal(sample(network), sample(add_indicator(network, guidance=1.5)))
    policy = load_policy(manifest, {sha256: tmp_path / f"{sha256}.safetensors" for sha256 in artifact.blobs})
    policy.reset(instruction="close the box", seed=1)
    image = np.zeros((128, 128, 3), dtype=np.uint8)
    assert policy.infer(Observation(images={"front": image}, state=np.zeros(8, dtype=np.float32))).actions.shape == (
        12,
        4,
    )


def test_the_network_tells_the_indicators_apart():
    """Once trained, the loss depends on the indicator; a batch that says nothing is taken as positive."""
    trainer = make_trainer()
    for _ in range(5):
        trainer.step()
    generator = torch.Generator().manual_seed(11)
    batch = ChunkBatch(
        features_BF=torch.randn(4, 17, generator=generator),
        state_BP=torch.randn(4, 8, generator=generator),
        language_BL=torch.randn(4, 64, generator=generator),
        actions_BHA=torch.rand(4, 12, 4, generator=generator),
        valid_BH=torch.ones(4, 12),
    )
    noise = trainer.network.draw_noise(4, generator=torch.Generator().manual_seed(5))
    losses = {}
    for code in (None, *Indicator):
        told = msgspec.structs.replace(batch, indicator_B=None if code is None else torch.full((4,), int(code)))
        losses[code] = trainer.network.chunk_losses(told, noise)

    assert torch.equal(losses[None], losses[Indicator.POSITIVE])
    assert not torch.equal(losses[Indicator.POSITIVE], losses[Indicator.NEGATIVE])
    assert not torch.equal(losses[Indicator.POSITIVE], losses[Indicator.NONE])


def test_what_is_good_may_be_opposite_in_two_states():
    """In one state the positive action is +.5 and the negative -.5, in the other the reverse: acting follows the
    positive one in both. A network without use of the indicator gives the mean of each state, 0; one vector an
    indicator, added whatever the state, had come to .07 and .10 after 150 steps."""
    network = make_network().with_indicator(guidance=1.0)
    network.freeze_backbone()
    optimizer = torch.optim.AdamW(network.trainable().values(), lr=1e-3)
    generator = torch.Generator().manual_seed(2)
    inputs = [torch.randn(2, size, generator=generator).repeat_interleave(16, dim=0) for size in (17, 8, 64)]
    indicator_B = torch.tensor([Indicator.POSITIVE, Indicator.NEGATIVE]).repeat(16)
    sign_B = torch.where(indicator_B == Indicator.POSITIVE, 1.0, -1.0) * torch.tensor([1.0, -1.0]).repeat_interleave(16)
    batch = ChunkBatch(
        features_BF=inputs[0],
        state_BP=inputs[1],
        language_BL=inputs[2],
        actions_BHA=(0.5 * sign_B)[:, None, None].expand(32, 12, 4),
        valid_BH=torch.ones(32, 12),
        indicator_B=indicator_B,
    )
    for _ in range(100):
        loss = network.chunk_losses(batch, network.draw_noise(32, generator=generator)).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    first_BHA, second_BHA = network.sample_chunk(*inputs, generator=generator).split(16)
    assert float(first_BHA.mean()) > 0.3
    assert float(second_BHA.mean()) < -0.3
