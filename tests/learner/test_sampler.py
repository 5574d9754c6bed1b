"""The adaptive sampler against the formula of paper.md section 2."""

from __future__ import annotations

import math

import numpy as np
import pytest

from learner.config import SamplerConfig
from learner.data.replay import BufferSize, Draw
from learner.data.sampler import AdaptiveSampler

PLAIN = SamplerConfig(alpha=1.5, loss_scale=1.0, floor=0.2, cap_start=0.8, cap_end=0.8)
FULL = BufferSize(online=5000, offline=5000)


def filled(config: SamplerConfig, online: float, offline: float) -> AdaptiveSampler:
    sampler = AdaptiveSampler(config)
    for _ in range(3):
        sampler.record({Draw("a", True): online, Draw("a", False): offline})
    return sampler


def test_ratio_is_the_formula():
    """w = e^(alpha l_on) / (e^(alpha l_on) + e^l_off), unclipped between the bounds."""
    ratio = filled(PLAIN, 0.9, 0.6).ratio("a", FULL)

    expected = math.exp(1.5 * 0.9) / (math.exp(1.5 * 0.9) + math.exp(0.6))
    assert ratio.raw == pytest.approx(expected, abs=1e-12)
    assert ratio.clipped == ratio.raw
    assert (ratio.loss_online, ratio.loss_offline) == (pytest.approx(0.9), pytest.approx(0.6))


@pytest.mark.parametrize(("online", "offline", "clipped"), [(9.0, 0.1, 0.8), (0.1, 9.0, 0.2), (900.0, 0.0, 0.8)])
def test_ratio_is_clipped(online: float, offline: float, clipped: float):
    """Beyond the bounds, also far beyond what exp can hold, the share is the bound."""
    assert filled(PLAIN, online, offline).ratio("a", FULL).clipped == clipped


def test_empty_buffers():
    """No online frames: share 0. No offline frames: share 1. No losses yet: the neutral 0.5."""
    sampler = AdaptiveSampler(PLAIN)
    assert sampler.ratio("a", BufferSize(0, 100)).clipped == 0.0
    assert sampler.ratio("a", BufferSize(100, 0)).clipped == 1.0
    assert sampler.ratio("a", FULL).raw == 0.5
    with pytest.raises(ValueError, match="empty"):
        sampler.draw({}, 8, np.random.default_rng(0))


def test_window_forgets_and_other_windows_stay():
    """Means are over the last W losses; a (task, source) that is not drawn keeps its window."""
    sampler = AdaptiveSampler(SamplerConfig(window=3))
    for loss in (100.0, 1.0, 2.0, 3.0):
        sampler.record({Draw("a", True): loss})
    sampler.record({Draw("b", False): 7.0})

    ratio = sampler.ratio("a", FULL)
    assert ratio.loss_online == 2.0
    assert ratio.loss_offline is None


def test_cap_ramps_with_the_online_frames_of_the_task():
    """The upper clip rises linearly from cap_start to cap_end."""
    sampler = filled(SamplerConfig(loss_scale=1.0, cap_start=0.4, cap_end=0.8, cap_ramp_frames=1000), 50.0, 0.0)

    caps = [sampler.ratio("a", BufferSize(frames, 10)).clipped for frames in (1, 500, 1000, 9000)]

    assert caps == pytest.approx([0.4004, 0.6, 0.8, 0.8])


def test_drawn_frequencies_follow_the_ratios():
    """Over 40,000 rows tasks are uniform and online shares are the clipped ratios, within four deviations."""
    sampler = filled(PLAIN, 0.9, 0.6)
    sampler.record({Draw("b", True): 0.1, Draw("b", False): 9.0})
    sizes = {"a": FULL, "b": FULL, "c": BufferSize(0, 50), "d": BufferSize(50, 0)}
    shares = {task: sampler.ratio(task, size).clipped for task, size in sizes.items()}

    draws = sampler.draw(sizes, 40_000, np.random.default_rng(3))

    for task, share in shares.items():
        mine = [draw.is_online for draw in draws if draw.task == task]
        assert abs(len(mine) - 10_000) < 4 * math.sqrt(40_000 * 0.25 * 0.75)
        assert abs(sum(mine) - share * len(mine)) <= 4 * math.sqrt(len(mine) * share * (1 - share))


def test_state_round_trip_is_exact():
    """Windows survive their JSON form to the last bit."""
    import json

    sampler = filled(PLAIN, 0.1 + 0.2, 1 / 3)
    other = AdaptiveSampler(PLAIN)

    other.load_state(json.loads(json.dumps(sampler.state())))

    assert other.ratio("a", FULL) == sampler.ratio("a", FULL)


def test_fixed_strategy_ignores_losses():
    """Every task's share is the configured one, whatever its losses; an empty side still gives 0 or 1."""
    sampler = filled(SamplerConfig(strategy="fixed", fixed_share=0.3), 50.0, 0.0)

    assert sampler.ratio("a", FULL).clipped == 0.3
    assert sampler.ratio("a", BufferSize(0, 9)).clipped == 0.0
    assert sampler.ratio("a", BufferSize(9, 0)).clipped == 1.0


def test_uniform_strategy_draws_every_frame_equally_often():
    """Four buffers of different sizes get rows in proportion to their frames, within four deviations."""
    sizes = {"a": BufferSize(online=100, offline=300), "b": BufferSize(online=600, offline=0)}

    draws = AdaptiveSampler(SamplerConfig(strategy="uniform")).draw(sizes, 40_000, np.random.default_rng(5))

    for draw, share in ((Draw("a", True), 0.1), (Draw("a", False), 0.3), (Draw("b", True), 0.6)):
        deviation = math.sqrt(40_000 * share * (1 - share))
        assert abs(draws.count(draw) - 40_000 * share) < 4 * deviation
