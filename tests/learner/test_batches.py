"""The next batch is drawn and read while the trainer computes, and nobody can tell from what it learns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fleet.protocol.recording import EpisodeManifest, StepArrays
from learner.config import DataConfig, OptimConfig, RunConfig
from learner.data.batches import Batches
from learner.data.feature_store import FeatureStore
from learner.data.limits import Provenance
from learner.data.replay import Replay
from learner.trainer import Trainer, build_trainer
from tests.learner.hand_made import TELEOP, MemoryEpisodes, make_manifest, make_network, make_trainer, some_manifests

CONFIG = RunConfig(optim=OptimConfig(batch_size=12))
WAIT_S = 20.0  # for another thread; never reached


class Unplugged(MemoryEpisodes):
    """A source that can be cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        if self.is_down:
            raise ConnectionError("the store does not answer")
        return super().steps(manifest)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name of the thread of every look, in their order."""
    found: list[str] = []
    real = Replay.look

    def look(*arguments: Any, **named: Any) -> Any:
        found.append(threading.current_thread().name)
        return real(*arguments, **named)

    monkeypatch.setattr(Replay, "look", look)
    return found


def corrected(k: int) -> EpisodeManifest:
    return make_manifest(f"corrected {k}", [(20, TELEOP)], task="bin-picking")


def eventful(after_step: Callable[[Trainer], None] = lambda trainer: None) -> tuple[list[float], bytes]:
    """Twelve steps between which episodes arrive, push others over the capacity, and age with their policies."""
    config = RunConfig(
        optim=OptimConfig(batch_size=12), data=DataConfig(capacity_frames=60, max_policy_age_steps=5), seed=3
    )
    trainer = build_trainer(make_network(), MemoryEpisodes(), config)
    trainer.ingest(some_manifests())
    losses = []
    for step in range(12):
        if step in (2, 3, 7):
            arrived = corrected(step)
            trainer.ingest([arrived], {arrived.episode_id: Provenance(policy_step=step - 1)})
        losses.append(trainer.step().loss)
        after_step(trainer)
    return losses, trainer.checkpoint(cursor=9)


def test_what_is_learned_is_that_of_drawing_when_asked(monkeypatch: pytest.MonkeyPatch):
    """Losses and checkpoint, to the bit, though some of what was drawn ahead had to be dropped."""
    ahead = eventful()
    monkeypatch.setattr(Batches, "look_ahead", lambda batches: None)
    assert eventful() == ahead


def test_a_checkpoint_knows_nothing_of_what_is_ahead():
    """The same bytes whether or not the next batch is there already; taking it changes nothing that follows."""
    undisturbed = eventful()
    assert eventful(lambda trainer: trainer.checkpoint(cursor=0) and None) == undisturbed

    whole = make_trainer(CONFIG)
    for _ in range(3):
        whole.step()
    saved = whole.checkpoint(cursor=1)
    after = [whole.step().loss for _ in range(3)]
    whole.restore(saved)  # with a batch of the later steps ahead
    assert whole.checkpoint(cursor=1) == saved
    assert [whole.step().loss for _ in range(3)] == after


def test_one_look_a_step_unless_the_buffers_change(looks: list[str]):
    """The first batch is drawn when asked, later ones ahead; after an episode's arrival one is drawn anew."""
    trainer = make_trainer(CONFIG)
    for _ in range(4):
        trainer.step()
    trainer.replay.settle()
    until_s = time.monotonic() + WAIT_S
    while len(looks) < 5:  # what is ahead is drawn from the buffers as they are now
        assert time.monotonic() < until_s
        time.sleep(0.001)
    trainer.ingest([corrected(0)])
    trainer.step()

    main = threading.current_thread().name
    asked = [k for k, name in enumerate(looks) if name == main]
    assert asked == [0, 5]
    assert all(name.startswith("batch-ahead") for name in looks[1:5])


def test_a_step_ends_while_the_next_batch_is_still_read(monkeypatch: pytest.MonkeyPatch):
    """Reading blocks in the background until the step is over: waiting for it would never end."""
    trainer = make_trainer(CONFIG)
    trainer.replay.settle()
    is_over, real = threading.Event(), FeatureStore.rows

    def rows(*arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            assert is_over.wait(WAIT_S)
        return real(*arguments)

    monkeypatch.setattr(FeatureStore, "rows", rows)
    trainer.step()
    assert not is_over.is_set()
    is_over.set()
    assert np.isfinite(trainer.step().loss)


def test_a_source_that_fails_ahead_fails_the_step_that_needs_it(monkeypatch: pytest.MonkeyPatch):
    """The step before goes well; the next says why; and once the source is back the run goes on."""
    source, real = Unplugged(), Batches.look_ahead
    trainer = build_trainer(make_network(), source, CONFIG)
    trainer.ingest(some_manifests())
    trainer.replay.settle()

    def look_ahead(batches: Batches) -> None:
        source.is_down = True
        for manifest in some_manifests():
            forget(trainer, manifest)
        real(batches)

    monkeypatch.setattr(Batches, "look_ahead", look_ahead)
    assert np.isfinite(trainer.step().loss)
    with pytest.raises(ConnectionError, match="does not answer"):
        trainer.step()
    assert trainer.gradient_steps == 1
    monkeypatch.setattr(Batches, "look_ahead", real)
    source.is_down = False
    assert np.isfinite(trainer.step().loss)


def forget(trainer: Trainer, manifest: EpisodeManifest) -> None:
    """Take an episode's features from the disk."""
    loader = trainer.replay._loader
    loader._store._discard(loader.key(manifest).name)
