"""Buffers against a plain list of frames, and the limits on what they keep."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.protocol.recording import EpisodeManifest, Origin, Outcome
from learner.config import ConfigError, DataConfig, RunConfig, from_mapping
from learner.data.buffers import FrameBuffer, carrying_runs
from learner.data.index import index_episode
from learner.data.limits import Arrival, Retention, SampleToInsert
from learner.data.masks import FrameRule, carrying_frames
from tests.learner.hand_made import AUTONOMOUS, HANDOVER, TELEOP, make_manifest

Listed = tuple[int, int, int, int]  # episode, step, gate end, class


def episodes() -> list[EpisodeManifest]:
    """Every kind of frame: a takeover, an unassisted success, a failure, a demonstration, a single step."""
    return [
        make_manifest("takeover", [(30, AUTONOMOUS), (3, HANDOVER), (20, TELEOP), (5, AUTONOMOUS)]),
        make_manifest("alone", [(17, AUTONOMOUS)]),
        make_manifest("failed", [(9, AUTONOMOUS)], outcome=Outcome.FAILURE),
        make_manifest("demo", [(12, TELEOP)], origin=Origin.DEMONSTRATION),
        make_manifest("short", [(1, TELEOP)]),
    ]


def plain_list(rule: FrameRule, *, without: tuple[int, ...] = ()) -> list[Listed]:
    listed = []
    for number, manifest in enumerate(episodes()):
        if number not in without:
            episode = index_episode(manifest)
            listed += [
                (number, int(t), int(episode.run_end_T[t]), int(episode.classes_T[t]))
                for t in carrying_frames(episode.classes_T, rule)
            ]
    return listed


def contents(buffer: FrameBuffer) -> list[Listed]:
    middles = (np.arange(len(buffer)) + 0.5) / len(buffer)
    return [(int(p["episode"]), int(p["step"]), int(p["gate_end"]), int(p["kind"])) for p in buffer.pick(middles)]


@pytest.mark.parametrize("rule", list(FrameRule))
def test_a_buffer_is_the_list_of_its_frames(rule: FrameRule):
    """In the order of episodes and steps, each with its class and gate; removing one leaves the others in order."""
    buffer = FrameBuffer()
    for _ in range(3):  # grown, emptied and filled again
        buffer.remove(range(len(episodes())))
        for number, manifest in enumerate(episodes()):
            buffer.extend(carrying_runs(number, index_episode(manifest), rule))

    assert contents(buffer) == plain_list(rule)
    buffer.remove([0, 3])
    assert contents(buffer) == plain_list(rule, without=(0, 3))
    buffer.remove([1, 2, 4])
    assert len(buffer) == 0


def test_the_ends_of_the_unit_interval_are_the_first_and_the_last_frame():
    buffer = FrameBuffer()
    buffer.extend(carrying_runs(4, index_episode(episodes()[1]), FrameRule.ALL))
    picks = buffer.pick(np.array([0.0, np.nextafter(1.0, 0.0)]))
    assert picks["step"].tolist() == [0, 16]


def arrival(number: int, *, task: str = "a", frames: int = 10, at_s: float = 0.0, step: int | None = None) -> Arrival:
    return Arrival(number=number, task=task, frames=frames, time_s=at_s, policy_step=step)


def leave(retention: Retention, *arrivals: Arrival) -> list[list[tuple[int, str]]]:
    return [[(one.number, one.reason) for one in retention.admit(each)] for each in arrivals]


def test_over_the_capacity_a_tasks_oldest_episodes_leave():
    """Each task has its own; an episode that is larger than the capacity stays as long as it is the newest."""
    retention = Retention(DataConfig(capacity_frames=25))
    found = leave(
        retention, arrival(0), arrival(1), arrival(2, task="b"), arrival(3), arrival(4, frames=99), arrival(5, frames=1)
    )
    assert found == [[], [], [], [(0, "capacity")], [(1, "capacity"), (3, "capacity")], [(4, "capacity")]]


def test_episodes_age_against_the_newest():
    """A late upload of an old episode is too old at once; nothing leaves by time passing without episodes."""
    retention = Retention(DataConfig(max_age_s=100.0))
    found = leave(retention, arrival(0, at_s=0), arrival(1, at_s=50), arrival(2, at_s=120), arrival(3, at_s=10))
    assert found == [[], [], [(0, "age")], [(3, "age")]]


def test_policies_age_with_the_learners_steps():
    """An episode of version 0 leaves beyond step 200; one of no version of this run has no age."""
    retention = Retention(DataConfig(max_policy_age_steps=200))
    assert leave(retention, arrival(0, step=0), arrival(1, step=150), arrival(2)) == [[], [], []]
    found = [[one.number for one in retention.advance(step)] for step in (0, 200, 201, 350, 351, 10_000)]
    assert found == [[], [], [0], [], [1], []]


def test_without_limits_everything_stays():
    retention = Retention(DataConfig())
    assert leave(retention, *(arrival(k, frames=10**6, at_s=1e6 * k, step=0) for k in range(3))) == [[], [], []]
    assert retention.advance(10**9) == []


def test_enough_is_drawn_at_the_ratio_plus_the_tolerance():
    """Five draws a frame and 20 more, from 100 frames on; without the setting it only measures."""
    limit = SampleToInsert(DataConfig(samples_per_insert=5.0, samples_tolerance=20, min_online_frames=100))
    free = SampleToInsert(DataConfig())
    found = []
    for inserted, drawn in ((0, 0), (99, 10_000), (100, 519), (100, 520), (101, 520)):
        limit.inserted_frames = free.inserted_frames = inserted
        limit.drawn_rows = free.drawn_rows = drawn
        found.append((limit.is_drawn_enough, free.is_drawn_enough, round(limit.ratio, 2)))
    assert found == [
        (False, False, 0.0),
        (False, False, 101.01),
        (False, False, 5.19),
        (True, False, 5.2),
        (False, False, 5.15),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cache_bytes", 0),
        ("loader_threads", 0),
        ("capacity_frames", 0),
        ("max_age_s", -1.0),
        ("max_policy_age_steps", -1),
        ("samples_per_insert", 0.0),
        ("samples_tolerance", -1),
        ("min_online_frames", -1),
    ],
)
def test_impossible_limits_are_refused_by_name(key: str, value: float):
    with pytest.raises(ConfigError, match=key):
        from_mapping(RunConfig, {"data": {key: value}})
