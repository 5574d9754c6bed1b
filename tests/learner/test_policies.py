"""What the networks see: every camera that the manifest names, and no other."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from fleet.protocol.errors import ProbeFailed
from fleet.protocol.policy import CameraSpec, DoubtingPolicy, Observation
from learner.policies.architectures.flow_vla import FlowVla
from learner.policies.architectures.flow_vla_tokens import FlowVlaTokens, TokensConfig
from learner.policies.base import NetworkPolicy, PolicyShapes
from learner.policies.language import embed_instruction
from learner.policies.layers import downsample
from learner.policies.registry import build_network
from learner.trainer import build_trainer
from tests.learner.hand_made import SHAPES, SMALL, MemoryEpisodes, make_network
from tests.learner.recap_made import manifests, run_config

TWO: PolicyShapes = msgspec.structs.replace(
    SHAPES, cameras=(*SHAPES.cameras, CameraSpec(name="wrist", height=64, width=64))
)


def images(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        camera.name: torch.randint(0, 255, (2, camera.height, camera.width, 3), dtype=torch.uint8, generator=generator)
        for camera in TWO.cameras
    }


def two_camera_network() -> FlowVla:
    torch.manual_seed(0)
    return FlowVla(SMALL, TWO)


def observation(network: FlowVla, seed: int = 0) -> Observation:
    return Observation(
        images={name: image[0].numpy() for name, image in images(seed).items()},
        state=np.zeros(network.shapes.proprio_dim, dtype=np.float32),
    )


def test_the_features_of_one_camera_are_the_encoders_and_its_points():
    """As before there were several: features, then scene points; a camera that the network does not know is ignored."""
    network, language_BL = make_network(), torch.randn(2, 64, generator=torch.Generator().manual_seed(3))
    seen = images()

    features_BF = network.encode(seen, language_BL)

    with torch.no_grad():
        expected = torch.cat(network.backbone.encoder(downsample(seen["front"]), language_BL), dim=1)
    assert torch.equal(features_BF, expected)


def test_a_further_camera_adds_its_features_and_changes_no_others():
    """One encoder for all: its blob is that of a one-camera network; the first camera's columns stay what they are."""
    network, language_BL = two_camera_network(), torch.zeros(2, 64)
    seen, other = images(0), images(1)

    features_BF = network.encode(seen, language_BL)
    moved_BF = network.encode({**seen, "wrist": other["wrist"]}, language_BL)

    own = SMALL.feature_dim + SMALL.label_dim
    assert features_BF.shape == (2, own + SMALL.feature_dim)
    assert torch.equal(features_BF[:, :own], moved_BF[:, :own])
    assert not torch.equal(features_BF[:, own:], moved_BF[:, own:])
    assert network.tensor_specs("backbone") == make_network().tensor_specs("backbone")


def test_a_robot_gives_every_camera_or_is_refused():
    """The chunk depends on the second camera's picture; without it, or with another size, there is no chunk."""
    network = two_camera_network()
    policy = NetworkPolicy(network, device="cpu")
    seen = observation(network)

    def infer(pictures: dict[str, Any]) -> np.ndarray[Any, Any]:
        policy.reset(instruction="close the box", seed=3)
        return policy.infer(msgspec.structs.replace(seen, images=pictures)).actions

    whole = infer(seen.images)
    other = infer({**seen.images, "wrist": observation(network, seed=1).images["wrist"]})
    assert not np.array_equal(whole, other)
    for pictures in ({"front": seen.images["front"]}, {**seen.images, "wrist": seen.images["front"]}):
        with pytest.raises(ProbeFailed, match="wrist"):
            infer(pictures)


def test_disagreement_measures_the_samples_and_changes_no_action():
    """A policy without noise agrees with itself; one with noise differs more with more noise, the same for a seed; what
    it then does is what it would have done unasked."""
    found = {}
    for noise in (0.0, 0.1, 0.5):
        network = make_network(config=msgspec.structs.replace(SMALL, initial_noise=noise))
        policy = NetworkPolicy(network, device="cpu")
        assert isinstance(policy, DoubtingPolicy)
        seen = observation(network)
        policy.reset(instruction="close the box", seed=3)
        unasked = [policy.infer(seen).actions for _ in range(2)]
        policy.reset(instruction="close the box", seed=3)
        first = policy.infer(seen).actions
        found[noise] = policy.disagreement(seen, samples=16)
        assert np.array_equal(unasked, [first, policy.infer(seen).actions])
        policy.reset(instruction="close the box", seed=3)
        assert policy.disagreement(seen, samples=16) == found[noise]
    assert found[0.0] < 1e-6
    assert 0.001 < found[0.1] < found[0.5] < 1.0


def test_disagreement_is_the_deviation_over_the_executed_actions():
    """Samples that differ by 2 on one of four axes have a mean deviation of a quarter of 1."""

    class Coin(FlowVla):
        def sample_chunk(self, features_BF: Any, *rest: Any, generator: torch.Generator) -> torch.Tensor:
            chunk_BHA = torch.zeros(len(features_BF), 12, 4)
            chunk_BHA[1::2, : self.execute_steps, 0] = 1.0
            chunk_BHA[::2, : self.execute_steps, 0] = -1.0
            chunk_BHA[:, self.execute_steps :] = generator.initial_seed()  # not executed, so it does not count
            return chunk_BHA

    policy = NetworkPolicy(Coin(SMALL, SHAPES), device="cpu")
    seen = observation(make_network())
    assert policy.disagreement(seen, samples=8) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="2 samples"):
        policy.disagreement(seen, samples=1)


def test_cameras_that_the_encoder_cannot_take_are_refused():
    """No camera at all, or a second one whose sides differ."""
    for cameras, named in (
        ((), "at least one"),
        ((*SHAPES.cameras, CameraSpec(name="wide", height=64, width=128)), "wide"),
    ):
        with pytest.raises(ValueError, match=named):
            FlowVla(SMALL, msgspec.structs.replace(SHAPES, cameras=cameras))


def tokens_network(**changes: Any) -> FlowVlaTokens:
    torch.manual_seed(0)
    small = {**msgspec.structs.asdict(SMALL), "vocabulary": 64, "max_words": 4, "text_width": 8}
    return FlowVlaTokens(TokensConfig(**(small | changes)), SHAPES)


def test_tokens_are_words_in_order():
    """The hashed vector comes first; then the begin mark, a number a word, and padding; what is too long is cut."""
    network = tokens_network()

    rows = {
        text: network.embed(text) for text in ("close the box", "Close, the box!", "box the close", "", "a b c d e")
    }

    ids = {text: row[64:].tolist() for text, row in rows.items()}
    assert np.array_equal(rows["close the box"][:64], embed_instruction("close the box"))
    assert ids["close the box"] == ids["Close, the box!"]
    assert ids["close the box"][1:4] == ids["box the close"][3:0:-1]
    assert ids[""] == [1, 0, 0, 0, 0]
    assert all(2 <= number < 64 for number in ids["a b c d e"][1:])


def test_the_head_hears_word_order_and_the_encoder_does_not():
    """Hashed words are a bag: the frozen features of both orders are equal; the trained encoder tells them apart."""
    network = tokens_network()
    state_BP = torch.zeros(1, 8)
    one, other = (torch.tensor(network.embed(text))[None] for text in ("box on shelf", "shelf on box"))
    seen = {"front": images()["front"][:1]}

    features = [network.encode(seen, language_BL) for language_BL in (one, other)]
    chunks = [
        network.sample_chunk(features[0], state_BP, language_BL, generator=torch.Generator().manual_seed(0))
        for language_BL in (one, other)
    ]

    assert torch.allclose(features[0], features[1], atol=1e-6)
    assert not torch.allclose(chunks[0], chunks[1], atol=1e-6)


def test_padding_says_nothing():
    """An instruction sounds the same whatever the number of words there would be room for."""
    text = tokens_network().head.get_submodule("text")
    ids_BW = torch.tensor([[1, 5, 9, 0, 0]])
    with torch.no_grad():
        heard_BL = text(ids_BW)
        text.get_parameter("positions")[3:] += 100.0
        text.get_submodule("tokens").get_parameter("weight")[0] += 100.0
        assert torch.equal(text(ids_BW), heard_BL)


def test_impossible_vocabularies_are_refused():
    """Ids that float32 could not count, and no room for a word."""
    for changes in ({"vocabulary": 2}, {"vocabulary": 2**24 + 1}, {"max_words": 0}):
        with pytest.raises(ValueError, match="vocabulary"):
            tokens_network(**changes)


def test_recap_trains_the_network_with_tokens():
    """Told of worth it is an architecture of its own that acts as the base until it is trained, then is published and
    built again; adding an indicator to it changes its guidance alone."""
    base = tokens_network()
    trainer = build_trainer(base, MemoryEpisodes(), run_config())
    trainer.ingest(manifests())
    told = trainer.network
    language_BL = torch.tensor(base.embed("close the box"))[None]
    inputs = (torch.zeros(1, 17), torch.zeros(1, 8), language_BL)
    chunks = [part.sample_chunk(*inputs, generator=torch.Generator().manual_seed(1)) for part in (base, told)]
    assert torch.equal(*chunks)
    for _ in range(2):
        trainer.step()

    assert told.architecture == "flow_vla_tokens_indicator.v1"
    again = build_network(told.architecture, told.config_dict(), told.shapes)
    assert again.tensor_specs("head") == told.tensor_specs("head")
    assert again.tensor_specs("backbone") == base.tensor_specs("backbone")
    guided = told.with_indicator(guidance=2.0)
    assert guided.config_dict() == told.config_dict() | {"guidance": 2.0}
    assert all(torch.equal(tensor, guided.blob_state("head")[name]) for name, tensor in told.blob_state("head").items())
