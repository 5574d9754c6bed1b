"""What leaves the buffers while training goes on, and that a resumed run has the same buffers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from fleet.protocol.recording import EpisodeManifest, StepArrays
from learner.config import DataConfig, OptimConfig, RunConfig
from learner.data.limits import Provenance
from learner.data.replay import Draw
from learner.trainer import Trainer, build_trainer
from tests.learner.hand_made import TELEOP, MemoryEpisodes, make_manifest, make_network, some_manifests

CONFIG = RunConfig(optim=OptimConfig(batch_size=16, warmup_steps=2))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bits depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class _Deleted(MemoryEpisodes):
    """Episodes of which some are gone."""

    def __init__(self, *gone: EpisodeManifest) -> None:
        super().__init__()
        self._gone = {manifest.episode_id for manifest in gone}

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        if manifest.episode_id in self._gone:
            raise FileNotFoundError(manifest.episode_id)
        return super().steps(manifest)


def online(count: int) -> list[EpisodeManifest]:
    return [make_manifest(f"corrected {k}", [(20, TELEOP)], task="bin-picking") for k in range(count)]


def with_data(**changes: Any) -> RunConfig:
    return dataclasses.replace(CONFIG, data=DataConfig(**changes))


def trained(trainer: Trainer, steps: int) -> list[float]:
    return [trainer.step().loss for _ in range(steps)]


@pytest.mark.parametrize("episodes_first", [True, False])
def test_a_run_with_deleted_episodes_resumes_to_the_bit(episodes_first: bool):
    """Two episodes vanish and a capacity acts: the checkpoint names the ones missed, whichever comes first."""
    manifests = [*some_manifests(), *online(4)]
    source, config = _Deleted(manifests[1], manifests[6]), with_data(capacity_frames=60)
    whole = build_trainer(make_network(), source, config)
    whole.ingest(manifests[:8])
    trained(whole, 4)
    saved, sizes = whole.checkpoint(cursor=8), whole.replay.sizes()
    whole.ingest(manifests)
    expected = trained(whole, 4)

    resumed = build_trainer(make_network(), source, config)
    if episodes_first:
        resumed.ingest(manifests[:8])
    resumed.restore(saved)
    resumed.ingest(manifests[:8])
    assert resumed.replay.sizes() == sizes
    assert set(resumed.replay.state()["unreadable"]) == {manifests[1].episode_id, manifests[6].episode_id}
    resumed.ingest(manifests)
    assert trained(resumed, 4) == expected
    assert resumed.checkpoint(cursor=10) == whole.checkpoint(cursor=10)


def test_a_buffer_that_was_all_unreadable_is_drawn_from_no_more():
    """The only online episodes of a task are gone: its rows come from its demonstrations from then on."""
    manifests = [*some_manifests()[:4], *online(2)]
    trainer = build_trainer(make_network(), _Deleted(*manifests[4:]), CONFIG)
    trainer.ingest(manifests)
    assert trainer.replay.sizes()["bin-picking"].online == 40
    assert np.isfinite(trained(trainer, 3)).all()
    assert trainer.replay.sizes()["bin-picking"].online == 0
    assert trainer.ratios()[0].clipped == 0.0


def test_what_another_process_could_not_read_leaves_here_too():
    """Rows are drawn again for both, so that their generators stay equal."""
    trainer = build_trainer(make_network(), MemoryEpisodes(), CONFIG)
    trainer.ingest(online(3))
    told: list[set[int]] = []

    def agree(unreadable: set[int]) -> set[int]:
        told.append(unreadable)
        return unreadable | ({1} if len(told) == 1 else set())

    draws = [Draw("bin-picking", True)] * 12
    rng = np.random.default_rng(0)
    rows = trainer.replay.take(trainer.replay.look(draws, rng, own=slice(0, 4)), rng, agree=agree)
    assert told == [set(), set()]
    assert {frame.episode for frame in rows.frames} <= {0, 2}
    assert trainer.replay.sizes()["bin-picking"].online == 40


def test_old_policies_leave_as_the_learner_steps():
    """An episode of the base stays up to step 2; what it did is counted; demonstrations stay."""
    manifests = [*some_manifests()[:2], *online(2)]
    trainer = build_trainer(make_network(), MemoryEpisodes(), with_data(max_policy_age_steps=2))
    steps = {manifests[2].episode_id: Provenance(policy_step=0), manifests[3].episode_id: Provenance(policy_step=1)}
    trainer.ingest(manifests, steps)
    found = []
    for _ in range(5):
        trainer.step()
        found.append(trainer.replay.sizes()["bin-picking"].online)
    assert found == [40, 40, 40, 20, 0]
    assert trainer.replay.sizes()["bin-picking"].offline == 60
    assert trainer.summary().data["episodes/left/policy_age"] == 2


def test_the_learner_waits_once_online_frames_are_drawn_enough():
    """Two rows a frame: 40 frames let 80 rows be drawn; new frames let it go on; a checkpoint keeps the count."""
    trainer = build_trainer(make_network(), MemoryEpisodes(), with_data(samples_per_insert=2.0, samples_tolerance=0))
    trainer.ingest(online(2))
    steps = 0
    while not trainer.replay.is_drawn_enough:
        trainer.step()
        steps += 1
    assert (steps, trainer.summary().data["samples_per_insert"]) == (5, 2.0)
    other = build_trainer(make_network(), MemoryEpisodes(), with_data(samples_per_insert=2.0, samples_tolerance=0))
    other.restore(trainer.checkpoint(cursor=0))
    other.ingest(online(2))
    assert other.replay.is_drawn_enough
    other.ingest(online(3))
    assert not other.replay.is_drawn_enough


def test_prefetched_and_kept_episodes_are_not_read_again(tmp_path: Any):
    """What was prefetched is there when it is added; a later trainer on the same folder reads nothing."""
    source = MemoryEpisodes()
    first = build_trainer(make_network(), source, with_data(cache_dir=str(tmp_path)))
    for manifest in some_manifests():
        first.replay.prefetch(manifest)
    first.replay.settle()
    first.ingest(some_manifests())
    losses = trained(first, 3)
    assert sorted(source.reads) == sorted(manifest.episode_id for manifest in some_manifests())
    assert first.replay.metrics()["cache/waits"] == 0

    later = MemoryEpisodes()
    second = build_trainer(make_network(), later, with_data(cache_dir=str(tmp_path)))
    second.ingest(some_manifests())
    assert trained(second, 3) == losses
    assert later.reads == []
    other = build_trainer(make_network(seed=1), later, with_data(cache_dir=str(tmp_path)))
    other.ingest(some_manifests())
    other.replay.settle()
    assert len(later.reads) == 6  # another backbone: other features
